"""Evaluating networks: the oracle, the engine's lanes, the judge and the code that they share.

This package may import `jaxadv.support`, and `model_ports` for the zoo's networks. It imports
nothing else of jaxadv.
"""
