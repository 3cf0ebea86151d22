"""Networks of ONNX files, read into JAX: `from_onnx`.

The reader shares its operators with that of PyTorch. The package onnx parses the files, and its
reference evaluator is the original that a network is compared with.
"""

from jaxadv.foreign.onnx.files import from_onnx

__all__ = ["from_onnx"]
