"""Arrays whose axes are stored in another order than they are named.

PyTorch names the axes of images (N, C, H, W). The fast layers want them stored as (N, H, W, C).
A `Laid` array keeps both: operators name axes as PyTorch does, and nothing is transposed between
two of them. What knows nothing of this gets a plain array.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import jax
import numpy as np

Array = jax.Array


class Laid:
    """An array whose named axis i is axis ``order[i]`` of ``stored``."""

    __slots__ = ("order", "stored")

    def __init__(self, stored: Array, order: Sequence[int]):
        self.stored, self.order = stored, tuple(order)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stored.shape[axis] for axis in self.order)

    @property
    def ndim(self) -> int:
        return self.stored.ndim

    @property
    def dtype(self) -> Any:
        return self.stored.dtype

    def astype(self, dtype) -> "Laid":
        return Laid(self.stored.astype(dtype), self.order)


Value = Array | Laid


def is_array(value: Any) -> TypeGuard[Value]:
    """Whether a value is an array of either kind: Python's numbers are not."""
    return isinstance(value, (Laid, jax.Array, np.ndarray, np.generic))


def plain(value: Any) -> Any:
    """The array with its axes stored as they are named; anything else as it is."""
    return value.stored.transpose(value.order) if isinstance(value, Laid) else value


def stored(value: Value) -> tuple[Array, tuple[int, ...]]:
    """What is stored, and where each named axis stands in it."""
    return (
        (value.stored, value.order)
        if isinstance(value, Laid)
        else (value, tuple(range(value.ndim)))
    )


def laid(array: Array, order: Sequence[int]) -> Value:
    """The array with these axes; plain where that changes nothing."""
    return array if tuple(order) == tuple(range(len(order))) else Laid(array, order)


def in_order(value: Value, order: Sequence[int]) -> Array:
    """What is stored if named axis i has to stand at ``order[i]``."""
    array, current = stored(value)
    wanted = np.argsort(order)
    axes = tuple(current[name] for name in wanted)
    return array if axes == tuple(range(len(axes))) else array.transpose(axes)


def channels_last(rank: int) -> tuple[int, ...]:
    """The order of (N, C, spatial...) that is stored as (N, spatial..., C)."""
    return (0, rank - 1, *range(1, rank - 1))


def positive(axis: int, rank: int) -> int:
    """An axis that may be counted from the end, counted from the start."""
    return axis % rank if rank else 0


def all_axes(axes: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes counted from the start, ascending; None and an empty list are all of them."""
    if axes is None or (not isinstance(axes, int) and not len(axes)):
        return tuple(range(rank))
    return tuple(
        sorted(positive(axis, rank) for axis in ([axes] if isinstance(axes, int) else axes))
    )


def reduced(
    function: Callable[..., Array], value: Value, axes: int | Sequence[int] | None, keepdim: bool
) -> Value:
    """``function(stored, axis=..., keepdims=True)`` over named axes, which stay with length 1 or
    go."""
    array, order = stored(value)
    names = all_axes(axes, value.ndim)
    out = laid(function(array, axis=tuple(order[name] for name in names), keepdims=True), order)
    return out if keepdim else without(out, names)


def without(value: Value, names: Sequence[int]) -> Value:
    """The array without these named axes, whose length is 1."""
    array, order = stored(value)
    gone = {order[name] for name in names}
    kept = [axis for name, axis in enumerate(order) if name not in names]
    ranks = {axis: rank for rank, axis in enumerate(sorted(kept))}
    smaller = array.reshape([size for axis, size in enumerate(array.shape) if axis not in gone])
    return laid(smaller, [ranks[axis] for axis in kept])


def permuted(value: Value, names: Sequence[int]) -> Value:
    """The array whose named axis i is ``names[i]`` of this one; nothing moves."""
    array, order = stored(value)
    return laid(array, [order[positive(name, value.ndim)] for name in names])


def reshaped(value: Value, shape: Sequence[int]) -> Value:
    """The array in another shape, in the named order; one length may be -1.

    Where axes are only split, or those that merge are stored side by side, nothing moves.
    """
    known = math.prod(size for size in shape if size != -1)
    total = math.prod(value.shape)
    shape = tuple(total // known if size == -1 else int(size) for size in shape)
    if not isinstance(value, Laid):
        return value.reshape(shape)
    groups = _groups(value.shape, shape)
    if groups is None or any(not _side_by_side(value.order, before) for before, _ in groups):
        return plain(value).reshape(shape)
    first = {before[0]: after for before, after in groups}
    sizes: list[int] = []
    place: dict[int, int] = {}
    for name in np.argsort(value.order):  # the named axes as they are stored
        if name in first:
            for new in first[name]:
                place[new] = len(sizes)
                sizes.append(shape[new])
    return laid(value.stored.reshape(sizes), [place[name] for name in range(len(shape))])


def _side_by_side(order: tuple[int, ...], names: Sequence[int]) -> bool:
    return all(order[b] == order[a] + 1 for a, b in zip(names, names[1:], strict=False))


def _groups(
    before: tuple[int, ...], after: tuple[int, ...]
) -> list[tuple[list[int], list[int]]] | None:
    """The axes of two shapes in groups that hold the same elements; None where a length is 0.

    Axes of length 1 at the end join the last group.
    """
    if not before or not after or 0 in before:
        return None
    groups, i, j = [], 0, 0
    while i < len(before) and j < len(after):
        left, right = [i], [j]
        size, other = before[i], after[j]
        i, j = i + 1, j + 1
        while size != other:
            if size < other:
                size, left, i = size * before[i], [*left, i], i + 1
            else:
                other, right, j = other * after[j], [*right, j], j + 1
        groups.append((left, right))
    groups[-1][0].extend(range(i, len(before)))
    groups[-1][1].extend(range(j, len(after)))
    return groups


def image_last(value: Value) -> Array:
    """(N, C, spatial...) as it is stored with channels last."""
    return in_order(value, channels_last(value.ndim))


def from_image_last(array: Array) -> Value:
    """(N, spatial..., C) as an array that is named (N, C, spatial...)."""
    return laid(array, channels_last(array.ndim))
