"""CLEVER: sampling of gradient norms, and the extreme-value fit to a local Lipschitz constant.

May import `jaxadv.core.probe`, `jaxadv.core.oracle` and `jaxadv.support`; never the engine.
"""
