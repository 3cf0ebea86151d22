"""Functions of single numbers, and copies of arrays.

Each function is the ATen operator of its name, with the arguments that PyTorch documents. Types of
results follow
PyTorch's promotion. Where a function has a corner, its slope there is the one that PyTorch gives.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import Array, Laid, Value, in_order, is_array, laid, plain, stored
from jaxadv.foreign.operators import types
from model_ports.errors import InputError


def each(function: Callable[..., Array], *values: Any, dtype: Any = None) -> Value:
    """``function`` of arrays that broadcast against each other, element by element.

    Args:
        function: of arrays of one rank, of axes stored in one order.
        values: arrays of either layout, or Python numbers.
        dtype: the type that all are cast to first; None: each stays as it is.
    """
    arrays = [types.cast(v, dtype) if dtype is not None else v for v in values]
    arrays = [v if is_array(v) else jnp.asarray(v) for v in arrays]
    rank = max(v.ndim for v in arrays)
    lead = max(
        (v for v in arrays if isinstance(v, Laid) and v.ndim == rank),
        key=lambda v: v.stored.size,
        default=None,
    )
    order = tuple(range(rank)) if lead is None else lead.order
    same = [in_order(_with_rank(v, rank), order) for v in arrays]
    return laid(function(*same), order)


def _with_rank(value: Value, rank: int) -> Value:
    """New axes of length 1 in front, as broadcasting has them."""
    if value.ndim == rank:
        return value
    array = plain(value)
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def unary(function: Callable[[Array], Array], *, real: bool = False) -> Callable[..., Value]:
    """An operator of one array; ``real``: whole numbers become real ones first."""

    def operator(self: Value) -> Value:
        array, order = stored(types.as_real(self) if real else self)
        return laid(function(array), order)

    return operator


def _sign(x: Array) -> Array:
    return x if x.dtype == np.bool_ else jnp.sign(x)


def round(self: Value, *, decimals: int = 0) -> Value:  # noqa: A001
    return unary(lambda x: jnp.round(x, decimals))(self)


def nan_to_num(self, nan=None, posinf=None, neginf=None) -> Value:
    return unary(lambda x: jnp.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf))(self)


def to_copy(
    self,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=None,
    non_blocking=False,
    memory_format=None,
) -> Value:
    return self if dtype is None else types.cast(self, dtype)


def passed(self, *_: Any, **__: Any) -> Value:
    """The array itself: copies, memory formats, devices and the like mean nothing here."""
    return self


def dropout(input, p, train) -> Value:  # noqa: A002
    if train and p:
        raise InputError(
            "draws random numbers, so that no two calls agree; call eval(), or take the "
            "randomness out of the module"
        )
    return input


def detached(self) -> Value:
    array, order = stored(self)
    return laid(lax.stop_gradient(array), order)


def prims_convert(a, dtype) -> Value:
    return types.cast(a, dtype)


def polar(abs, angle) -> Value:  # noqa: A002
    return each(lambda r, t: lax.complex(r * jnp.cos(t), r * jnp.sin(t)), abs, angle)


def view_as_complex(self) -> Array:
    x = plain(self)
    return lax.complex(x[..., 0], x[..., 1])


def view_as_real(self) -> Array:
    x = plain(self)
    return jnp.stack([jnp.real(x), jnp.imag(x)], axis=-1)


_WHOLE: dict[str, Callable[[Array], Array]] = {
    "abs": jnp.abs,
    "bitwise_not": jnp.invert,
    "ceil": jnp.ceil,
    "floor": jnp.floor,
    "frac": lambda x: x - jnp.trunc(x),
    "isfinite": jnp.isfinite,
    "isinf": jnp.isinf,
    "isnan": jnp.isnan,
    "isneginf": jnp.isneginf,
    "isposinf": jnp.isposinf,
    "neg": jnp.negative,
    "positive": jnp.positive,
    "real": jnp.real,
    "imag": jnp.imag,
    "conj": jnp.conj,
    "_conj": jnp.conj,
    "conj_physical": jnp.conj,
    "resolve_conj": lambda x: x,
    "resolve_neg": lambda x: x,
    "sgn": jnp.sign,
    "sign": _sign,
    "signbit": jnp.signbit,
    "square": jnp.square,
    "trunc": jnp.trunc,
}
_REAL: dict[str, Callable[[Array], Array]] = {
    "acos": jnp.arccos,
    "acosh": jnp.arccosh,
    "angle": jnp.angle,
    "asin": jnp.arcsin,
    "asinh": jnp.arcsinh,
    "atan": jnp.arctan,
    "atanh": jnp.arctanh,
    "cos": jnp.cos,
    "cosh": jnp.cosh,
    "deg2rad": jnp.deg2rad,
    "digamma": jax.scipy.special.digamma,
    "erf": lax.erf,
    "erfc": lax.erfc,
    "erfinv": lax.erf_inv,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "special_exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "lgamma": jax.scipy.special.gammaln,
    "log": jnp.log,
    "log10": jnp.log10,
    "log1p": jnp.log1p,
    "log2": jnp.log2,
    "rad2deg": jnp.rad2deg,
    "reciprocal": jnp.reciprocal,
    "rsqrt": lax.rsqrt,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
    "sinc": jnp.sinc,
    "sinh": jnp.sinh,
    "special_entr": jax.scipy.special.entr,
    "special_erfcx": lambda x: jnp.exp(x * x) * lax.erfc(x),
    "special_i0": jax.scipy.special.i0,
    "special_i0e": jax.scipy.special.i0e,
    "special_i1": jax.scipy.special.i1,
    "special_i1e": jax.scipy.special.i1e,
    "special_log_ndtr": jax.scipy.special.log_ndtr,
    "special_ndtr": jax.scipy.special.ndtr,
    "special_ndtri": jax.scipy.special.ndtri,
    "sqrt": jnp.sqrt,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
}
ATEN: dict[str, Callable[..., Any]] = {
    **{name: unary(function) for name, function in _WHOLE.items()},
    **{name: unary(function, real=True) for name, function in _REAL.items()},
    "round": round,
    "nan_to_num": nan_to_num,
    "_to_copy": to_copy,
    "clone": passed,
    "contiguous": passed,
    "alias": passed,
    "lift_fresh_copy": passed,
    "detach": detached,
    "dropout": dropout,
    "feature_dropout": dropout,
    "alpha_dropout": dropout,
    "feature_alpha_dropout": dropout,
    "polar": polar,
    "view_as_complex": view_as_complex,
    "view_as_real": view_as_real,
}
"""By name, or by name and overload."""
