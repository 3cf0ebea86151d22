"""CLEVER: sampling of gradient norms, and the extreme-value fit that estimates a local Lipschitz
constant.

This package may import `jaxadv.core.probe`, `jaxadv.core.oracle` and `jaxadv.support`. It never
imports the engine.
"""
