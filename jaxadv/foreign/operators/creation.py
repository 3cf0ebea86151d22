"""New arrays: filled ones, ranges, identities. The ATen operators of their names."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import Array, Value, is_array, laid, plain, stored
from jaxadv.foreign.operators import types
from model_ports.errors import InputError


def _type(dtype: Any, *values: Any) -> Any:
    return types.promoted(values) if dtype is None else dtype


def full(size, fill_value, *, dtype=None, layout=None, device=None, pin_memory=None) -> Array:
    return jnp.full(tuple(size), fill_value, _type(dtype, fill_value))


def filled(value: float) -> Callable[..., Array]:
    def operator(
        size, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None
    ) -> Array:
        return jnp.full(tuple(size), value, types.floating() if dtype is None else dtype)

    return operator


def new_filled(value: float) -> Callable[..., Array]:
    def operator(self, size, *, dtype=None, layout=None, device=None, pin_memory=None) -> Array:
        return jnp.full(tuple(size), value, _type(dtype, self))

    return operator


def filled_like(value: float) -> Callable[..., Value]:
    def operator(
        self, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None
    ) -> Value:
        return full_like(self, value, dtype=dtype)

    return operator


def full_like(
    self, fill_value, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None
) -> Value:
    array, order = stored(self)
    return laid(
        jnp.full(array.shape, plain(fill_value), array.dtype if dtype is None else dtype), order
    )


def new_full(
    self, size, fill_value, *, dtype=None, layout=None, device=None, pin_memory=None
) -> Array:
    return jnp.full(tuple(size), fill_value, _type(dtype, self))


def fill(self, value) -> Value:
    return full_like(self, value)


def scalar_tensor(s, *, dtype=None, layout=None, device=None, pin_memory=None) -> Array:
    return jnp.asarray(s, types.floating() if dtype is None else dtype)


def arange(
    start, end=None, step=1, *, dtype=None, layout=None, device=None, pin_memory=None
) -> Array:
    start, end = (0, start) if end is None else (start, end)
    values = np.arange(
        start, end, step, dtype=np.float64 if isinstance(start + end + step, float) else np.int64
    )
    return jnp.asarray(values, _type(dtype, start, end, step))


def linspace(start, end, steps, *, dtype=None, layout=None, device=None, pin_memory=None) -> Array:
    dtype = types.floating() if dtype is None else dtype
    if is_array(start) or is_array(end):
        return jnp.linspace(plain(start), plain(end), steps, dtype=dtype)
    return jnp.asarray(np.linspace(start, end, steps), dtype)


def eye(n, m=None, *, dtype=None, layout=None, device=None, pin_memory=None) -> Array:
    return jnp.eye(n, m, dtype=types.floating() if dtype is None else dtype)


def one_hot(self, num_classes=-1) -> Array:
    if num_classes < 0:
        raise InputError(
            "one_hot without a number of classes gives a shape that is not known; give num_classes"
        )
    return jax.nn.one_hot(plain(self), num_classes, dtype=types.canonical(np.int64))


ATEN: dict[str, Callable[..., Any]] = {
    "full": full,
    "full_like": full_like,
    "new_full": new_full,
    "fill": fill,
    **{name: filled(0.0) for name in ("zeros", "empty")},
    "ones": filled(1.0),
    **{name: filled_like(0.0) for name in ("zeros_like", "empty_like", "zero")},
    "ones_like": filled_like(1.0),
    **{name: new_filled(0.0) for name in ("new_zeros", "new_empty")},
    "new_ones": new_filled(1.0),
    "scalar_tensor": scalar_tensor,
    "arange": arange,
    "linspace": linspace,
    "eye": eye,
    "one_hot": one_hot,
}
