"""Sums, means, largest elements, norms and running sums: the ATen operators of their names."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import (
    Array,
    Value,
    all_axes,
    is_array,
    laid,
    plain,
    positive,
    reduced,
    stored,
    without,
)
from jaxadv.foreign.operators import types


def reduction(function: Callable[..., Array], *, real: bool = False) -> Callable[..., Value]:
    """An operator over some axes, or over all; ``real``: its result is never whole."""

    def operator(
        self: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Value:
        x = types.cast(self, dtype) if dtype is not None else types.as_real(self) if real else self
        return reduced(function, x, dim, keepdim)

    return operator


def _whole(function: Callable[..., Array]) -> Callable[..., Array]:
    """Truth values are added up as whole numbers."""
    return lambda x, **axes: function(
        x.astype(types.canonical(np.int64)) if x.dtype == bool else x, **axes
    )


sum_ = reduction(_whole(jnp.sum))
mean = reduction(jnp.mean, real=True)


def prod(self, dim=None, keepdim=False, *, dtype=None) -> Value:
    x = self if dtype is None else types.cast(self, dtype)
    return reduced(_whole(jnp.prod), x, dim, keepdim)


def var(self, dim=None, unbiased=True, keepdim=False, *, correction=None) -> Value:
    """Variance with ``correction`` taken off the count; 1, or 0 where not ``unbiased``."""
    if isinstance(dim, bool):  # var.default(self, unbiased)
        dim, unbiased = None, dim
    off = (1 if unbiased else 0) if correction is None else correction
    count = math.prod(self.shape[axis] for axis in all_axes(dim, self.ndim))

    def function(x: Array, axis: Any, keepdims: bool) -> Array:
        centred = x - jnp.mean(x, axis=axis, keepdims=True)
        return jnp.sum(jnp.square(jnp.abs(centred)), axis=axis, keepdims=keepdims) / max(
            0, count - off
        )

    return reduced(function, types.as_real(self), dim, keepdim)


def std(self, dim=None, unbiased=True, keepdim=False, *, correction=None) -> Value:
    spread, order = stored(var(self, dim, unbiased, keepdim, correction=correction))
    return laid(jnp.sqrt(spread), order)


def var_mean(self, dim=None, unbiased=True, keepdim=False, *, correction=None) -> tuple:
    axes = None if isinstance(dim, bool) else dim
    return var(self, dim, unbiased, keepdim, correction=correction), mean(self, axes, keepdim)


def std_mean(self, dim=None, unbiased=True, keepdim=False, *, correction=None) -> tuple:
    axes = None if isinstance(dim, bool) else dim
    return std(self, dim, unbiased, keepdim, correction=correction), mean(self, axes, keepdim)


def extreme(find: Callable[..., Array]) -> Callable[..., Any]:
    """max.dim and min.dim: the values and their first places along one axis."""

    def operator(self: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
        array, order = stored(self)
        if not self.ndim:
            return array, jnp.zeros((), types.canonical(np.int64))
        name = positive(dim, self.ndim)
        place = find(array, axis=order[name], keepdims=True)
        value = jnp.take_along_axis(array, place, axis=order[name])
        found = laid(value, order), laid(place.astype(types.canonical(np.int64)), order)
        return found if keepdim else (without(found[0], [name]), without(found[1], [name]))

    return operator


def place_of(find: Callable[..., Array]) -> Callable[..., Value]:
    """argmax and argmin, over one axis or over all elements."""

    def operator(self: Value, dim: int | None = None, keepdim: bool = False) -> Value:
        x = plain(self)
        place = find(x, axis=None if dim is None or not x.ndim else dim, keepdims=keepdim)
        return place.astype(types.canonical(np.int64))

    return operator


def aminmax(self, *, dim=None, keepdim=False) -> tuple[Value, Value]:
    return reduced(jnp.min, self, dim, keepdim), reduced(jnp.max, self, dim, keepdim)


def median(self, dim=None, keepdim=False) -> Any:
    """The lower of two middle elements, and its place if an axis is given."""
    x = plain(self)
    if dim is None:
        return jnp.sort(x.reshape(-1))[(x.size - 1) // 2]
    order = jnp.argsort(x, axis=dim, stable=True)
    place = lax.index_in_dim(order, (x.shape[dim] - 1) // 2, positive(dim, x.ndim), keepdims=True)
    value = jnp.take_along_axis(x, place, axis=dim)
    if not keepdim:
        value, place = jnp.squeeze(value, dim), jnp.squeeze(place, dim)
    return value, place.astype(types.canonical(np.int64))


# --- norms -------------------------------------------------------------------


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None) -> Value:  # noqa: A002
    """(sum |x|^p)^(1/p), with slope 0 at 0, as in PyTorch."""
    x = types.as_real(x if dtype is None else types.cast(x, dtype))

    def function(x: Array, axis: Any, keepdims: bool) -> Array:
        size = jnp.abs(x)
        axes = {"axis": axis, "keepdims": keepdims}
        if ord == math.inf:
            return jnp.max(size, **axes)
        if ord == -math.inf:
            return jnp.min(size, **axes)
        if ord == 0:
            return jnp.sum((x != 0).astype(size.dtype), **axes)
        if ord == 1:
            return jnp.sum(size, **axes)
        total = jnp.sum(x * x if ord == 2 and not jnp.iscomplexobj(x) else size**ord, **axes)
        safe = jnp.where(total == 0, jnp.ones_like(total), total)
        root = jnp.sqrt(safe) if ord == 2 else safe ** (1 / ord)
        return jnp.where(total == 0, jnp.zeros_like(total), root)

    return reduced(function, x, dim, keepdim)


def norm(self, p=2, dim=None, keepdim=False, *, dtype=None) -> Value:
    return vector_norm(self, 2 if p is None else p, dim, keepdim, dtype=dtype)


def cdist(x1, x2, p=2.0, compute_mode=None) -> Array:
    """Distances of all rows of one matrix to all of another: (..., M, D), (..., R, D) -> (..., M,
    R)."""
    x, y = plain(x1), plain(x2)
    return plain(vector_norm(x[..., :, None, :] - y[..., None, :, :], p, -1))


def logsumexp(self, dim, keepdim=False) -> Value:
    return reduced(jax.scipy.special.logsumexp, types.as_real(self), dim, keepdim)


# --- running ones ------------------------------------------------------------


def running(function: Callable[..., Array]) -> Callable[..., Value]:
    """cumsum and its kind: along one axis, the shape kept."""

    def operator(self: Value, dim: int, *, dtype: Any = None) -> Value:
        array, order = stored(self if dtype is None else types.cast(self, dtype))
        if not array.ndim:
            return array
        if array.dtype == bool:
            array = array.astype(types.canonical(np.int64))
        return laid(function(array, axis=order[positive(dim, self.ndim)]), order)

    return operator


def running_extreme(function: Callable[..., Array], is_new: Callable) -> Callable[..., Any]:
    """cummax and cummin: the values so far, and the last places where they stood."""

    def operator(self: Value, dim: int) -> tuple[Array, Array]:
        x = plain(self)
        axis = positive(dim, x.ndim)
        best = function(x, axis=axis)
        here = lax.broadcasted_iota(types.canonical(np.int64), x.shape, axis)
        place = lax.cummax(jnp.where(is_new(x, best), here, jnp.zeros_like(here)), axis=axis)
        return jnp.take_along_axis(x, place, axis=axis), place

    return operator


def count_nonzero(self, dim=None) -> Value:
    return reduced(jnp.count_nonzero, self, dim, False).astype(types.canonical(np.int64))


def any_(self, dim=None, keepdim=False) -> Value:
    return reduced(jnp.any, self, dim, keepdim)


def all_(self, dim=None, keepdim=False) -> Value:
    return reduced(jnp.all, self, dim, keepdim)


def largest(self) -> Value:
    return reduced(jnp.max, self, None, False)


def smallest(self) -> Value:
    return reduced(jnp.min, self, None, False)


def diff(self, n=1, dim=-1, prepend=None, append=None) -> Array:
    parts = {"prepend": prepend, "append": append}
    given = {name: plain(part) for name, part in parts.items() if is_array(part)}
    return jnp.diff(plain(self), n=n, axis=dim, **given)


ATEN: dict[str, Callable[..., Any]] = {
    "sum": sum_,
    "mean": mean,
    "nansum": reduction(jnp.nansum),
    "nanmean": reduction(jnp.nanmean, real=True),
    "prod": prod,
    "var": var,
    "std": std,
    "var_mean": var_mean,
    "std_mean": std_mean,
    "amax": reduction(jnp.max),
    "amin": reduction(jnp.min),
    "aminmax": aminmax,
    "max.default": largest,
    "min.default": smallest,
    "max.dim": extreme(jnp.argmax),
    "min.dim": extreme(jnp.argmin),
    "argmax": place_of(jnp.argmax),
    "argmin": place_of(jnp.argmin),
    "median": median,
    "any": any_,
    "all": all_,
    "count_nonzero": count_nonzero,
    "linalg_vector_norm": vector_norm,
    "norm": norm,
    "_cdist_forward": cdist,
    "cdist": cdist,
    "logsumexp": logsumexp,
    "cumsum": running(jnp.cumsum),
    "cumprod": running(jnp.cumprod),
    "logcumsumexp": running(lax.cumlogsumexp),
    "cummax": running_extreme(lax.cummax, lambda x, best: x >= best),
    "cummin": running_extreme(lax.cummin, lambda x, best: x <= best),
    "diff": diff,
}
