"""Ports held against their originals, and the logits of one network.

May import `jaxadv.core`, `evaluation` and `support`, and `model_ports`.
"""
