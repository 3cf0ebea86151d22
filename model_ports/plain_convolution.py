"""Ordinary convolution whose input gradient is fast on a CPU.

There are four ways to compute that gradient: a dense layer, products of all taps, a convolution for
each phase of the strides, and one convolution for all phases. Sizes decide which one is taken. The
speeds were measured on one thread of an AMD EPYC, with jax 0.10.2 and 1 to 32 images
(`python -m jaxadv.benchmark.beside_pytorch` measures whole networks).
"""

import math
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from model_ports import windows
from model_ports.windows import NHWC, Pads, Pair


def needed(x, kernel) -> tuple:
    """The values that the backward rule of a convolution needs.

    The last one is empty unless the kernel is differentiated. Tracing an unneeded gradient would
    double the time of tracing.
    """
    return x.value, kernel.value, ((),) if kernel.perturbed else ()


_FEW = 8
"""The largest number of outputs for which `_of_few_outputs` is used. It takes a half to a third of
XLA's time. The gradient with respect to the image has as few outputs."""


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def plain(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, precision) -> jax.Array:
    """Ordinary convolution. Its input gradient has no dilation, and is as fast in loops.

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
    products = windows.padded(products.reshape(*x.shape[:3], height * width * outputs), pads, 0)
    size = windows.output_size(x, (height, width), (1, 1), pads)
    taps = [(i, j) for i in range(height) for j in range(width)]
    parts = zip(taps, jnp.split(products, len(taps), axis=3), strict=True)
    return reduce(lax.add, (windows.tap(part, tap, (1, 1), size) for tap, part in parts))


def _plain_forward(x, kernel, strides, pads, precision):
    return plain(x.value, kernel.value, strides, pads, precision), needed(x, kernel)


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
    return windows.spread(
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

    whole = windows.interleaved(phase, strides)
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
