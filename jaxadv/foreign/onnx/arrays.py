"""ONNX's operators on arrays: arithmetic, activations, shapes, parts, reductions. Named and given
arguments as ONNX has them, attributes by keyword."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import Array, Value, is_array, permuted, plain, reshaped
from jaxadv.foreign.onnx.constants import is_known, known, shape, whole
from jaxadv.foreign.onnx.layers import mean_of, of_several
from jaxadv.foreign.operators import (
    activations,
    arithmetic,
    indexing,
    operator,
    reductions,
    shapes,
    types,
)
from model_ports.errors import InputError


def _aten(name: str, overload: str = "default") -> Callable[..., Any]:
    function = operator(name, overload)
    assert function is not None, name
    return function


# --- arithmetic --------------------------------------------------------------


def divide(A: Value, B: Value) -> Value:  # noqa: N803
    whole_numbers = not types.is_real(A) and not types.is_real(B)
    return arithmetic.div(A, B, rounding_mode="trunc" if whole_numbers else None)


def power(X: Value, Y: Value) -> Value:  # noqa: N803
    if is_known(Y) and np.size(Y) == 1:
        return arithmetic.pow(X, float(np.reshape(Y, ())))
    return types.cast(arithmetic.pow(X, Y), X.dtype)


def modulo(A: Value, B: Value, *, fmod: int = 0) -> Value:  # noqa: N803
    return (arithmetic.fmod if fmod else _aten("remainder"))(A, B)


def clip(input: Value, min: Any = None, max: Any = None) -> Value:  # noqa: A002
    """Between two bounds; what is on a bound passes no gradient, as a ReLU6 has it."""
    if is_known(min) and is_known(max) and min is not None and max is not None:
        return activations.hardtanh(input, *(float(np.reshape(v, ())) for v in (min, max)))
    if min is not None and max is None and is_known(min) and not np.any(min):
        return activations.relu(input)
    return arithmetic.clamp(input, min, max)


def hard_sigmoid(X: Value, *, alpha: float = 0.2, beta: float = 0.5) -> Value:  # noqa: N803
    return activations.hardtanh(arithmetic.add(arithmetic.mul(X, alpha), beta), 0.0, 1.0)


def prelu(X: Value, slope: Value) -> Value:  # noqa: N803
    return activations.prelu_kernel(X, slope)


def gelu(X: Value, *, approximate: str = "none") -> Value:  # noqa: N803
    return activations.gelu(X, approximate=approximate)


def softmax(function: Callable[..., Value], since_13: bool) -> Callable[..., Value]:
    """Along one axis; before opset 13 over all axes from that one on."""

    def operator(input: Value, *, axis: int | None = None) -> Value:  # noqa: A002
        if since_13:
            return function(input, -1 if axis is None else axis)
        first = (1 if axis is None else axis) % input.ndim
        if first == input.ndim - 1:
            return function(input, first)
        flat = reshaped(input, [math.prod(input.shape[:first]), -1])
        return reshaped(function(flat, 1), input.shape)

    return operator


def cast(input: Value, *, to: Any, saturate: int = 1, round_mode: str = "") -> Value:  # noqa: A002
    return types.cast(input, to)


# --- shapes ------------------------------------------------------------------


def reshape(data: Value, shape: Any, *, allowzero: int = 0) -> Value:
    sizes = [
        data.shape[at] if size == 0 and not allowzero else size
        for at, size in enumerate(whole(shape, "Reshape"))
    ]
    return reshaped(data, sizes)


def flatten(input: Value, *, axis: int = 1) -> Value:  # noqa: A002
    return reshaped(input, [math.prod(input.shape[:axis]), math.prod(input.shape[axis:])])


def transpose(data: Value, *, perm: Any = None) -> Value:
    return permuted(data, range(data.ndim)[::-1] if perm is None else perm)


def squeeze(data: Value, axes: Any = None) -> Value:
    return shapes.squeeze(data, None if axes is None else whole(axes, "Squeeze"))


def unsqueeze(data: Value, axes: Any) -> Value:
    listed = whole(axes, "Unsqueeze")
    for axis in sorted(axis % (data.ndim + len(listed)) for axis in listed):
        data = shapes.unsqueeze(data, axis)
    return data


def expand(input: Value, shape: Any) -> Value:  # noqa: A002
    return shapes.expand(input, np.broadcast_shapes(input.shape, tuple(whole(shape, "Expand"))))


def tile(input: Value, repeats: Any) -> Array:  # noqa: A002
    return shapes.repeat(input, whole(repeats, "Tile"))


def concat(*inputs: Value, axis: int) -> Value:
    return shapes.cat([value if is_array(value) else np.asarray(value) for value in inputs], axis)


def split(input: Value, split: Any = None, *, axis: int = 0, num_outputs: int = 1) -> list[Value]:  # noqa: A002
    if split is not None:
        return shapes.split_with_sizes(input, whole(split, "Split"), axis)
    return shapes.split(input, -(-input.shape[axis] // num_outputs), axis)


def slices(data: Value, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Value:
    starts, ends = whole(starts, "Slice"), whole(ends, "Slice")
    axes = list(range(len(starts))) if axes is None else whole(axes, "Slice")
    steps = [1] * len(starts) if steps is None else whole(steps, "Slice")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step > 0:
            data = shapes.slice_(data, axis, start, end, step)
        else:
            place = np.arange(data.shape[axis])[start:end:step]
            data = indexing.index_select(data, axis, place)
    return data


def pad(
    data: Value, pads: Any, value: Any = None, axes: Any = None, *, mode: str = "constant"
) -> Value:
    listed = whole(pads, "Pad")
    names = list(range(data.ndim)) if axes is None else whole(axes, "Pad")
    around = {
        name % data.ndim: (listed[at], listed[at + len(names)]) for at, name in enumerate(names)
    }
    first = min((name for name, pair in around.items() if any(pair)), default=data.ndim)
    flat = [n for name in range(data.ndim - 1, first - 1, -1) for n in around.get(name, (0, 0))]
    if mode == "constant":
        fill = 0 if value is None else np.reshape(known(value, "Pad"), ()).item()
        return shapes.constant_pad(data, flat, fill)
    return shapes.other_pad({"edge": "edge", "reflect": "reflect", "wrap": "wrap"}[mode])(
        data, flat
    )


def constant_of_shape(shape: Any, *, value: Any = None) -> Any:
    raise InputError("ConstantOfShape by a shape that depends on the image is not read")


# --- parts -------------------------------------------------------------------


def gather(data: Value, indices: Any, *, axis: int = 0) -> Value:
    if is_known(indices) and not np.ndim(indices):
        return shapes.select(data, axis, int(indices))
    return jnp.take(plain(data), _positive(indices, data.shape[axis]), axis=axis)


def _positive(indices: Any, size: int) -> Any:
    """Places counted from the start."""
    places = indices if is_known(indices) else plain(indices)
    return (
        np.where(places < 0, places + size, places)
        if is_known(places)
        else (jnp.where(places < 0, places + size, places))
    )


def gather_elements(data: Value, indices: Any, *, axis: int = 0) -> Array:
    return indexing.gather(data, axis, jnp.asarray(_positive(indices, data.shape[axis])))


def gather_nd(data: Value, indices: Any, *, batch_dims: int = 0) -> Array:
    if batch_dims:
        raise InputError(f"GatherND with batch_dims {batch_dims} is not read")
    return plain(data)[tuple(jnp.moveaxis(jnp.asarray(plain(indices)), -1, 0))]


def scatter_nd(data: Value, indices: Any, updates: Value, *, reduction: str = "none") -> Array:
    x = jnp.asarray(plain(data))
    target = x.at[tuple(jnp.moveaxis(jnp.asarray(plain(indices)), -1, 0))]
    write = {"none": target.set, "add": target.add, "mul": target.multiply}.get(reduction)
    if write is None:
        raise InputError(f"ScatterND with reduction {reduction!r} is not read")
    return write(plain(types.cast(updates, x.dtype)))


def scatter_elements(
    data: Value, indices: Any, updates: Value, *, axis: int = 0, reduction: str = "none"
) -> Array:
    how = {"none": None, "add": "add", "mul": "multiply"}
    if reduction not in how:
        raise InputError(f"ScatterElements with reduction {reduction!r} is not read")
    places = jnp.asarray(_positive(indices, data.shape[axis]))
    return indexing.scatter(jnp.asarray(plain(data)), axis, places, updates, reduce=how[reduction])


def top_k(X: Value, K: Any, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple:  # noqa: A002, N803
    [count] = whole(K, "TopK")
    return indexing.topk(X, count, axis, bool(largest))


def one_hot(indices: Value, depth: Any, values: Any, *, axis: int = -1) -> Array:
    [count] = whole(depth, "OneHot")
    off, on = plain(values)[0], plain(values)[1]
    hot = jax.nn.one_hot(plain(indices), count, axis=axis, dtype=np.bool_)
    return jnp.where(hot, on, off)


def trilu(input: Value, k: Any = None, *, upper: int = 1) -> Array:  # noqa: A002
    return (jnp.triu if upper else jnp.tril)(plain(input), 0 if k is None else int(k))


def cumulative(x: Value, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Value:
    if exclusive or reverse:
        raise InputError("CumSum that is exclusive or reversed is not read")
    return _aten("cumsum")(x, whole(axis, "CumSum")[0])


# --- reductions --------------------------------------------------------------


def reduction(function: Callable[..., Value]) -> Callable[..., Value]:
    """Over some axes, an attribute or an argument, or over all."""

    def operator(
        data: Value, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Value:
        listed = None if axes is None else whole(axes, "a reduction")
        if not listed and noop_with_empty_axes:
            return data
        return function(data, listed or None, bool(keepdims))

    return operator


def place_of(function: Callable[..., Value]) -> Callable[..., Value]:
    def operator(
        data: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
    ) -> Value:
        return function(data, axis, bool(keepdims))

    return operator


def _squares(data: Value, axes: Any, keepdims: bool) -> Value:
    return reductions.sum_(arithmetic.mul(data, data), axes, keepdims)


def _log_sum(data: Value, axes: Any, keepdims: bool) -> Value:
    return _aten("log")(reductions.sum_(data, axes, keepdims))


def passed(data: Value, *_: Any, **__: Any) -> Value:
    return data


def dropout(data: Value, ratio: Any = None, training_mode: Any = None, *, seed: int = 0) -> Value:
    if training_mode is not None and np.any(known(training_mode, "Dropout")):
        raise InputError("dropout in training mode; export the network after eval()")
    return data


_SAME = {
    "Abs": "abs",
    "Acos": "acos",
    "And": "logical_and",
    "Asin": "asin",
    "Atan": "atan",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Equal": "eq",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
    "IsNaN": "isnan",
    "Less": "lt",
    "LessOrEqual": "le",
    "Log": "log",
    "Mul": "mul",
    "Neg": "neg",
    "Not": "logical_not",
    "Or": "logical_or",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Sub": "sub",
    "Tan": "tan",
    "Tanh": "tanh",
    "Where": "where",
    "Xor": "logical_xor",
    "HardSwish": "hardswish",
    "Mish": "mish",
    "Softplus": "softplus",
}
"""ONNX's name and PyTorch's of operators that take the same arrays."""
ARRAYS: dict[str, Callable[..., Any]] = {
    **{name: _aten(aten) for name, aten in _SAME.items()},
    "Add": arithmetic.add,
    "Div": divide,
    "Pow": power,
    "Mod": modulo,
    "Min": of_several(_aten("minimum")),
    "Max": of_several(_aten("maximum")),
    "Sum": of_several(arithmetic.add),
    "Mean": mean_of,
    "Clip": clip,
    "LeakyRelu": lambda X, *, alpha=0.01: activations.leaky_relu(X, alpha),  # noqa: N803
    "PRelu": prelu,
    "Elu": lambda X, *, alpha=1.0: activations.elu(X, alpha),  # noqa: N803
    "Selu": lambda X, *, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875: (  # noqa: N803
        activations.elu(X, alpha, gamma)
    ),
    "Celu": lambda X, *, alpha=1.0: activations.celu(X, alpha),  # noqa: N803
    "ThresholdedRelu": lambda X, *, alpha=1.0: activations.threshold(X, alpha, 0.0),  # noqa: N803
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "Softsign": activations.softsign,
    "Softmax": softmax(activations.softmax, True),
    "LogSoftmax": softmax(_aten("log_softmax"), True),
    "Cast": cast,
    "CastLike": lambda x, like, *, saturate=1, round_mode="": types.cast(x, like.dtype),
    "Identity": passed,
    "Dropout": dropout,
    "Shape": shape,
    "Size": lambda x: np.asarray(math.prod(x.shape), np.int64),
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Expand": expand,
    "Tile": tile,
    "Concat": concat,
    "Split": split,
    "Slice": slices,
    "Pad": pad,
    "ConstantOfShape": constant_of_shape,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterND": scatter_nd,
    "ScatterElements": scatter_elements,
    "TopK": top_k,
    "OneHot": one_hot,
    "Trilu": trilu,
    "CumSum": cumulative,
    "ReduceMean": reduction(reductions.mean),
    "ReduceSum": reduction(reductions.sum_),
    "ReduceMax": reduction(_aten("amax")),
    "ReduceMin": reduction(_aten("amin")),
    "ReduceProd": reduction(reductions.prod),
    "ReduceL1": reduction(lambda x, axes, keep: reductions.vector_norm(x, 1, axes, keep)),
    "ReduceL2": reduction(lambda x, axes, keep: reductions.vector_norm(x, 2, axes, keep)),
    "ReduceSumSquare": reduction(_squares),
    "ReduceLogSum": reduction(_log_sum),
    "ReduceLogSumExp": reduction(
        lambda x, axes, keep: reductions.logsumexp(
            x, list(range(x.ndim)) if axes is None else axes, keep
        )
    ),
    "ArgMax": place_of(_aten("argmax")),
    "ArgMin": place_of(_aten("argmin")),
}
BEFORE_13 = {
    "Softmax": softmax(activations.softmax, False),
    "LogSoftmax": softmax(_aten("log_softmax"), False),
}
"""Operators that opset 13 gave another meaning."""
