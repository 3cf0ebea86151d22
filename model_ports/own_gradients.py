"""Layers with gradients of our own, for operations that XLA runs slowly on a CPU.

XLA's CPU back end is slow for depthwise convolutions, convolutions of few outputs, and pooling. It is also slow for the
input gradients of pooling, of dense layers, and of any convolution inside a loop (jax issue 12868). The functions here
compute the same by sums over the taps of a window, plain convolutions, and matrix products. The maximum of a window
serves the GPU too.

Images are NHWC, kernels HWIO, paddings explicit. Each function has its own rule for the first reverse-mode derivative,
and follows the dtype of its arguments.
"""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

NHWC = ("NHWC", "HWIO", "NHWC")
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


# --- the windows of an image -------------------------------------------------------------------------------------


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
    """The input that the tap at `tap` sees at every output position: (N, size, C)."""
    rows, columns = (t + (m - 1) * s + 1 for t, m, s in zip(tap, size, strides, strict=True))
    return lax.slice(
        padded, (0, *tap, 0), (padded.shape[0], rows, columns, padded.shape[3]), (1, *strides, 1)
    )


def _spread(
    term: Callable[[Pair, Callable[[jax.Array], jax.Array]], jax.Array],
    like: jax.Array,
    *,
    window: Pair,
    strides: Pair,
    pads: Pads,
) -> jax.Array:
    """The transpose of taking windows: the sum at each input position over all windows that saw it.

    `term(tap, shifted)` is the part that `tap` sends back; `shifted(a)` moves an array of outputs to where that tap
    stood. The same taps meet all input positions of one remainder modulo the stride. So each remainder is a dense sum,
    and the sums are interleaved: no time goes into the zeros of a dilated gradient.
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
    top, left = pads[0][0], pads[1][0]
    return whole[:, top : top + like.shape[1], left : left + like.shape[2]]


def _saved(x, kernel) -> tuple:
    """What a convolution's backward rule needs. The last is empty unless the kernel is differentiated.

    Tracing a gradient that nobody needs would double the time of tracing.
    """
    return x.value, kernel.value, ((),) if kernel.perturbed else ()


# --- depthwise convolution ---------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads) -> jax.Array:
    """Depthwise convolution, multiplier 1: x (N, H, W, C), kernel (h, w, 1, C)."""
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
    padded, size = _padded(x, pads, 0), gradient.shape[1:3]
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


# --- ordinary convolution ----------------------------------------------------------------------------------------

_FEW = 8
"""A convolution with this many outputs takes a half to a third of XLA's time this way. The gradient at the image has as few."""


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def plain(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, precision) -> jax.Array:
    """An ordinary convolution. Its input gradient is again a plain NHWC, HWIO convolution, in loops too."""
    return _convolution(x, kernel, strides, pads, precision)


def _convolution(
    x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, precision
) -> jax.Array:
    if strides == (1, 1) and kernel.shape[3] <= _FEW and 3 * kernel.shape[3] <= 2 * kernel.shape[2]:
        return _of_few_outputs(x, kernel, pads, precision)
    return lax.conv_general_dilated(
        x, kernel, strides, pads, dimension_numbers=NHWC, precision=precision
    )


def _of_few_outputs(x: jax.Array, kernel: jax.Array, pads: Pads, precision) -> jax.Array:
    """One product of each pixel with all taps, then their shifted sums. No window is copied."""
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
    """One undilated convolution makes the input positions of all remainders modulo the stride, as channels."""
    batch, height, width, inputs = shape
    if (
        gradient.shape[1:3] == (1, 1)
        and kernel.shape[:2] == (height, width)
        and not any(map(any, pads))
    ):
        # A dense layer: its kernel may be most of the network, so it is read once, and not transposed.
        images = lax.dot_general(
            kernel, gradient[:, 0, 0], (((3,), (1,)), ((), ())), precision=precision
        )
        return lax.transpose(images, (3, 0, 1, 2))
    (down, right), outputs = strides, kernel.shape[3]
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
    first = [
        low // s for (low, _), s in zip(pads, strides, strict=True)
    ]  # the positions before are only padding
    last = [
        -(-(n + low) // s) for n, (low, _), s in zip((height, width), pads, strides, strict=True)
    ]
    above, beside = (
        (r - 1 - f, end - m)
        for r, f, end, m in zip(reach, first, last, gradient.shape[1:3], strict=True)
    )
    phases = _convolution(gradient, turned, (1, 1), (above, beside), precision)
    rows, columns = phases.shape[1:3]
    whole = phases.reshape(batch, rows, columns, down, right, inputs).transpose(0, 1, 3, 2, 4, 5)
    whole = whole.reshape(batch, rows * down, columns * right, inputs)
    top, left = (low - f * s for (low, _), f, s in zip(pads, first, strides, strict=True))
    return whole[:, top : top + height, left : left + width]


plain.defvjp(_plain_forward, _plain_backward, symbolic_zeros=True)


# --- pooling -----------------------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def sum_pool(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    """Sum of each window, padded with 0."""
    return _pooled(lax.add, 0, x, window, strides, pads)


def _sum_pool_forward(x, window, strides, pads):
    return sum_pool(x, window, strides, pads), x


def _sum_pool_backward(window, strides, pads, x, gradient):
    return (
        _spread(lambda _, shifted: shifted(gradient), x, window=window, strides=strides, pads=pads),
    )


sum_pool.defvjp(_sum_pool_forward, _sum_pool_backward)


def _pooled(
    join: Callable, start: float, x: jax.Array, window: Pair, strides: Pair, pads: Pads
) -> jax.Array:
    """Like `lax.reduce_window`, in a half to a quarter of its time."""
    padded, size = _padded(x, pads, start), _output_size(x, window, strides, pads)
    return reduce(
        join,
        (_tap(padded, (i, j), strides, size) for i in range(window[0]) for j in range(window[1])),
    )


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    """Largest value of each window, padded with -inf; the first maximum in row-major order takes the gradient."""
    return _pooled(lax.max, -np.inf, x, window, strides, pads)


def _max_pool_forward(x, window, strides, pads):
    y = max_pool(x, window, strides, pads)
    return y, (x, y)


def _max_pool_backward(window, strides, pads, saved, gradient):
    x, y = saved
    padded, size = _padded(x, pads, -jnp.inf), y.shape[1:3]
    taps = [(i, j) for i in range(window[0]) for j in range(window[1])]
    winner = jnp.full(y.shape, -1, jnp.int8 if len(taps) < 128 else jnp.int32)
    for number, tap in reversed(list(enumerate(taps))):  # the first match is written last
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
