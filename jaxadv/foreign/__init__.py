"""Networks of PyTorch, read into JAX, with proof against the original.

May import `jaxadv.core`, `jaxadv.support` and `model_ports`. PyTorch is imported by its reader alone.
"""
