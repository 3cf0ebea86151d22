"""Arithmetic of two arrays, comparisons and conditions: the ATen operators of their names.

Types of results follow PyTorch's promotion. What is on a bound passes its gradient, as in PyTorch.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import Array, Value, is_array, plain
from jaxadv.foreign.operators import types
from jaxadv.foreign.operators.elementwise import each, unary
from model_ports.errors import InputError


def binary(
    function: Callable[[Array, Array], Array], *, real: bool = False
) -> Callable[..., Value]:
    """An operator of two arrays, or an array and a number; ``real``: the result is never whole."""

    def operator(self: Any, other: Any) -> Value:
        dtype = types.promoted([self, other])
        if real and not types.is_real(np.empty(0, dtype)):
            dtype = types.floating()
        return each(function, self, other, dtype=dtype)

    return operator


_add, _subtract = binary(jnp.add), binary(jnp.subtract)
_multiply, _divide = binary(jnp.multiply), binary(jnp.true_divide, real=True)


def _scaled(value: Any, alpha: Any) -> Any:
    return value if alpha == 1 else _multiply(value, alpha) if is_array(value) else value * alpha


def add(self, other, alpha=1) -> Value:
    if alpha == 1 and types.promoted([self, other]) == np.bool_:
        return binary(jnp.logical_or)(self, other)
    return _add(self, _scaled(other, alpha))


def sub(self, other, alpha=1) -> Value:
    return _subtract(self, _scaled(other, alpha))


def rsub(self, other, alpha=1) -> Value:
    return _subtract(other, _scaled(self, alpha))


def mul(self, other) -> Value:
    return _multiply(self, other)


def div(self, other, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode is None:
        return _divide(self, other)
    if rounding_mode == "floor":
        return binary(jnp.floor_divide)(self, other)
    dtype = types.promoted([self, other])
    if types.is_real(np.empty(0, dtype)):
        return each(lambda x, y: jnp.trunc(x / y), self, other, dtype=dtype)
    return each(lax.div, *_broadcast(self, other, dtype=dtype))


def _broadcast(*values: Any, dtype: Any) -> list[Array]:
    """For functions of `jax.lax`, which do not broadcast."""
    return list(jnp.broadcast_arrays(*(plain(types.cast(value, dtype)) for value in values)))


def fmod(self, other) -> Value:
    return binary(jnp.fmod)(self, other)


def pow(self, exponent) -> Value:  # noqa: A001
    """x^y; a whole Python exponent is a product, whose slope at 0 is no NaN."""
    dtype = types.promoted([self, exponent])
    if is_array(self) and isinstance(exponent, (int, float)) and dtype == self.dtype:
        if exponent == 0.5:
            return unary(jnp.sqrt)(self)
        if float(exponent).is_integer() and abs(exponent) < 64:
            return unary(lambda x: lax.integer_pow(x, int(exponent)))(self)
    return each(jnp.power, self, exponent, dtype=dtype)


def xlogy(self, other) -> Value:
    return binary(jax.scipy.special.xlogy, real=True)(self, other)


def lerp(self, end, weight) -> Value:
    if is_array(weight):
        return each(lambda x, y, w: x + w * (y - x), self, end, weight)
    return each(lambda x, y: x + weight * (y - x), self, end)


def addcmul(self, tensor1, tensor2, *, value=1) -> Value:
    return add(self, mul(tensor1, tensor2), value)


def addcdiv(self, tensor1, tensor2, *, value=1) -> Value:
    return add(self, div(tensor1, tensor2), value)


# --- comparisons and truth values --------------------------------------------


def compared(function: Callable[[Array, Array], Array]) -> Callable[..., Value]:
    def operator(self: Any, other: Any) -> Value:
        return each(function, self, other, dtype=types.promoted([self, other]))

    return operator


def logical(function: Callable[..., Array]) -> Callable[..., Value]:
    def operator(*values: Any) -> Value:
        return each(function, *values, dtype=np.bool_)

    return operator


def where(condition, self=None, other=None) -> Value:
    """Elements of ``self`` where the condition holds, elsewhere of ``other``."""
    if self is None:
        raise InputError(
            "aten.where with a condition alone gives an array whose shape depends on the image; "
            "give where all three arguments"
        )
    dtype = types.promoted([self, other])
    condition = types.cast(condition, np.bool_)
    return each(jnp.where, condition, types.cast(self, dtype), types.cast(other, dtype))


def masked_fill(self, mask, value) -> Value:
    return where(mask, types.cast(value, self.dtype), self)


def isclose(self, other, rtol=1e-5, atol=1e-8, equal_nan=False) -> Value:
    return each(
        functools.partial(jnp.isclose, rtol=rtol, atol=atol, equal_nan=equal_nan), self, other
    )


def clamp(self, min=None, max=None) -> Value:  # noqa: A002
    """Between two bounds; what is on a bound passes its gradient, as in PyTorch."""
    bounds = [bound for bound in (min, max) if bound is not None]
    x = types.cast(self, types.promoted([self, *bounds]))
    for bound, outside in ((min, jnp.less), (max, jnp.greater)):
        if bound is not None:
            limit = types.cast(bound, x.dtype)
            x = each(
                lambda x, limit, outside=outside: jnp.where(outside(x, limit), limit, x), x, limit
            )
    return x


def clamp_min(self, min) -> Value:  # noqa: A002
    return clamp(self, min)


def clamp_max(self, max) -> Value:  # noqa: A002
    return clamp(self, None, max)


def logit(self, eps=None) -> Value:
    x = types.as_real(self) if eps is None else clamp(types.as_real(self), eps, 1 - eps)
    return unary(lambda x: jnp.log(x / (1 - x)))(x)


_COMPARED = {
    "eq": jnp.equal,
    "ge": jnp.greater_equal,
    "gt": jnp.greater,
    "le": jnp.less_equal,
    "lt": jnp.less,
    "ne": jnp.not_equal,
}
_LOGICAL = {
    "logical_and": jnp.logical_and,
    "logical_not": jnp.logical_not,
    "logical_or": jnp.logical_or,
    "logical_xor": jnp.logical_xor,
}
_BINARY = {
    "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor,
    "bitwise_left_shift": jnp.left_shift,
    "bitwise_right_shift": jnp.right_shift,
    "__lshift__": jnp.left_shift,
    "__rshift__": jnp.right_shift,
    "copysign": jnp.copysign,
    "floor_divide": jnp.floor_divide,
    "fmax": jnp.fmax,
    "fmin": jnp.fmin,
    "gcd": jnp.gcd,
    "heaviside": lambda x, values: jnp.heaviside(x, values),
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "max.other": jnp.maximum,
    "min.other": jnp.minimum,
    "nextafter": jnp.nextafter,
    "remainder": jnp.remainder,
}
_BINARY_REAL = {
    "atan2": jnp.arctan2,
    "complex": lax.complex,
    "hypot": jnp.hypot,
    "logaddexp": jnp.logaddexp,
    "logaddexp2": jnp.logaddexp2,
}
ATEN: dict[str, Callable[..., Any]] = {
    **{name: compared(function) for name, function in _COMPARED.items()},
    **{name: logical(function) for name, function in _LOGICAL.items()},
    **{name: binary(function) for name, function in _BINARY.items()},
    **{name: binary(function, real=True) for name, function in _BINARY_REAL.items()},
    "add": add,
    "sub": sub,
    "rsub": rsub,
    "mul": mul,
    "div": div,
    "fmod": fmod,
    "pow": pow,
    "xlogy": xlogy,
    "lerp": lerp,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "where": where,
    "masked_fill": masked_fill,
    "isclose": isclose,
    "clamp": clamp,
    "clamp_min": clamp_min,
    "clamp_max": clamp_max,
    "logit": logit,
}
"""By name, or by name and overload."""
