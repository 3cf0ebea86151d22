"""The graph of an ONNX file, read into steps."""

import hashlib
import operator as python
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxadv.foreign.onnx import arrays, constants, layers, shapes, sizes
from jaxadv.foreign.operators.convolution import kernel_last
from jaxadv.foreign.steps import Ref, Step, Steps, Type, needed, references
from model_ports.errors import InputError

SMALL = 1
"""A float array of so many numbers is part of the program, as exponents and bounds are, and no
parameter."""
_RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
}
_DOMAINS = ("", "ai.onnx")
OPERATORS = {**layers.LAYERS, **sizes.SIZES, **shapes.SHAPES, **arrays.ARRAYS}
"""All that are read, by name."""


class Graph(NamedTuple):
    """A graph as steps."""

    steps: Steps  # of images in the order of axes that the file has
    params: dict[str, np.ndarray]  # stored as `steps.orders` say
    is_channels_first: bool
    input_size: int | None  # pixels, where the file tells
    one_by_one: bool  # whether the file fixes the batch to one image
    without_softmax: bool  # whether a softmax at the end was left out


class Operator:
    """One operator on arrays, or on numbers that are known while the network is traced."""

    def __init__(self, on_arrays: Callable[..., Any], on_numbers: Callable[..., Any] | None):
        self.on_arrays, self.on_numbers = on_arrays, on_numbers

    def __call__(self, *inputs: Any, **attributes: Any) -> Any:
        if self.on_numbers is not None and constants.all_known(inputs):
            return self.on_numbers(*inputs, **attributes)
        return self.on_arrays(*inputs, **attributes)


def read(model: Any, name: str) -> Graph:
    """The steps and parameters of a model without functions of its own.

    Args:
        model: `onnx.ModelProto`.
        name: of the network, for messages.

    Raises:
        InputError: for an operator that is not read, is random or quantised; and for other inputs
        and outputs than images and logits.
    """
    import onnx

    graph = model.graph
    opset = max((o.version for o in model.opset_import if o.domain in _DOMAINS), default=1)
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    first, size, one_by_one, image = _image(graph, stored, name)
    steps: list[Step] = []
    for array_name, array in stored.items():
        if not _is_parameter(array):
            steps.append(_constant(array_name, array, name))
    for node in graph.node:
        steps += _steps(node, opset, name)
    if len(graph.output) != 1:
        given = ", ".join(output.name for output in graph.output)
        raise InputError(f"{name} gives {len(graph.output)} arrays ({given}); one is needed")
    result, without_softmax = _logits(graph, graph.output[0].name)
    steps = needed(steps, Ref(result))
    used = {each for step in steps for each in references([step.arguments, step.keywords])}
    orders = _kernel_orders(steps, stored)
    params = {
        key: np.ascontiguousarray(
            array.transpose(np.argsort(orders[key])) if key in orders else array
        )
        for key, array in stored.items()
        if key in used and _is_parameter(array)
    }
    read = Steps(steps, [image], Ref(result), orders)
    return Graph(read, params, first, size, one_by_one, without_softmax)


def _is_parameter(array: np.ndarray) -> bool:
    return np.issubdtype(array.dtype, np.floating) and array.size > SMALL


def _constant(key: str, array: np.ndarray, name: str) -> Step:
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: {key!r} is in {array.dtype}; numbers are needed")
    digest = hashlib.sha256(repr((array.dtype, array.shape)).encode() + array.tobytes())
    return Step(key, constants.Constant(array), (digest.hexdigest(),), {}, f"{name}: {key}")


def _image(graph: Any, stored: Mapping[str, Any], name: str) -> tuple[bool, int | None, bool, str]:
    """Whether channels come first, pixels, whether the batch is one image, and the input's name.
    Raises InputError."""
    inputs = [each for each in graph.input if each.name not in stored]
    if len(inputs) != 1:
        given = ", ".join(each.name for each in inputs)
        raise InputError(f"{name} takes {len(inputs)} arrays ({given}); one of images is needed")
    kind = inputs[0].type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    if kind.elem_type != 1:
        raise InputError(f"{name} takes images in another type than float32; export it in that")
    if len(sizes) != 4 or 3 not in (sizes[1], sizes[3], *_unknown(sizes)):
        raise InputError(
            f"{name} takes arrays of shape {_shape(sizes)}; (N, 3, S, S) or (N, S, S, 3) is needed"
        )
    if sizes[0] not in (None, 0, 1):
        raise InputError(
            f"{name} takes {sizes[0]} images at once; export it with any number of them, or with "
            "one"
        )
    first = sizes[1] == 3 or sizes[3] != 3
    sides = sizes[2:] if first else sizes[1:3]
    if sides[0] != sides[1]:
        raise InputError(f"{name} takes images of {_shape(sides)} pixels; square ones are needed")
    return first, sides[0] or None, sizes[0] == 1, inputs[0].name


def _unknown(sizes: list[int | None]) -> tuple[int, ...]:
    return (3,) if None in (sizes[1], sizes[3]) else ()


def _shape(sizes: list[int | None]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in sizes) + ")"


def _steps(node: Any, opset: int, name: str) -> list[Step]:
    """The steps of a node; one with several results is taken apart."""
    place = f"{name}: operator {node.op_type} in node {node.name or node.output[0]!r}"
    if node.op_type == "Constant" and node.domain in _DOMAINS:
        return [_constant(node.output[0], _value(node, place), name)]
    function = _function(node, opset, place)
    attributes = {each.name: _attribute(each, place) for each in node.attribute}
    if node.op_type == "Split" and len(node.input) < 2 and "split" not in attributes:
        attributes["num_outputs"] = len(node.output)
    inputs = tuple(Ref(each) if each else None for each in node.input)
    if len(node.output) == 1 or node.op_type not in ("Split", "TopK"):
        return [Step(node.output[0], function, inputs, attributes, place)]
    whole = f"{node.output[0]} and others"
    parts = [
        Step(each, python.getitem, (Ref(whole), at), {}, place)
        for at, each in enumerate(node.output)
        if each
    ]
    return [Step(whole, function, inputs, attributes, place), *parts]


def _function(node: Any, opset: int, place: str) -> Callable[..., Any]:
    kind = node.op_type
    if "quantize" in kind.lower() or kind.startswith("QLinear") or kind.endswith("Integer"):
        raise InputError(f"{place} is quantised; export the network from before quantisation")
    if kind in _RANDOM:
        raise InputError(f"{place} draws random numbers, so that no two calls agree; take it out")
    known = constants.KNOWN.get(kind)
    function = arrays.BEFORE_13.get(kind) if opset < 13 else None
    function = function or OPERATORS.get(kind)
    if node.domain not in _DOMAINS or (function is None and known is None):
        raise InputError(
            f"{place} is not read into JAX; export the network without it, "
            "or give it as a function of JAX"
        )
    return Operator(function or _depends(kind), known)


def _depends(kind: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise InputError(f"{kind} of numbers that depend on the image is not read")

    return refuse


def _value(node: Any, place: str) -> np.ndarray:
    import onnx

    [given] = node.attribute
    value = onnx.helper.get_attribute_value(given)
    if given.name == "value":
        return onnx.numpy_helper.to_array(value)
    if given.name in ("value_float", "value_floats"):
        return np.asarray(value, np.float32)
    if given.name in ("value_int", "value_ints"):
        return np.asarray(value, np.int64)
    raise InputError(f"{place} holds a {given.name}; numbers are needed")


def _attribute(given: Any, place: str) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(given)
    if given.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise InputError(f"{place} steers by data, and is not read; export the network without it")
    if given.type == onnx.AttributeProto.TENSOR:
        return onnx.numpy_helper.to_array(value)
    if given.name in ("to", "dtype"):
        return Type(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value)))
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if given.type in _LISTS(onnx) else value


def _LISTS(onnx: Any) -> tuple[int, ...]:  # noqa: N802
    return (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS)


def _logits(graph: Any, result: str) -> tuple[str, bool]:
    """The name of the logits: what goes into a softmax over classes at the end."""
    made = {output: node for node in graph.node for output in node.output}
    node = made.get(result)
    while node is not None and node.op_type == "Identity":
        node = made.get(result := node.input[0])
    if node is not None and node.op_type == "Softmax":
        return node.input[0], True
    return result, False


def _kernel_orders(
    steps: list[Step], stored: Mapping[str, np.ndarray]
) -> dict[str, tuple[int, ...]]:
    """The order in which to store each array that is only ever the kernel of convolutions."""
    kernels, others = set(), set()
    for step in steps:
        is_conv = isinstance(step.function, Operator) and step.function.on_arrays is layers.conv
        for at, argument in enumerate(step.arguments):
            (kernels if is_conv and at == 1 else others).update(references(argument))
    return {
        key: kernel_last(stored[key].ndim)
        for key in kernels - others
        if key in stored and _is_parameter(stored[key])
    }
