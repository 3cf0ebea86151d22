"""Layers with custom gradients, for operations that XLA runs slowly on a CPU.

XLA's CPU back end is slow for depthwise convolutions, convolutions with few outputs, and pooling.
It is also slow for input gradients of pooling, of dense layers, and of any convolution inside a
loop (jax issue 12868). The functions here compute the same by sums over the taps of a window, plain
convolutions, and matrix products. A GPU uses the maximum of a window too.

Images are NHWC, kernels HWIO, paddings explicit. Each function has a custom rule for the first
reverse-mode derivative, and follows the dtype of its arguments.
"""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from model_ports import windows
from model_ports.plain_convolution import needed, plain
from model_ports.windows import Pads, Pair

# --- depthwise convolution ---------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads) -> jax.Array:
    """Depthwise convolution with multiplier 1.

    Args:
        x: (N, H, W, C).
        kernel: (h, w, 1, C).
        strides: in rows and columns.
        pads: before and behind the rows and the columns.
    """
    window = kernel.shape[0], kernel.shape[1]
    size = windows.output_size(x, window, strides, pads)
    padded = windows.padded(x, pads, 0)
    terms = [
        windows.tap(padded, (i, j), strides, size) * kernel[i : i + 1, j : j + 1]
        for i in range(window[0])
        for j in range(window[1])
    ]
    return sum(terms[1:], terms[0])


def _depthwise_forward(x, kernel, strides, pads):
    return depthwise(x.value, kernel.value, strides, pads), needed(x, kernel)


def _depthwise_backward(strides, pads, saved, gradient):
    x, kernel, trained = saved
    window = kernel.shape[:2]

    def to_input(tap, shifted):
        i, j = tap
        return shifted(gradient) * kernel[i : i + 1, j : j + 1]

    to_x = windows.spread(to_input, x, window=window, strides=strides, pads=pads)
    if not trained:
        return to_x, None
    padded = windows.padded(x, pads, 0)
    size = gradient.shape[1:3]
    to_kernel = [
        [
            jnp.sum(windows.tap(padded, (i, j), strides, size) * gradient, axis=(0, 1, 2))
            for j in range(window[1])
        ]
        for i in range(window[0])
    ]
    to_kernel = jnp.stack([jnp.stack(row) for row in to_kernel])
    return to_x, to_kernel.reshape(kernel.shape)


depthwise.defvjp(_depthwise_forward, _depthwise_backward, symbolic_zeros=True)


# --- the choice for a convolution --------------------------------------------

MOST_TAPS = 128
"""Larger depthwise kernels stay stock: each tap is some lines of program."""
MOST_GROUPS = 8
"""Convolutions with more groups stay stock: each group is a convolution of its own."""


def convolution(
    x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, groups: int, precision
) -> jax.Array | None:
    """A convolution of any number of groups by `plain` and `depthwise`.

    Args:
        x: (N, H, W, inputs).
        kernel: (h, w, inputs / groups, outputs).
        strides: in rows and columns.
        pads: before and behind the rows and the columns.
        groups: the number of groups. With as many groups as inputs it is depthwise.
        precision: as for `jax.lax.conv_general_dilated`.

    Returns:
        (N, H', W', outputs), or None if the stock convolution is the better one.
    """
    y: Any = None
    if groups == 1:
        y = plain(x, kernel, strides, pads, precision)
    elif groups == x.shape[3] and math.prod(kernel.shape[:2]) <= MOST_TAPS:
        repeated = jnp.repeat(x, kernel.shape[3] // groups, axis=3)
        y = depthwise(repeated, kernel, strides, pads)
    elif groups <= MOST_GROUPS:
        parts = zip(jnp.split(x, groups, axis=3), jnp.split(kernel, groups, axis=3), strict=True)
        y = jnp.concatenate([plain(*part, strides, pads, precision) for part in parts], axis=3)
    return y


# --- pooling -----------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def sum_pool(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    """The sum of each window, padded with 0.

    Args:
        x: (N, H, W, C).
        window: the height and width of a window.
        strides: in rows and columns.
        pads: before and behind the rows and the columns.
    """
    return _pooled(lax.add, 0, x, window, strides, pads)


def _sum_pool_forward(x, window, strides, pads):
    return sum_pool(x, window, strides, pads), x


def _sum_pool_backward(window, strides, pads, x, gradient):
    if window == strides and not any(map(any, pads)):
        # Each input is in one window or in none. An interleaving would compute what the gradient
        # is made of again for each phase, ten times as slowly.
        batch, rows, columns, channels = gradient.shape
        down, right = window
        each = jnp.broadcast_to(
            gradient[:, :, None, :, None], (batch, rows, down, columns, right, channels)
        ).reshape(batch, rows * down, columns * right, channels)
        below, beside = (n - m for n, m in zip(x.shape[1:3], each.shape[1:3], strict=True))
        return (windows.padded(each, ((0, below), (0, beside)), 0),)
    return (
        windows.spread(
            lambda _, shifted: shifted(gradient), x, window=window, strides=strides, pads=pads
        ),
    )


sum_pool.defvjp(_sum_pool_forward, _sum_pool_backward)


def _pooled(
    join: Callable, start: float, x: jax.Array, window: Pair, strides: Pair, pads: Pads
) -> jax.Array:
    """The same as `lax.reduce_window`, in a half to a quarter of its time."""
    padded = windows.padded(x, pads, start)
    size = windows.output_size(x, window, strides, pads)
    return reduce(
        join,
        (
            windows.tap(padded, (i, j), strides, size)
            for i in range(window[0])
            for j in range(window[1])
        ),
    )


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    """The largest value of each window, padded with -inf.

    The gradient goes to the first maximum in row-major order.

    Args:
        x: (N, H, W, C).
        window: the height and width of a window.
        strides: in rows and columns.
        pads: before and behind the rows and the columns.
    """
    return _pooled(lax.max, -np.inf, x, window, strides, pads)


def _max_pool_forward(x, window, strides, pads):
    y = max_pool(x, window, strides, pads)
    return y, (x, y)


def _max_pool_backward(window, strides, pads, saved, gradient):
    x, y = saved
    padded = windows.padded(x, pads, -jnp.inf)
    size = y.shape[1:3]
    taps = [(i, j) for i in range(window[0]) for j in range(window[1])]
    winner = jnp.full(y.shape, -1, jnp.int8 if len(taps) < 128 else jnp.int32)
    for number, tap in reversed(list(enumerate(taps))):  # the first match overwrites the others
        winner = jnp.where(
            windows.tap(padded, tap, strides, size) == y, jnp.asarray(number, winner.dtype), winner
        )

    def to_input(tap, shifted):
        number = jnp.asarray(taps.index(tap), winner.dtype)
        return jnp.where(
            shifted(winner) == number, shifted(gradient), jnp.zeros((), gradient.dtype)
        )

    return (windows.spread(to_input, x, window=window, strides=strides, pads=pads),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)
