"""Views, parts and joins: the ATen operators of their names."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import (
    Array,
    Laid,
    Value,
    in_order,
    is_array,
    laid,
    permuted,
    plain,
    positive,
    reshaped,
    stored,
    without,
)
from jaxadv.foreign.operators import types
from model_ports.errors import InputError

# --- views -------------------------------------------------------------------


def view(self, size) -> Value:
    return reshaped(self, size)


def flatten(self, start_dim=0, end_dim=-1) -> Value:
    if not self.ndim:
        return plain(self).reshape(1)
    start, end = positive(start_dim, self.ndim), positive(end_dim, self.ndim)
    return reshaped(
        self, [*self.shape[:start], math.prod(self.shape[start : end + 1]), *self.shape[end + 1 :]]
    )


def unflatten(self, dim, sizes) -> Value:
    axis = positive(dim, self.ndim)
    known = math.prod(size for size in sizes if size != -1)
    sizes = [self.shape[axis] // known if size == -1 else size for size in sizes]
    return reshaped(self, [*self.shape[:axis], *sizes, *self.shape[axis + 1 :]])


def permute(self, dims) -> Value:
    return permuted(self, dims)


def transpose(self, dim0, dim1) -> Value:
    names = list(range(self.ndim))
    if names:
        first, second = positive(dim0, self.ndim), positive(dim1, self.ndim)
        names[first], names[second] = names[second], names[first]
    return permuted(self, names)


def transpose_matrix(self) -> Value:
    return permuted(self, range(self.ndim)[::-1])


def movedim(self, source, destination) -> Value:
    source, destination = ([v] if isinstance(v, int) else v for v in (source, destination))
    return permuted(self, _moved(self.ndim, source, destination))


def _moved(rank: int, source: Sequence[int], destination: Sequence[int]) -> list[int]:
    moved = [positive(axis, rank) for axis in source]
    names = [axis for axis in range(rank) if axis not in moved]
    for place, axis in sorted(zip((positive(d, rank) for d in destination), moved, strict=True)):
        names.insert(place, axis)
    return names


def squeeze(self, dim=None) -> Value:
    rank = self.ndim
    names = range(rank) if dim is None else [dim] if isinstance(dim, int) else dim
    return without(
        self, [n for n in {positive(n, rank) for n in names} if rank and self.shape[n] == 1]
    )


def unsqueeze(self, dim) -> Value:
    axis = dim % (self.ndim + 1)
    array, order = stored(self)
    return laid(array[..., None], [*order[:axis], array.ndim, *order[axis:]])


def expand(self, size, *, implicit=False) -> Value:
    """Axes of length 1 repeated; -1 keeps a length; new axes stand in front."""
    new = len(size) - self.ndim
    shape = [self.shape[axis - new] if length == -1 else length for axis, length in enumerate(size)]
    if not new and isinstance(self, Laid):
        names = np.argsort(self.order)
        return laid(jnp.broadcast_to(self.stored, [shape[name] for name in names]), self.order)
    return jnp.broadcast_to(plain(self), shape)


def repeat(self, repeats) -> Array:
    return jnp.tile(plain(self), tuple(repeats))


def repeat_interleave(self, repeats, dim=None, *, output_size=None) -> Array:
    if is_array(repeats) and output_size is None:
        raise InputError(
            "repeat_interleave with an array of repeats gives a shape that is not known; give "
            "output_size"
        )
    return jnp.repeat(
        plain(self),
        plain(repeats) if is_array(repeats) else repeats,
        axis=dim,
        total_repeat_length=output_size,
    )


def as_strided(self, size, stride, storage_offset=None) -> Array:
    """Elements of the flattened array at regular places."""
    places = np.full((), storage_offset or 0)
    for length, step in zip(size, stride, strict=True):
        places = places[..., None] + np.arange(length) * step
    return plain(self).reshape(-1)[places.reshape(tuple(size))]


def sliding(self, dimension, size, step) -> Array:
    """Windows along one axis, as a new last axis: torch.Tensor.unfold."""
    x = plain(self)
    axis = positive(dimension, x.ndim)
    starts = np.arange(0, x.shape[axis] - size + 1, step)
    return jnp.moveaxis(jnp.take(x, starts[:, None] + np.arange(size), axis=axis), axis + 1, -1)


# --- parts -------------------------------------------------------------------


def slice_(self, dim=0, start=None, end=None, step=1) -> Value:
    array, order = stored(self)
    axis = order[positive(dim, self.ndim)]
    first, last, step = slice(start, end, step).indices(array.shape[axis])
    return laid(lax.slice_in_dim(array, first, max(first, last), step, axis), order)


def narrow(self, dim, start, length) -> Value:
    return slice_(self, dim, start, start + length)


def select(self, dim, index) -> Value:
    array, order = stored(self)
    name = positive(dim, self.ndim)
    if is_array(index):
        part = jnp.take(array, plain(index).reshape(1), axis=order[name])
    else:
        at = index % array.shape[order[name]]
        part = lax.slice_in_dim(array, at, at + 1, 1, order[name])
    return without(laid(part, order), [name])


def split_with_sizes(self, split_sizes, dim=0) -> list[Value]:
    ends = np.cumsum(split_sizes)
    return [slice_(self, dim, int(e - s), int(e)) for e, s in zip(ends, split_sizes, strict=True)]


def split(self, split_size, dim=0) -> list[Value]:
    if not isinstance(split_size, int):
        return split_with_sizes(self, split_size, dim)
    total = self.shape[positive(dim, self.ndim)]
    return [
        slice_(self, dim, start, min(start + split_size, total))
        for start in range(0, total, split_size)
    ]


def chunk(self, chunks, dim=0) -> list[Value]:
    return split(self, -(-self.shape[positive(dim, self.ndim)] // chunks), dim)


def tensor_split(self, indices_or_sections, dim=0) -> list[Array]:
    return jnp.array_split(plain(self), indices_or_sections, axis=dim)


def unbind(self, dim=0) -> list[Value]:
    return [select(self, dim, index) for index in range(self.shape[positive(dim, self.ndim)])]


def diagonal(self, offset=0, dim1=0, dim2=1) -> Array:
    return jnp.diagonal(plain(self), offset, dim1, dim2)


def diag_embed(self, offset=0, dim1=-2, dim2=-1) -> Array:
    """The last axis as the diagonal of matrices."""
    x = plain(self)
    size = x.shape[-1] + abs(offset)
    rows = np.arange(x.shape[-1]) + max(0, -offset)
    columns = np.arange(x.shape[-1]) + max(0, offset)
    matrices = jnp.zeros((*x.shape[:-1], size, size), x.dtype).at[..., rows, columns].set(x)
    return jnp.moveaxis(matrices, (-2, -1), (dim1, dim2))


def triangle(function: Callable[..., Array]) -> Callable[..., Array]:
    def operator(self: Value, diagonal: int = 0) -> Array:
        return function(plain(self), diagonal)

    return operator


def flip(self, dims) -> Value:
    array, order = stored(self)
    return laid(lax.rev(array, [order[positive(dim, self.ndim)] for dim in dims]), order)


def roll(self, shifts, dims=()) -> Value:
    shifts, dims = ([v] if isinstance(v, int) else list(v) for v in (shifts, dims))
    if not dims:
        return jnp.roll(plain(self), shifts[0])
    array, order = stored(self)
    return laid(jnp.roll(array, shifts, [order[positive(dim, self.ndim)] for dim in dims]), order)


def rot90(self, k=1, dims=(0, 1)) -> Array:
    return jnp.rot90(plain(self), k, tuple(dims))


# --- joins -------------------------------------------------------------------


def cat(tensors, dim=0) -> Value:
    """Arrays one behind another; an empty vector joins anything."""
    dtype = types.promoted(tensors)
    some = [t for t in tensors if t.shape != (0,)] or list(tensors[:1])
    rank = some[0].ndim
    order = next((t.order for t in some if isinstance(t, Laid)), tuple(range(rank)))
    arrays = [in_order(types.cast(t, dtype), order) for t in some]
    return laid(lax.concatenate(arrays, order[positive(dim, rank)]), order)


def stack(tensors, dim=0) -> Value:
    return cat(
        [unsqueeze(tensor, dim % (tensor.ndim + 1)) for tensor in tensors],
        dim % (tensors[0].ndim + 1),
    )


def meshgrid(tensors, *, indexing="ij") -> list[Array]:
    return jnp.meshgrid(*(plain(t) for t in tensors), indexing=indexing)


def broadcast_tensors(tensors) -> list[Array]:
    return list(jnp.broadcast_arrays(*(plain(t) for t in tensors)))


ATEN: dict[str, Callable[..., Any]] = {
    **{name: view for name in ("view", "reshape", "_unsafe_view")},
    "flatten": flatten,
    "unflatten": unflatten,
    "permute": permute,
    **{name: transpose for name in ("transpose", "swapaxes", "swapdims")},
    **{name: transpose_matrix for name in ("t", "numpy_T")},
    **{name: movedim for name in ("movedim", "moveaxis")},
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "expand": expand,
    **{name: repeat for name in ("repeat", "tile")},
    "repeat_interleave": repeat_interleave,
    "as_strided": as_strided,
    "unfold": sliding,
    "slice": slice_,
    "narrow": narrow,
    "select": select,
    "split": split,
    "split_with_sizes": split_with_sizes,
    "unsafe_split": split,
    "unsafe_split_with_sizes": split_with_sizes,
    "chunk": chunk,
    "tensor_split": tensor_split,
    "unbind": unbind,
    "diagonal": diagonal,
    "diag_embed": diag_embed,
    "tril": triangle(jnp.tril),
    "triu": triangle(jnp.triu),
    "flip": flip,
    "roll": roll,
    "rot90": rot90,
    **{name: cat for name in ("cat", "concat", "concatenate")},
    "stack": stack,
    "meshgrid": meshgrid,
    "broadcast_tensors": broadcast_tensors,
}
