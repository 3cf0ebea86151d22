"""Asking networks: the oracle, the engine's lanes, the judge and what they share.

May import `jaxadv.support`, and `model_ports` for the zoo's networks; nothing else of jaxadv.
"""
