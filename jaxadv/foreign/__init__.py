"""Networks of other frameworks, read into JAX: PyTorch, ONNX and Keras, with proof against the original.

May import `jaxadv.core`, `jaxadv.support` and `model_ports`. Each framework is imported only by its reader.
"""
