"""Elements at places that are arrays, scattered writes, sorting, Fourier transforms: the ATen
operators of their names."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import Array, Value, is_array, plain, positive
from jaxadv.foreign.operators import types
from jaxadv.foreign.operators.arithmetic import where
from model_ports.errors import InputError


def _place(indices: Sequence[Any]) -> tuple:
    """torch's list as an index: None takes a whole axis. Raises InputError for a mask that is not
    constant."""
    place = tuple(slice(None) if index is None else plain(index) for index in indices)
    for index in place:
        if (
            not isinstance(index, slice)
            and index.dtype == np.bool_
            and isinstance(index, jax.core.Tracer)
        ):
            raise InputError(
                "an index of truth values gives a shape that depends on the image; use torch.where"
            )
    return place


def index(self, indices) -> Array:
    return plain(self)[_place(indices)]


def index_put(self, indices, values, accumulate=False, unsafe=False) -> Value:
    x, written = plain(self), plain(types.cast(values, self.dtype))
    masks = [i for i in indices if i is not None]
    if (
        len(masks) == 1 == len(indices)
        and masks[0].dtype == np.bool_
        and written.size == 1
        and not accumulate
    ):
        mask = plain(masks[0])
        mask = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
        return where(mask, written.reshape(()), x)
    at = x.at[_place(indices)]
    return at.add(written) if accumulate else at.set(written)


def index_select(self, dim, index) -> Array:
    return jnp.take(plain(self), plain(index).reshape(-1), axis=dim)


def index_fill(self, dim, index, value) -> Array:
    x = plain(self)
    return x.at[_along(x, dim, plain(index))].set(plain(types.cast(value, x.dtype)))


def index_copy(self, dim, index, source) -> Array:
    x = plain(self)
    return x.at[_along(x, dim, plain(index))].set(plain(source))


def index_add(self, dim, index, source, *, alpha=1) -> Array:
    x = plain(self)
    return x.at[_along(x, dim, plain(index))].add(plain(source) * alpha)


def _along(x: Array, dim: int, index: Array) -> tuple:
    return (slice(None),) * positive(dim, x.ndim) + (index,)


def gather(self, dim, index, *, sparse_grad=False) -> Array:
    """out[i][j] = self[index[i][j]][j] for axis 0; the index may be shorter along the other
    axes."""
    x, at = plain(self), plain(index)
    if not x.ndim:
        return jnp.broadcast_to(x, at.shape)
    return x[_grid(at, positive(dim, x.ndim))]


def _grid(index: Array, axis: int) -> tuple:
    """The place of each element of an index, which says where along one axis."""
    places = [lax.broadcasted_iota(index.dtype, index.shape, other) for other in range(index.ndim)]
    places[axis] = index
    return tuple(places)


def take_along_dim(self, indices, dim=None) -> Array:
    x, at = plain(self), plain(indices)
    return x.reshape(-1)[at.reshape(-1)] if dim is None else jnp.take_along_axis(x, at, axis=dim)


def take(self, index) -> Array:
    return plain(self).reshape(-1)[plain(index)]


def scatter(self, dim, index, src, *, reduce: str | None = None) -> Array:
    x, at = plain(self), plain(index)
    values = plain(types.cast(src, x.dtype))
    values = jnp.broadcast_to(values, at.shape) if not values.ndim else _fitted(values, at.shape)
    target = x.at[_grid(at, positive(dim, x.ndim))]
    if reduce is None:
        return target.set(values)
    return {"add": target.add, "multiply": target.multiply}[reduce](values)


def _fitted(values: Array, shape: tuple[int, ...]) -> Array:
    """Of a source that is longer than the index, what the index asks for."""
    return values[tuple(slice(size) for size in shape)]


def scatter_add(self, dim, index, src) -> Array:
    return scatter(self, dim, index, src, reduce="add")


def scatter_reduce(self, dim, index, src, reduce, *, include_self=True) -> Array:
    x, at = plain(self), plain(index)
    place = _grid(at, positive(dim, x.ndim))
    values = _fitted(plain(src), at.shape)
    if not include_self:
        neutral = {"sum": 0, "mean": 0, "prod": 1, "amax": -np.inf, "amin": np.inf}[reduce]
        x = x.at[place].set(jnp.asarray(neutral, x.dtype))
    target = x.at[place]
    if reduce == "mean":
        count = jnp.full(x.shape, int(include_self), x.dtype).at[place].add(jnp.ones((), x.dtype))
        return target.add(values) / jnp.maximum(count, jnp.ones((), x.dtype))
    return {"sum": target.add, "prod": target.multiply, "amax": target.max, "amin": target.min}[
        reduce
    ](values)


def select_scatter(self, src, dim, index) -> Array:
    x = plain(self)
    return x.at[(slice(None),) * positive(dim, x.ndim) + (index,)].set(plain(src))


def slice_scatter(self, src, dim=0, start=None, end=None, step=1) -> Array:
    x = plain(self)
    return x.at[(slice(None),) * positive(dim, x.ndim) + (slice(start, end, step),)].set(plain(src))


def copied(self, src, non_blocking=False) -> Array:
    return jnp.broadcast_to(plain(types.cast(src, self.dtype)), self.shape)


def masked_scatter(self, mask, source) -> Array:
    """The elements of a source one after another where the mask holds."""
    x, chosen = jnp.broadcast_arrays(plain(self), plain(mask))
    number = jnp.cumsum(chosen.reshape(-1)) - 1
    return jnp.where(chosen, plain(source).reshape(-1)[jnp.maximum(number, 0)].reshape(x.shape), x)


def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False) -> Array:
    return jnp.take(plain(weight), plain(indices), axis=0)


# --- sorting -----------------------------------------------------------------


def sort(self, dim=-1, descending=False, *, stable=True) -> tuple[Array, Array]:
    place = argsort(self, dim, descending)
    return jnp.take_along_axis(plain(self), place, axis=dim) if place.ndim else (plain(self)), place


def sort_stable(self, *, stable, dim=-1, descending=False) -> tuple[Array, Array]:
    return sort(self, dim, descending)


def argsort(self, dim=-1, descending=False, *, stable=True) -> Array:
    x = plain(self)
    if not x.ndim:
        return jnp.zeros((), types.canonical(np.int64))
    return jnp.argsort(x, axis=dim, stable=True, descending=descending).astype(
        types.canonical(np.int64)
    )


def argsort_stable(self, *, stable, dim=-1, descending=False) -> Array:
    return argsort(self, dim, descending)


def topk(self, k, dim=-1, largest=True, sorted=True) -> tuple[Array, Array]:  # noqa: A002
    """The k largest or smallest elements along an axis, in order, and their places."""
    x = plain(self)
    place = lax.slice_in_dim(argsort(x, dim, largest), 0, k, axis=positive(dim, x.ndim))
    return jnp.take_along_axis(x, place, axis=dim), place


def kthvalue(self, k, dim=-1, keepdim=False) -> tuple[Array, Array]:
    value, place = (
        lax.slice_in_dim(a, k - 1, k, axis=positive(dim, a.ndim)) for a in sort(self, dim)
    )
    return (value, place) if keepdim else (jnp.squeeze(value, dim), jnp.squeeze(place, dim))


def bucketize(self, boundaries, *, out_int32=False, right=False) -> Array:
    side = "right" if right else "left"
    place = jnp.searchsorted(plain(boundaries), plain(self), side=side)
    return place.astype(types.canonical(np.int32 if out_int32 else np.int64))


def searchsorted(
    sorted_sequence, self, *, out_int32=False, right=False, side=None, sorter=None
) -> Array:
    row = plain(sorted_sequence)
    if row.ndim != 1 or is_array(sorter):
        raise InputError("searchsorted in several sequences, or with a sorter, is not read")
    return bucketize(self, row, out_int32=out_int32, right=right or side == "right")


def isin(elements, test_elements, *, assume_unique=False, invert=False) -> Array:
    return jnp.isin(plain(elements), plain(test_elements), invert=invert)


# --- Fourier transforms ------------------------------------------------------


def _normed(x: Array, shape: Sequence[int], axes: Sequence[int], normalization: int) -> Array:
    """0 as it is, 1 over the root of the count, 2 over the count."""
    count = float(np.prod([shape[axis] for axis in axes]))
    return x / (1.0, count**0.5, count)[normalization]


def fft_real(self, dim, normalization, onesided) -> Array:
    x = plain(self)
    out = jnp.fft.rfftn(x, axes=tuple(dim)) if onesided else jnp.fft.fftn(x, axes=tuple(dim))
    return _normed(out, x.shape, dim, normalization)


def fft_to_real(self, dim, normalization, last_dim_size) -> Array:
    x = plain(self)
    sizes = [*(x.shape[axis] for axis in dim[:-1]), last_dim_size]
    out = jnp.fft.irfftn(x, s=sizes, axes=tuple(dim))
    count = float(np.prod(sizes))
    return out * (count, count**0.5, 1.0)[normalization]


def fft_complex(self, dim, normalization, forward) -> Array:
    x = plain(self)
    if forward:
        return _normed(jnp.fft.fftn(x, axes=tuple(dim)), x.shape, dim, normalization)
    count = float(np.prod([x.shape[axis] for axis in dim]))
    return jnp.fft.ifftn(x, axes=tuple(dim)) * (count, count**0.5, 1.0)[normalization]


ATEN: dict[str, Callable[..., Any]] = {
    **{name: index for name in ("index", "_unsafe_index")},
    **{name: index_put for name in ("index_put", "_unsafe_index_put")},
    "index_select": index_select,
    "index_fill": index_fill,
    "index_copy": index_copy,
    "index_add": index_add,
    "gather": gather,
    "take_along_dim": take_along_dim,
    "take": take,
    "scatter": scatter,
    "scatter_add": scatter_add,
    "scatter_reduce": scatter_reduce,
    "select_scatter": select_scatter,
    "slice_scatter": slice_scatter,
    "copy": copied,
    "masked_scatter": masked_scatter,
    "embedding": embedding,
    "sort": sort,
    "sort.stable": sort_stable,
    "argsort": argsort,
    "argsort.stable": argsort_stable,
    "topk": topk,
    "kthvalue": kthvalue,
    "bucketize": bucketize,
    "searchsorted": searchsorted,
    "isin": isin,
    "_fft_r2c": fft_real,
    "_fft_c2r": fft_to_real,
    "_fft_c2c": fft_complex,
}
