"""Networks of PyTorch, Keras and ONNX in JAX, with proof against the original.

May import `jaxadv.core`, `jaxadv.support` and `model_ports`. Each framework is imported by its own
reader alone, when it is asked for.
"""
