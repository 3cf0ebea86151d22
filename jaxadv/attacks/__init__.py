"""The attacks, each a probe in a file of its own, and the catalogue that the other rooms read.

May import `jaxadv.core.probe`, `jaxadv.core.oracle` and `jaxadv.support`; never the engine.
"""
