"""ONNX's operators on shapes and parts of arrays. Named and given arguments as ONNX has them,
attributes by keyword."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import Array, Value, is_array, permuted, plain, reshaped
from jaxadv.foreign.onnx.constants import is_known, known, shape, whole
from jaxadv.foreign.operators import indexing, padding, reductions, shapes, types
from model_ports.errors import InputError

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
        return padding.constant_pad(data, flat, fill)
    return padding.other_pad({"edge": "edge", "reflect": "reflect", "wrap": "wrap"}[mode])(
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
    return reductions.running(jnp.cumsum)(x, whole(axis, "CumSum")[0])


SHAPES: dict[str, Callable[..., Any]] = {
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
}
