"""The attacks, and the catalogue that the other packages read. Each attack is a probe in one file.

This package may import `jaxadv.core.probe`, `jaxadv.core.oracle` and `jaxadv.support`. It never
imports the engine.
"""
