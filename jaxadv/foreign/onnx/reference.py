"""An ONNX network in ONNX's reference evaluator, which computes with NumPy: what is read into JAX
is compared with this."""

from typing import Any

import numpy as np

from jaxadv.foreign import trust
from jaxadv.foreign.network import Normalisation
from jaxadv.foreign.onnx.graph import Graph

_FLOAT, _DOUBLE = 1, 11
"""ONNX's numbers of the types."""


def original(model: Any, normal: Normalisation, graph: Graph) -> trust.Original:
    """The network in the precision that it is asked in, without the softmax that was left out."""
    from onnx.reference import ReferenceEvaluator

    mended = _mended(model)
    single = _until_logits(model, graph)
    sessions: dict[Any, Any] = {}

    def answer(images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, None]:
        if images.dtype not in sessions:
            proto = single if images.dtype == np.float32 else in_double(single)
            sessions[images.dtype] = ReferenceEvaluator(proto, new_ops=mended)
        session = sessions[images.dtype]
        mean, std = (np.asarray(numbers, images.dtype) for numbers in normal)
        pixels = ((images - mean) / std).astype(images.dtype)
        if graph.is_channels_first:
            pixels = pixels.transpose(0, 3, 1, 2)
        parts = np.split(pixels, len(pixels)) if graph.one_by_one else [pixels]
        [name] = graph.steps.inputs
        with np.errstate(all="ignore"):
            rows = [session.run(None, {name: np.ascontiguousarray(part)})[0] for part in parts]
        return np.concatenate(rows), None

    return answer


def _mended(model: Any) -> list[Any]:
    """Operators that the evaluator of onnx 1.23 computes otherwise than ONNX says: it normalises
    only as many channels as there are images, and takes a softmax of opset 11 for one of 13."""
    from onnx.reference.op_run import OpRun

    class LRN(OpRun):
        def _run(self, x, alpha=None, beta=None, bias=None, size: Any = None):
            squares, count = x * x, x.shape[1]
            total = np.zeros_like(x)
            for channel in range(count):
                first, last = channel - (size - 1) // 2, channel + size // 2
                total[:, channel] = squares[:, max(0, first) : last + 1].sum(axis=1)
            return ((x / (bias + alpha / size * total) ** beta).astype(x.dtype),)

    class Softmax(OpRun):
        def _run(self, x, axis=None):
            first = (1 if axis is None else axis) % x.ndim
            flat = x.reshape(int(np.prod(x.shape[:first])), -1)
            raised = np.exp(flat - flat.max(axis=1, keepdims=True))
            return ((raised / raised.sum(axis=1, keepdims=True)).reshape(x.shape),)

    found: list[Any] = [LRN]
    if any(each.domain == "" and each.version < 13 for each in model.opset_import):
        found.append(Softmax)
    for each in found:
        each.op_domain = ""
    return found


def _until_logits(model: Any, graph: Graph) -> Any:
    """The model with the logits as its output."""
    import onnx

    if not graph.without_softmax:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output[0].name = graph.steps.result.name
    return copy


def in_double(model: Any) -> Any:
    """The model in double precision: its arrays, constants, casts, input and output."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for array in graph.initializer:
        _make_double(array)
    for node in (*graph.node, *(inner for each in copy.functions for inner in each.node)):
        if node.op_type == "GroupNormalization":  # which is in single precision within, if not told
            kept = [given for given in node.attribute if given.name != "stash_type"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("stash_type", _DOUBLE)])
        for given in node.attribute:
            if given.type == onnx.AttributeProto.TENSOR:
                _make_double(given.t)
            elif given.name in ("value_float", "value_floats") and node.op_type == "Constant":
                value = np.asarray(onnx.helper.get_attribute_value(given), np.float64)
                given.CopyFrom(
                    onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(value))
                )
            elif given.name in ("to", "dtype") and given.i == _FLOAT:
                given.i = _DOUBLE
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == _FLOAT:
            value.type.tensor_type.elem_type = _DOUBLE
    del graph.value_info[:]
    return copy


def _make_double(array: Any) -> None:
    import onnx

    if array.data_type == _FLOAT:
        value = onnx.numpy_helper.to_array(array).astype(np.float64)
        array.CopyFrom(onnx.numpy_helper.from_array(value, array.name))
