"""Trains the small networks that are embedded.

May import `jaxadv.core`, `data`, `evaluation` and `support`, and `model_ports`.
"""
