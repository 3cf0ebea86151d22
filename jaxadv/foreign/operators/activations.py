"""Activation functions: the ATen operators of their names. At a corner each has PyTorch's slope."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import Array, Value, laid, positive, stored
from jaxadv.foreign.operators import types
from jaxadv.foreign.operators.elementwise import each, unary


def relu(self) -> Value:
    return unary(jax.nn.relu)(self)


def hardtanh(self, min_val=-1.0, max_val=1.0) -> Value:
    """Between two bounds; what is on a bound passes no gradient, unlike `clamp`."""

    def function(x: Array) -> Array:
        low, high = jnp.asarray(min_val, x.dtype), jnp.asarray(max_val, x.dtype)
        return jnp.where(x <= low, low, jnp.where(x >= high, high, x))

    return unary(function)(self)


def relu6(self) -> Value:
    return hardtanh(self, 0.0, 6.0)


def leaky_relu(self, negative_slope=0.01) -> Value:
    return unary(lambda x: jnp.where(x > 0, x, x * negative_slope))(self)


def rrelu(self, lower=0.125, upper=1 / 3, training=False, generator=None) -> Value:
    """In evaluation mode, a leaky ReLU of the mean slope."""
    return leaky_relu(self, (lower + upper) / 2)


def prelu(self, weight) -> Value:
    """One slope for each channel, axis 1, or one for all."""
    shape = [1] * self.ndim
    if self.ndim > 1:
        shape[1] = weight.size
    slopes = weight.reshape(shape if self.ndim > 1 or weight.size == 1 else [-1])
    return each(lambda x, slope: jnp.where(x > 0, x, slope * x), self, slopes)


def prelu_kernel(self, weight) -> Value:
    return each(lambda x, slope: jnp.where(x > 0, x, slope * x), self, weight)


def elu(self, alpha=1.0, scale=1.0, input_scale=1.0) -> Value:
    def function(x: Array) -> Array:
        low = jnp.where(x > 0, jnp.zeros_like(x), x)  # no overflow on the other side
        return scale * jnp.where(x > 0, x, alpha * jnp.expm1(low * input_scale))

    return unary(function)(self)


def selu(self) -> Value:
    return elu(self, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def celu(self, alpha=1.0) -> Value:
    return elu(self, alpha, 1.0, 1.0 / alpha)


@jax.custom_vjp
def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + lax.erf(x * math.sqrt(0.5)))


# The gradient computes erf again, in other words so that XLA does not keep it: on a CPU, writing and
# reading it takes longer.
def _gelu_gradient(x: Array, gradient: Array) -> tuple[Array]:
    share = 0.5 - 0.5 * lax.erf(x * -math.sqrt(0.5))
    return (gradient * (share + x * jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))),)


_gelu.defvjp(lambda x: (_gelu(x), x), _gelu_gradient)


def gelu(self, *, approximate: str = "none") -> Value:
    def tanh(x: Array) -> Array:
        return 0.5 * x * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))

    return unary(tanh if approximate == "tanh" else _gelu)(self)


def silu(self) -> Value:
    return unary(lambda x: x * jax.nn.sigmoid(x))(self)


def mish(self) -> Value:
    return unary(lambda x: x * jnp.tanh(jax.nn.softplus(x)))(self)


def softplus(self, beta=1.0, threshold=20.0) -> Value:
    def function(x: Array) -> Array:
        scaled = x * beta
        small = jnp.where(scaled > threshold, jnp.zeros_like(x), scaled)
        return jnp.where(scaled > threshold, x, jnp.log1p(jnp.exp(small)) / beta)

    return unary(function)(self)


_SIXTH = float(np.float32(1 / 6))
"""The slope of PyTorch's hard sigmoid, which is this number in double precision too."""


@jax.custom_jvp
def _hard_sigmoid(x: Array) -> Array:
    """min(max(x + 3, 0), 6) / 6."""
    return jnp.clip(x + 3, 0, 6) / 6


@_hard_sigmoid.defjvp
def _(values: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (change,) = values, tangents
    slope = jnp.where((x > -3) & (x < 3), jnp.asarray(_SIXTH, x.dtype), jnp.zeros((), x.dtype))
    return _hard_sigmoid(x), change * slope


def hardsigmoid(self) -> Value:
    return unary(_hard_sigmoid)(self)


def hardswish(self) -> Value:
    def function(x: Array) -> Array:
        inside = x * (x + 3) / 6
        return jnp.where(x <= -3, jnp.zeros_like(x), jnp.where(x >= 3, x, inside))

    return unary(function)(self)


def log_sigmoid(self) -> Value:
    return unary(jax.nn.log_sigmoid)(self)


def hardshrink(self, lambd=0.5) -> Value:
    inside = lambda x: (x >= -lambd) & (x <= lambd)  # noqa: E731
    return unary(lambda x: jnp.where(inside(x), jnp.zeros_like(x), x))(self)


def softshrink(self, lambd=0.5) -> Value:
    def function(x: Array) -> Array:
        zero = jnp.zeros_like(x)
        return jnp.where(x > lambd, x - lambd, jnp.where(x < -lambd, x + lambd, zero))

    return unary(function)(self)


def softsign(self) -> Value:
    return unary(lambda x: x / (1 + jnp.abs(x)))(self)


def tanhshrink(self) -> Value:
    return unary(lambda x: x - jnp.tanh(x))(self)


def threshold(self, threshold, value) -> Value:
    return unary(lambda x: jnp.where(x <= threshold, jnp.asarray(value, x.dtype), x))(self)


def glu(self, dim=-1) -> Value:
    array, order = stored(self)
    axis = order[positive(dim, self.ndim)]
    first, second = jnp.split(array, 2, axis=axis)
    return laid(first * jax.nn.sigmoid(second), order)


def along(function: Callable[..., Array]) -> Callable[..., Value]:
    """An operator along one axis that keeps the shape, such as softmax."""

    def operator(self: Value, dim: int, half_to_float: bool = False, dtype: Any = None) -> Value:
        array, order = stored(self if dtype is None else types.cast(self, dtype))
        axis = order[positive(dim, self.ndim)] if self.ndim else None
        return laid(function(array, axis=axis), order)

    return operator


softmax = along(jax.nn.softmax)


def _safe_softmax(x: Array, axis: Any) -> Array:
    """0 where everything along the axis is -inf."""
    empty = jnp.all(x == -jnp.inf, axis=axis, keepdims=True)
    weights = jax.nn.softmax(jnp.where(empty, jnp.zeros_like(x), x), axis=axis)
    return jnp.where(empty, jnp.zeros_like(x), weights)


safe_softmax = along(_safe_softmax)

ATEN: dict[str, Callable[..., Any]] = {
    "relu": relu,
    "hardtanh": hardtanh,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "rrelu": rrelu,
    "prelu": prelu,
    "_prelu_kernel": prelu_kernel,
    "elu": elu,
    "selu": selu,
    "celu": celu,
    "gelu": gelu,
    "silu": silu,
    "mish": mish,
    "softplus": softplus,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "log_sigmoid": log_sigmoid,
    "hardshrink": hardshrink,
    "softshrink": softshrink,
    "threshold": threshold,
    "glu": glu,
    "softmax": softmax,
    "_softmax": softmax,
    "_safe_softmax": safe_softmax,
    "log_softmax": along(jax.nn.log_softmax),
    "_log_softmax": along(jax.nn.log_softmax),
}
