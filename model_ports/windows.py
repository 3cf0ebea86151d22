"""The windows of an image, by which convolutions and pools are sums over taps.

Images are NHWC, paddings explicit. A tap is a place in the window.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

NHWC = ("NHWC", "HWIO", "NHWC")
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


def padded(x: jax.Array, pads: Pads, value: float) -> jax.Array:
    config = [(0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), config)


def output_size(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> Pair:
    rows, columns = (
        (n + sum(pad) - k) // s + 1
        for n, k, s, pad in zip(x.shape[1:3], window, strides, pads, strict=True)
    )
    return rows, columns


def tap(image: jax.Array, place: Pair, strides: Pair, size: Pair) -> jax.Array:
    """The inputs that the tap at ``place`` reads for all output positions: (N, *size, C)."""
    rows, columns = (t + (m - 1) * s + 1 for t, m, s in zip(place, size, strides, strict=True))
    return lax.slice(
        image, (0, *place, 0), (image.shape[0], rows, columns, image.shape[3]), (1, *strides, 1)
    )


def spread(
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
        grown = padded(
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

    whole = interleaved(phase, strides)
    top, left = pads[0][0], pads[1][0]
    return whole[:, top : top + like.shape[1], left : left + like.shape[2]]


def interleaved(phase: Callable[[int, int], jax.Array], strides: Pair) -> jax.Array:
    """One image of ``phase(row, column)``, the parts whose positions have these remainders modulo
    the strides.
    """
    lines = [jnp.stack([phase(r, c) for c in range(strides[1])], axis=3) for r in range(strides[0])]
    whole = jnp.stack(lines, axis=2)
    batch, rows, down, columns, right, channels = whole.shape
    return whole.reshape(batch, rows * down, columns * right, channels)
