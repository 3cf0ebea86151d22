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

NHWC = ("NHWC", "HWIO", "NHWC")
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


# --- the windows of an image -------------------------------------------------


def _padded(x: jax.Array, pads: Pads, value: float) -> jax.Array:
    config = [(0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), config)


def _output_size(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> Pair:
    rows, columns = (
        (n + sum(pad) - k) // s + 1
        for n, k, s, pad in zip(x.shape[1:3], window, strides, pads, strict=True)
    )
    return rows, columns


def _tap(padded: jax.Array, tap: Pair, strides: Pair, size: Pair) -> jax.Array:
    """The inputs that the kernel's tap at ``tap`` reads for all output positions: (N, *size, C)."""
    rows, columns = (t + (m - 1) * s + 1 for t, m, s in zip(tap, size, strides, strict=True))
    return lax.slice(
        padded, (0, *tap, 0), (padded.shape[0], rows, columns, padded.shape[3]), (1, *strides, 1)
    )


def _spread(
    term: Callable[[Pair, Callable[[jax.Array], jax.Array]], jax.Array],
    like: jax.Array | jax.ShapeDtypeStruct,
    *,
    window: Pair,
    strides: Pair,
    pads: Pads,
) -> jax.Array:
    """The transpose of taking windows: for each input position, the sum over all windows that read
    it.

    ``term(tap, shifted)`` is the part that ``tap`` sends back. ``shifted(a)`` moves an array of
    outputs to the input positions of that tap.

    Input positions with one remainder modulo the stride are read by the same taps. Each remainder
    is therefore a dense sum, and the sums are interleaved. No time is spent on the zeros of a
    dilated gradient.
    """
    batch, _, _, channels = like.shape
    rows, columns = (
        -(-(n + pad[0]) // s) for n, s, pad in zip(like.shape[1:3], strides, pads, strict=True)
    )
    reach = [-(-k // s) - 1 for k, s in zip(window, strides, strict=True)]

    def shifted(a: jax.Array, back: Pair) -> jax.Array:
        down, right = (r - b for r, b in zip(reach, back, strict=True))
        grown = _padded(
            a, ((reach[0], max(0, rows - a.shape[1])), (reach[1], max(0, columns - a.shape[2]))), 0
        )
        return lax.slice(
            grown, (0, down, right, 0), (batch, down + rows, right + columns, a.shape[3])
        )

    def phase(row: int, column: int) -> jax.Array:
        terms = [
            term((i, j), partial(shifted, back=(i // strides[0], j // strides[1])))
            for i in range(row, window[0], strides[0])
            for j in range(column, window[1], strides[1])
        ]
        return (
            sum(terms[1:], terms[0])
            if terms
            else jnp.zeros((batch, rows, columns, channels), like.dtype)
        )

    phases = [
        jnp.stack([phase(r, c) for c in range(strides[1])], axis=3) for r in range(strides[0])
    ]
    whole = jnp.stack(phases, axis=2).reshape(
        batch, rows * strides[0], columns * strides[1], channels
    )
    top = pads[0][0]
    left = pads[1][0]
    return whole[:, top : top + like.shape[1], left : left + like.shape[2]]


def _saved(x, kernel) -> tuple:
    """The values that the backward rule of a convolution needs.

    The last one is empty unless the kernel is differentiated. Tracing an unneeded gradient would
    double the time of tracing.
    """
    return x.value, kernel.value, ((),) if kernel.perturbed else ()


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
    size = _output_size(x, window, strides, pads)
    padded = _padded(x, pads, 0)
    terms = [
        _tap(padded, (i, j), strides, size) * kernel[i : i + 1, j : j + 1]
        for i in range(window[0])
        for j in range(window[1])
    ]
    return sum(terms[1:], terms[0])


def _depthwise_forward(x, kernel, strides, pads):
    return depthwise(x.value, kernel.value, strides, pads), _saved(x, kernel)


def _depthwise_backward(strides, pads, saved, gradient):
    x, kernel, trained = saved
    window = kernel.shape[:2]

    def to_input(tap, shifted):
        i, j = tap
        return shifted(gradient) * kernel[i : i + 1, j : j + 1]

    to_x = _spread(to_input, x, window=window, strides=strides, pads=pads)
    if not trained:
        return to_x, None
    padded = _padded(x, pads, 0)
    size = gradient.shape[1:3]
    to_kernel = [
        [
            jnp.sum(_tap(padded, (i, j), strides, size) * gradient, axis=(0, 1, 2))
            for j in range(window[1])
        ]
        for i in range(window[0])
    ]
    to_kernel = jnp.stack([jnp.stack(row) for row in to_kernel])
    return to_x, to_kernel.reshape(kernel.shape)


depthwise.defvjp(_depthwise_forward, _depthwise_backward, symbolic_zeros=True)


# --- ordinary convolution ----------------------------------------------------

_FEW = 8
"""The largest number of outputs for which `_of_few_outputs` is used. It takes a half to a third of
XLA's time. The gradient with respect to the image has as few outputs."""


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def plain(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, precision) -> jax.Array:
    """Ordinary convolution. Its input gradient is a plain NHWC, HWIO convolution, also in loops.

    Args:
        x: (N, H, W, inputs).
        kernel: (h, w, inputs, outputs).
        strides: in rows and columns.
        pads: before and behind the rows and the columns.
        precision: as for `jax.lax.conv_general_dilated`.
    """
    return _convolution(x, kernel, strides, pads, precision)


def _convolution(
    x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, precision
) -> jax.Array:
    if kernel.shape[:2] == (1, 1) and not any(map(any, pads)):  # half again as fast at 7 x 7
        read = x[:, :: strides[0], :: strides[1]]
        return lax.dot_general(read, kernel[0, 0], (((3,), (0,)), ((), ())), precision=precision)
    if strides == (1, 1) and kernel.shape[3] <= _FEW and 3 * kernel.shape[3] <= 2 * kernel.shape[2]:
        return _of_few_outputs(x, kernel, pads, precision)
    return lax.conv_general_dilated(
        x, kernel, strides, pads, dimension_numbers=NHWC, precision=precision
    )


def _of_few_outputs(x: jax.Array, kernel: jax.Array, pads: Pads, precision) -> jax.Array:
    """Multiply each pixel by all taps, then add the shifted products. No window is copied."""
    height, width, _, outputs = kernel.shape
    products = lax.dot_general(x, kernel, (((3,), (2,)), ((), ())), precision=precision)
    products = _padded(products.reshape(*x.shape[:3], height * width * outputs), pads, 0)
    size = _output_size(x, (height, width), (1, 1), pads)
    taps = [(i, j) for i in range(height) for j in range(width)]
    parts = zip(taps, jnp.split(products, len(taps), axis=3), strict=True)
    return reduce(lax.add, (_tap(part, tap, (1, 1), size) for tap, part in parts))


def _plain_forward(x, kernel, strides, pads, precision):
    return plain(x.value, kernel.value, strides, pads, precision), _saved(x, kernel)


def _plain_backward(strides, pads, precision, saved, gradient):
    x, kernel, trained = saved
    to_x = _plain_input_gradient(kernel, gradient, x.shape, strides, pads, precision)
    if not trained:
        return to_x, None
    stock = partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=pads,
        dimension_numbers=NHWC,
        precision=precision,
    )
    (to_kernel,) = jax.linear_transpose(lambda k: stock(x, k), kernel)(gradient)
    return to_x, to_kernel


def _plain_input_gradient(kernel, gradient, shape, strides, pads, precision):
    """The fastest one of four ways."""
    _, height, width, inputs = shape
    window, outputs = kernel.shape[:2], kernel.shape[3]
    if gradient.shape[1:3] == (1, 1) and window == (height, width) and not any(map(any, pads)):
        # This is a dense layer. Its kernel may be most of the network, so it is read once, and is
        # not transposed.
        images = lax.dot_general(
            kernel, gradient[:, 0, 0], (((3,), (1,)), ((), ())), precision=precision
        )
        return lax.transpose(images, (3, 0, 1, 2))
    is_strided, is_first = max(strides) > 1, inputs <= _FEW
    if is_first and is_strided:
        is_cheap = math.prod(window) <= _MOST_PARTS * math.prod(strides)
    else:
        is_cheap = math.prod(gradient.shape[:3]) <= _MOST_POSITIONS * outputs
        is_cheap &= is_strided or inputs >= _MANY
    if is_cheap or window == (1, 1):
        way = _by_taps
    else:
        way = _in_one if is_first else _by_phases
    return way(kernel, gradient, shape, strides, pads, precision)


_MANY = 128
_MOST_PARTS, _MOST_POSITIONS = 7, 7
"""When `_by_taps` is the fastest way: its products must be few for each input position, or output
positions few for each output channel. It then takes down to a third of the others' time."""


def _by_taps(kernel, gradient, shape, strides, pads, precision):
    """Multiply each output by all taps in one matrix product, then add the shifted products.

    The kernel is not transposed, which takes as long as the arithmetic where positions are few.
    """
    window, inputs, outputs = kernel.shape[:2], *kernel.shape[2:]
    flat = kernel.reshape(-1, outputs)  # of more axes, XLA would transpose it
    products = lax.dot_general(
        gradient.reshape(-1, outputs), flat, (((1,), (1,)), ((), ())), precision=precision
    ).reshape(*gradient.shape[:3], *window, inputs)
    if window == (1, 1):
        sides = zip(shape[1:3], gradient.shape[1:3], strides, pads, strict=True)
        spread = [(-low, n + low - ((m - 1) * s + 1), s - 1) for n, m, s, (low, _) in sides]
        zero = jnp.zeros((), gradient.dtype)
        return lax.pad(products[:, :, :, 0, 0], zero, [(0, 0, 0), *spread, (0, 0, 0)])
    return _spread(
        lambda tap, shifted: shifted(products[:, :, :, tap[0], tap[1]]),
        jax.ShapeDtypeStruct(shape, gradient.dtype),
        window=window,
        strides=strides,
        pads=pads,
    )


def _by_phases(kernel, gradient, shape, strides, pads, precision):
    """A convolution for each remainder of the input positions modulo the stride."""
    batch, height, width, inputs = shape
    down, right = strides
    first, last = _between(shape, strides, pads)
    rows, columns = (end - begin for begin, end in zip(first, last, strict=True))

    def phase(row: int, column: int) -> jax.Array:
        turned = lax.rev(kernel[row::down, column::right], (0, 1)).transpose(0, 1, 3, 2)
        if turned.size == 0:
            return jnp.zeros((batch, rows, columns, inputs), gradient.dtype)
        around = _around(turned.shape, gradient.shape, first, last)
        return _convolution(gradient, turned, (1, 1), around, precision)

    lines = [jnp.stack([phase(r, c) for c in range(right)], axis=3) for r in range(down)]
    whole = jnp.stack(lines, axis=2).reshape(batch, rows * down, columns * right, inputs)
    top, left = (low - f * s for (low, _), f, s in zip(pads, first, strides, strict=True))
    return whole[:, top : top + height, left : left + width]


def _between(shape, strides: Pair, pads: Pads) -> tuple[list[int], list[int]]:
    """In each phase, the first position that is not padding, and the position after the last."""
    first = [low // s for (low, _), s in zip(pads, strides, strict=True)]
    last = [-(-(n + low) // s) for n, (low, _), s in zip(shape[1:3], pads, strides, strict=True)]
    return first, last


def _around(window, gradient, first: list[int], last: list[int]) -> Pads:
    """The padding of a gradient of this shape that gives the positions from first to last."""
    above, beside = (
        (r - 1 - begin, end - m)
        for r, begin, end, m in zip(window[:2], first, last, gradient[1:3], strict=True)
    )
    return above, beside


def _in_one(kernel, gradient, shape, strides, pads, precision):
    """One convolution without dilation.

    Its channels hold the input positions of all remainders modulo the stride.
    """
    batch, height, width, inputs = shape
    down, right = strides
    outputs = kernel.shape[3]
    reach = [-(-k // s) for k, s in zip(kernel.shape, strides, strict=False)]
    grown = [(0, r * s - k) for r, s, k in zip(reach, strides, kernel.shape, strict=False)]
    turned = jnp.pad(kernel, (*grown, (0, 0), (0, 0))).reshape(
        reach[0], down, reach[1], right, inputs, outputs
    )
    turned = (
        lax.rev(turned, (0, 2))
        .transpose(0, 2, 5, 1, 3, 4)
        .reshape(*reach, outputs, down * right * inputs)
    )
    first, last = _between(shape, strides, pads)
    around = _around(turned.shape, gradient.shape, first, last)
    phases = _convolution(gradient, turned, (1, 1), around, precision)
    rows, columns = phases.shape[1:3]
    whole = phases.reshape(batch, rows, columns, down, right, inputs).transpose(0, 1, 3, 2, 4, 5)
    whole = whole.reshape(batch, rows * down, columns * right, inputs)
    top, left = (low - f * s for (low, _), f, s in zip(pads, first, strides, strict=True))
    return whole[:, top : top + height, left : left + width]


plain.defvjp(_plain_forward, _plain_backward, symbolic_zeros=True)


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
        behind = ((0, n - m) for n, m in zip(x.shape[1:3], each.shape[1:3], strict=True))
        return (_padded(each, tuple(behind), 0),)
    return (
        _spread(lambda _, shifted: shifted(gradient), x, window=window, strides=strides, pads=pads),
    )


sum_pool.defvjp(_sum_pool_forward, _sum_pool_backward)


def _pooled(
    join: Callable, start: float, x: jax.Array, window: Pair, strides: Pair, pads: Pads
) -> jax.Array:
    """The same as `lax.reduce_window`, in a half to a quarter of its time."""
    padded = _padded(x, pads, start)
    size = _output_size(x, window, strides, pads)
    return reduce(
        join,
        (_tap(padded, (i, j), strides, size) for i in range(window[0]) for j in range(window[1])),
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
    padded = _padded(x, pads, -jnp.inf)
    size = y.shape[1:3]
    taps = [(i, j) for i in range(window[0]) for j in range(window[1])]
    winner = jnp.full(y.shape, -1, jnp.int8 if len(taps) < 128 else jnp.int32)
    for number, tap in reversed(list(enumerate(taps))):  # the first match overwrites the others
        winner = jnp.where(
            _tap(padded, tap, strides, size) == y, jnp.asarray(number, winner.dtype), winner
        )

    def to_input(tap, shifted):
        number = jnp.asarray(taps.index(tap), winner.dtype)
        return jnp.where(
            shifted(winner) == number, shifted(gradient), jnp.zeros((), gradient.dtype)
        )

    return (_spread(to_input, x, window=window, strides=strides, pads=pads),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)
