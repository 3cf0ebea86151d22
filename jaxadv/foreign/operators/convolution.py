"""Convolutions of one, two and three dimensions, ordinary and transposed: the ATen operators of
their names.

Images are named (N, C, spatial...) and stored with channels last; kernels are named (O, I,
spatial...). Plain two-dimensional ones have the ports' fast gradients on a processor.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxadv.foreign.layout import Array, Value, from_image_last, image_last, in_order, plain
from jaxadv.foreign.operators import types
from model_ports import own_gradients as own


def several(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each dimension, from one for all or one each."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


def batched(function: Callable[..., Value], value: Value, rank: int, *arguments: Any) -> Value:
    """``function`` of images with a batch axis, for one image without it too."""
    if value.ndim == rank:
        return function(value, *arguments)
    return plain(function(plain(value)[None], *arguments))[0]


def convolution(
    input,  # noqa: A002
    weight,
    bias=None,
    stride=1,
    padding: Any = 0,
    dilation=1,
    transposed=False,
    output_padding=0,
    groups=1,
) -> Value:
    """Convolution of images (N, C, spatial...), or of one without N, with kernels (O, C / groups,
    spatial...).

    Args:
        padding: numbers of pixels, or pairs of them (before, after); "same" or "valid".
        transposed: kernels are then (C, O / groups, spatial...), ``output_padding`` grows the
        result.
    """
    count = weight.ndim - 2
    stride, dilation, output_padding = (
        several(v, count) for v in (stride, dilation, output_padding)
    )
    if isinstance(padding, str):
        reach = [
            d * (k - 1) if padding == "same" else 0
            for d, k in zip(dilation, weight.shape[2:], strict=True)
        ]
        pads = tuple((r // 2, r - r // 2) for r in reach)
    else:
        pads = tuple((p, p) if isinstance(p, int) else p for p in several(padding, count))
    dtype = types.promoted([input, weight])
    input, weight = types.cast(input, dtype), types.cast(weight, dtype)  # noqa: A001
    apply = _transposed if transposed else _ordinary

    def function(images: Value) -> Value:
        out = apply(image_last(images), weight, stride, pads, dilation, output_padding, groups)
        return from_image_last(out if bias is None else out + _row(bias, out))

    return batched(function, input, count + 2)


def _row(vector: Value, like: Array) -> Array:
    """A vector over channels that are last, with as many axes as the images."""
    return plain(types.cast(vector, like.dtype)).reshape((1,) * (like.ndim - 1) + (-1,))


def kernel_last(rank: int) -> tuple[int, ...]:
    """The order of kernels (O, I, spatial...) that are stored as (spatial..., I, O)."""
    return (rank - 1, rank - 2, *range(rank - 2))


def _ordinary(x, weight, stride, pads, dilation, _, groups) -> Array:
    kernel = in_order(weight, kernel_last(weight.ndim))
    if x.ndim == 4 and set(dilation) == {1} and jax.default_backend() == "cpu":
        y = own.convolution(x, kernel, stride, pads, groups, None)
        if y is not None:
            return y
    return lax.conv_general_dilated(
        x,
        kernel,
        stride,
        pads,
        rhs_dilation=dilation,
        dimension_numbers=_numbers(x.ndim),
        feature_group_count=groups,
    )


def _transposed(x, weight, stride, pads, dilation, output_padding, groups) -> Array:
    """The gradient of an ordinary convolution at its images, as a convolution of spread ones."""
    kernel = plain(weight)
    inputs, outputs, *window = kernel.shape
    kernel = jnp.flip(kernel, axis=tuple(range(2, kernel.ndim)))
    kernel = kernel.reshape(groups, inputs // groups, outputs, *window)
    kernel = jnp.moveaxis(kernel, (1, 0, 2), (-3, -2, -1)).reshape(
        *window, inputs // groups, groups * outputs
    )
    grown = [
        (d * (k - 1) - low, d * (k - 1) - high + more)
        for d, k, (low, high), more in zip(dilation, window, pads, output_padding, strict=True)
    ]
    return lax.conv_general_dilated(
        x,
        kernel,
        (1,) * len(window),
        grown,
        lhs_dilation=stride,
        rhs_dilation=dilation,
        dimension_numbers=_numbers(x.ndim),
        feature_group_count=groups,
    )


def _numbers(rank: int) -> tuple[str, str, str]:
    spatial = "DHW"[5 - rank :]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def conv(input, weight, bias=None, stride=1, padding: Any = 0, dilation=1, groups=1) -> Value:  # noqa: A002
    return convolution(input, weight, bias, stride, padding, dilation, False, 0, groups)


def conv_transpose(
    input,  # noqa: A002
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
) -> Value:
    return convolution(input, weight, bias, stride, padding, dilation, True, output_padding, groups)


def unfold(self, kernel_size, dilation, padding, stride) -> Value:
    """The windows of an image as columns: (N, C, H, W) -> (N, C * taps, windows)."""
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (
        several(v, 2) for v in (kernel_size, dilation, padding, stride)
    )

    def function(images: Value) -> Array:
        x = jnp.pad(plain(images), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        rows = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
        columns = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
        taps = [
            x[
                :,
                :,
                i * dh : i * dh + (rows - 1) * sh + 1 : sh,
                j * dw : j * dw + (columns - 1) * sw + 1 : sw,
            ]
            for i in range(kh)
            for j in range(kw)
        ]
        return jnp.stack(taps, axis=2).reshape(x.shape[0], -1, rows * columns)

    return batched(function, self, 4)


def fold(self, output_size, kernel_size, dilation, padding, stride) -> Value:
    """The sum of windows, each where `unfold` took it from: the transpose of that."""
    height, width = output_size

    def function(columns: Value) -> Array:
        x = plain(columns)
        taps = several(kernel_size, 2)
        shape = (x.shape[0], x.shape[1] // (taps[0] * taps[1]), height, width)
        like = jax.ShapeDtypeStruct(shape, x.dtype)
        (images,) = jax.linear_transpose(
            lambda a: unfold(a, kernel_size, dilation, padding, stride), like
        )(x)
        return images

    return batched(function, self, 3)


ATEN: dict[str, Callable[..., Any]] = {
    "convolution": convolution,
    "conv1d": conv,
    "conv2d": conv,
    "conv3d": conv,
    "conv_transpose1d": conv_transpose,
    "conv_transpose2d": conv_transpose,
    "conv_transpose3d": conv_transpose,
    "im2col": unfold,
    "col2im": fold,
}
