"""Images in other sizes: upsampling and pixel shuffles. The ATen operators of their names.

Upsampling is a matrix product along each axis, whose matrix is made on the host as PyTorch makes
its weights.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import (
    Array,
    Value,
    from_image_last,
    image_last,
    permuted,
    reshaped,
)
from jaxadv.foreign.operators.pooling import along_axis


def positions(
    size: int, outputs: int, align_corners: bool, factor: float | None, dtype: Any
) -> np.ndarray:
    """Where each output pixel lies in the input, in input pixels."""
    kind = np.float64 if dtype == np.float64 else np.float32
    at = np.arange(outputs, dtype=kind)
    if align_corners:
        return at * kind((size - 1) / (outputs - 1)) if outputs > 1 else np.zeros(1, kind)
    scale = kind(1 / factor) if factor else kind(size) / kind(outputs)
    return scale * (at + kind(0.5)) - kind(0.5)


def linear_matrix(size: int, outputs: int, at: np.ndarray) -> np.ndarray:
    """Weights (outputs, size) of the two neighbours of each position; what lies outside counts as
    the edge."""
    at = np.maximum(at, 0)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = np.clip(at - low, 0, 1)
    matrix = np.zeros((outputs, size), at.dtype)
    np.add.at(matrix, (np.arange(outputs), low), 1 - share)
    np.add.at(matrix, (np.arange(outputs), high), share)
    return matrix


def cubic(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys's convolution kernel with slope ``a`` at 1."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def cubic_matrix(size: int, outputs: int, at: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Weights (outputs, size) of the four neighbours of each position; what lies outside counts as
    the edge."""
    low = np.floor(at)
    matrix = np.zeros((outputs, size), at.dtype)
    for step in (-1, 0, 1, 2):
        place = np.clip(low + step, 0, size - 1).astype(np.int64)
        np.add.at(matrix, (np.arange(outputs), place), cubic(at - (low + step), a))
    return matrix


def antialias_matrix(
    size: int,
    outputs: int,
    align_corners: bool,
    factor: float | None,
    kernel: Callable,
    support: float,
) -> np.ndarray:
    """Weights (outputs, size) of a kernel as wide as an output pixel, as Pillow has it."""
    if align_corners:
        scale = (size - 1) / (outputs - 1) if outputs > 1 else 0.0
    else:
        scale = 1 / factor if factor else size / outputs
    width = max(1.0, scale)
    matrix = np.zeros((outputs, size))
    for row, number in zip(matrix, range(outputs), strict=True):
        centre = scale * (number + 0.5)
        start = max(int(centre - support * width + 0.5), 0)
        end = min(int(centre + support * width + 0.5), size)
        weights = kernel((np.arange(start, end) - centre + 0.5) / width)
        row[start:end] = weights / weights.sum()
    return matrix


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


KERNELS = {
    "linear": (_triangle, 1.0),
    "cubic": (lambda x: cubic(x, -0.5), 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""Of antialiased upsampling, with the distance at which each ends."""


def _factors(scale_factors: Any, more: Sequence[Any]) -> list[float] | None:
    """The factors of all dimensions, from a list or from one argument each; None unless all
    are given."""
    if more or isinstance(scale_factors, (int, float)):
        scale_factors = [scale_factors, *more]
    return None if scale_factors is None or None in list(scale_factors) else list(scale_factors)


def targets(
    shape: Sequence[int], output_size: Any, scale_factors: Any
) -> tuple[list[int], list[float | None]]:
    """Sizes after upsampling, and the factors that were given, from sizes or from factors."""
    if scale_factors is not None and output_size is None:
        given = [float(factor) for factor in scale_factors]
        return [int(math.floor(s * f)) for s, f in zip(shape, given, strict=True)], list(given)
    factors: list[float | None] = (
        list(scale_factors) if scale_factors is not None else [None for _ in shape]
    )
    return list(output_size), factors


def resized(
    images: Value, output_size: Any, scale_factors: Any, matrix: Callable[..., np.ndarray]
) -> Value:
    """Images (N, C, spatial...) in another size; ``matrix(size, outputs, factor, dtype)`` makes
    the weights."""
    x = image_last(images)
    sizes, factors = targets(x.shape[1:-1], output_size, scale_factors)
    for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True), start=1):
        weights = matrix(x.shape[axis], size, factor, x.dtype)
        if weights.shape[0] != weights.shape[1] or not np.array_equal(weights, np.eye(size)):
            x = along_axis(weights, x, axis)
    return from_image_last(x)


def interpolation(make: Callable[..., np.ndarray]) -> Callable[..., Value]:
    """upsample_bilinear2d and its kind: sizes or factors, for all dimensions or one by one."""

    def operator(input, output_size, align_corners=False, scale_factors=None, *more) -> Value:  # noqa: A002
        def matrix(size: int, outputs: int, factor: float | None, dtype: Any) -> np.ndarray:
            return make(size, outputs, positions(size, outputs, align_corners, factor, dtype))

        return resized(input, output_size, _factors(scale_factors, more), matrix)

    return operator


def antialiased(kind: str) -> Callable[..., Value]:
    def operator(input, output_size, align_corners=False, scale_factors=None, *more) -> Value:  # noqa: A002
        def matrix(size: int, outputs: int, factor: float | None, _: Any) -> np.ndarray:
            return antialias_matrix(size, outputs, align_corners, factor, *KERNELS[kind])

        return resized(input, output_size, _factors(scale_factors, more), matrix)

    return operator


def nearest(offset: float) -> Callable[..., Value]:
    """upsample_nearest and its exact kind, which looks from the middle of a pixel (offset 0.5)."""

    def operator(input, output_size, scale_factors=None, *more) -> Value:  # noqa: A002
        x = image_last(input)
        sizes, factors = targets(x.shape[1:-1], output_size, _factors(scale_factors, more))
        for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True), start=1):
            x = _nearest_along(x, axis, size, factor, offset)
        return from_image_last(x)

    return operator


def _nearest_along(x: Array, axis: int, outputs: int, factor: float | None, offset: float) -> Array:
    size = x.shape[axis]
    if outputs == size:
        return x
    if outputs % size == 0 and factor in (None, outputs / size):
        return jnp.repeat(x, outputs // size, axis=axis)
    scale = np.float32(1 / factor) if factor else np.float32(size) / np.float32(outputs)
    place = np.floor((np.arange(outputs, dtype=np.float32) + np.float32(offset)) * scale)
    return jnp.take(x, np.minimum(place.astype(np.int32), size - 1), axis=axis)


# --- channels and pixels -----------------------------------------------------


def pixel_shuffle(self, upscale_factor) -> Value:
    """(..., C r^2, H, W) -> (..., C, H r, W r)."""
    *lead, channels, height, width = self.shape
    r, free = upscale_factor, len(lead)
    x = reshaped(self, [*lead, channels // r**2, r, r, height, width])
    x = permuted(x, [*range(free), *(free + axis for axis in (0, 3, 1, 4, 2))])
    return reshaped(x, [*lead, channels // r**2, height * r, width * r])


def pixel_unshuffle(self, downscale_factor) -> Value:
    """(..., C, H r, W r) -> (..., C r^2, H, W)."""
    *lead, channels, height, width = self.shape
    r, free = downscale_factor, len(lead)
    x = reshaped(self, [*lead, channels, height // r, r, width // r, r])
    x = permuted(x, [*range(free), *(free + axis for axis in (0, 2, 4, 1, 3))])
    return reshaped(x, [*lead, channels * r**2, height // r, width // r])


def channel_shuffle(self, groups) -> Value:
    count, channels, *sizes = self.shape
    x = reshaped(self, [count, groups, channels // groups, *sizes])
    x = permuted(x, [0, 2, 1, *range(3, x.ndim)])
    return reshaped(x, [count, channels, *sizes])


_LINEAR, _CUBIC = interpolation(linear_matrix), interpolation(cubic_matrix)
ATEN: dict[str, Callable[..., Any]] = {
    **{f"upsample_{name}": _LINEAR for name in ("linear1d", "bilinear2d", "trilinear3d")},
    "upsample_bicubic2d": _CUBIC,
    "_upsample_bilinear2d_aa": antialiased("linear"),
    "_upsample_bicubic2d_aa": antialiased("cubic"),
    "_upsample_lanczos2d_aa": antialiased("lanczos"),
    **{f"upsample_nearest{n}d": nearest(0.0) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": nearest(0.5) for n in (1, 2, 3)},
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
    "native_channel_shuffle": channel_shuffle,
}
