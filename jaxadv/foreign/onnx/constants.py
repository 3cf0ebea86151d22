"""What is known while a network is traced: shapes, and what is computed from them.

ONNX computes shapes with the operators that it has for arrays. Arrays of NumPy are such numbers
here, and stay on the host; only arrays of JAX depend on an image or on weights.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from jaxadv.foreign.operators import types
from model_ports.errors import InputError


def is_known(value: Any) -> bool:
    return value is None or isinstance(value, (np.ndarray, np.generic))


def known(value: Any, what: str) -> np.ndarray:
    """Numbers that an operator must know. Raises InputError where they depend on an image or on
    weights."""
    if not is_known(value) or value is None:
        raise InputError(f"{what} by numbers that depend on the image is not read")
    return np.asarray(value)


def whole(value: Any, what: str) -> list[int]:
    """A list of whole numbers that an operator must know."""
    if isinstance(value, (list, tuple)):
        return [int(number) for number in value]
    return [int(number) for number in known(value, what).reshape(-1)]


def _axes(axes: Any, rank: int) -> tuple[int, ...]:
    return tuple(axis % rank for axis in whole(axes, "axes"))


def _reshape(x, shape, *, allowzero=0):
    sizes = [
        x.shape[at] if size == 0 and not allowzero else size
        for at, size in enumerate(whole(shape, "Reshape"))
    ]
    return x.reshape(sizes)


def _squeeze(x, axes=None):
    return np.squeeze(x, None if axes is None else _axes(axes, x.ndim))


def _unsqueeze(x, axes):
    listed = whole(axes, "Unsqueeze")
    return np.expand_dims(x, tuple(axis % (x.ndim + len(listed)) for axis in listed))


def _slice(x, starts, ends, axes=None, steps=None):
    starts, ends = whole(starts, "Slice"), whole(ends, "Slice")
    axes = list(range(len(starts))) if axes is None else whole(axes, "Slice")
    steps = [1] * len(starts) if steps is None else whole(steps, "Slice")
    place: list[Any] = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place[axis] = slice(start, end, step)
    return x[tuple(place)]


def _div(x, y):
    if np.issubdtype(np.result_type(x, y), np.integer):
        return np.trunc(x / y).astype(np.result_type(x, y))
    return x / y


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(x, axes=None, *, keepdims=1, noop_with_empty_axes=0):
        if axes is None and noop_with_empty_axes:
            return x
        where = None if axes is None else _axes(axes, x.ndim)
        return np.asarray(function(x, axis=where, keepdims=bool(keepdims)))

    return operator


def _constant_of_shape(shape, *, value=None):
    value = np.zeros(1, np.float32) if value is None else value
    return np.full(whole(shape, "ConstantOfShape"), value.reshape(()), _working(value.dtype))


def _working(dtype: Any) -> Any:
    """Single precision is the working type; whole numbers keep their 64 bits on the host."""
    return types.floating() if dtype == np.float32 else dtype


def _cast(x, *, to: Any, saturate=1, round_mode=""):
    return np.asarray(x).astype(_working(to))


def shape(x: Any, *, start: int = 0, end: int | None = None) -> np.ndarray:
    return np.asarray(x.shape, np.int64)[start:end]


def _split(x, split=None, *, axis=0, num_outputs=None):
    size = x.shape[axis]
    if split is None:
        each = -(-size // num_outputs)
        split = [min(each, size - start) for start in range(0, size, each)]
    return np.split(x, np.cumsum(whole(split, "Split"))[:-1], axis=axis)


KNOWN: dict[str, Callable[..., Any]] = {
    "Shape": shape,
    "Size": lambda x: np.asarray(math.prod(x.shape), np.int64),
    "Identity": lambda x: x,
    "Cast": _cast,
    "CastLike": lambda x, y, saturate=1: x.astype(y.dtype),
    "Gather": lambda x, at, *, axis=0: np.take(x, at, axis=axis),
    "Concat": lambda *xs, axis: np.concatenate(xs, axis=axis),
    "Reshape": _reshape,
    "Flatten": lambda x, *, axis=1: x.reshape(math.prod(x.shape[:axis]), -1),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Split": _split,
    "Transpose": lambda x, *, perm=None: np.transpose(x, perm),
    "Expand": lambda x, to: np.broadcast_to(x, np.broadcast_shapes(x.shape, whole(to, "Expand"))),
    "Tile": lambda x, repeats: np.tile(x, whole(repeats, "Tile")),
    "ConstantOfShape": _constant_of_shape,
    "Range": lambda start, end, step: np.arange(
        start.item(), end.item(), step.item(), dtype=start.dtype
    ),
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _div,
    "Mod": lambda x, y, *, fmod=0: (np.fmod if fmod else np.mod)(x, y),
    "Pow": lambda x, y: np.power(x, y).astype(x.dtype),
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Reciprocal": lambda x: (1 / x).astype(x.dtype),
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.round,
    "Sign": np.sign,
    "Min": lambda *xs: reduce(np.minimum, xs),
    "Max": lambda *xs: reduce(np.maximum, xs),
    "Clip": lambda x, min=None, max=None: np.clip(x, min, max),
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Not": np.logical_not,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Where": np.where,
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
    "ReduceMean": _reduction(np.mean),
    "Trilu": lambda x, k=None, *, upper=1: (np.triu if upper else np.tril)(
        x, 0 if k is None else int(k)
    ),
    "EyeLike": lambda x, *, k=0, dtype=None: np.eye(
        *x.shape, k=k, dtype=_working(x.dtype if dtype is None else dtype)
    ),
    "NonZero": lambda x: np.asarray(np.nonzero(x), np.int64),
    "ScatterND": lambda x, at, updates, *, reduction="none": _scattered(x, at, updates, reduction),
}
"""Operators on numbers that are known."""


def _scattered(x: np.ndarray, at: np.ndarray, updates: np.ndarray, reduction: str) -> np.ndarray:
    if reduction != "none":
        raise InputError(f"ScatterND with reduction {reduction!r} is not read")
    out = np.array(x)
    out[tuple(np.moveaxis(at, -1, 0))] = updates
    return out


class Constant:
    """A step without arguments: numbers of the file."""

    def __init__(self, value: np.ndarray):
        self.value = value

    def __call__(self, digest: str = "") -> np.ndarray:
        """``digest``: of the numbers, so that a description of the step has them."""
        return self.value.astype(_working(self.value.dtype), copy=False)


def all_known(values: Sequence[Any]) -> bool:
    return all(map(is_known, values))
