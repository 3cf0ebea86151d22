"""Images at points of a grid, and the grids of affine maps. The ATen operators of their names."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import Array, plain
from model_ports.errors import InputError


def grid_sample(input, grid, interpolation_mode=0, padding_mode=0, align_corners=False) -> Array:  # noqa: A002
    """Images (N, C, H, W) at points (N, h, w, 2) of [-1, 1], x before y.

    Args:
        interpolation_mode: 0 bilinear, 1 nearest, 2 bicubic.
        padding_mode: what lies outside: 0 zeros, 1 the edge, 2 the mirrored image.
    """
    images, points = plain(input), plain(grid)
    sizes = (images.shape[3], images.shape[2])
    at = [_pixels(points[..., axis], size, align_corners) for axis, size in enumerate(sizes)]
    inside = [
        partial(_inside, size=size, mode=padding_mode, align_corners=align_corners)
        for size in sizes
    ]
    if interpolation_mode == 2:  # each neighbour by itself lies inside or not
        return _sum_of_neighbours(images, at, np.arange(-1, 3), _cubic, inside)
    x, y = (bring(place) for bring, place in zip(inside, at, strict=True))
    if interpolation_mode == 1:
        return _pick(images, jnp.round(x), jnp.round(y))
    return _sum_of_neighbours(
        images, [x, y], np.arange(2), lambda d: 1 - jnp.abs(d), [lambda p: p] * 2
    )


def _sum_of_neighbours(
    images: Array,
    at: Sequence[Array],
    steps: np.ndarray,
    share: Callable,
    inside: Sequence[Callable],
) -> Array:
    """The weighted sum of pixels around points: columns and rows (N, h, w) -> (N, C, h, w).

    Args:
        steps: of the neighbours along each axis, from the pixel below a point.
        share: weight by distance along an axis.
        inside: brings a column, and a row, into the image.
    """
    places, weights = [], []
    for bring, place in zip(inside, at, strict=True):
        near = jnp.floor(place)[:, None] + steps.reshape(-1, 1, 1).astype(place.dtype)
        places.append(bring(near))
        weights.append(share(place[:, None] - near))
    columns, rows = places[0][:, None], places[1][:, :, None]
    both = weights[0][:, None] * weights[1][:, :, None]
    picked = _pick(images, *jnp.broadcast_arrays(columns, rows))
    return jnp.sum(picked * both[:, None], axis=(2, 3))


def _pixels(point: Array, size: int, align_corners: bool) -> Array:
    return (point + 1) / 2 * (size - 1) if align_corners else ((point + 1) * size - 1) / 2


def _inside(at: Array, size: int, mode: int, align_corners: bool) -> Array:
    if mode == 0:
        return at
    if mode == 2:
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        if not span:
            return jnp.zeros_like(at)
        away = jnp.abs(at - low)
        turns, rest = jnp.floor(away / span), jnp.fmod(away, span)
        at = jnp.where(turns % 2 == 0, rest + low, span - rest + low)
    return jnp.clip(at, 0, size - 1)


def _pick(images: Array, x: Array, y: Array) -> Array:
    """Pixels at whole places (N, ...), 0 outside: (N, C, ...)."""
    height, width = images.shape[2:]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = (
        jnp.clip(at, 0, size - 1).astype(np.int32) for at, size in ((x, width), (y, height))
    )
    flat = images.reshape(*images.shape[:2], -1)
    places = (row * width + column).reshape(images.shape[0], 1, -1)
    picked = jnp.take_along_axis(flat, places, axis=2).reshape(*images.shape[:2], *x.shape[1:])
    return jnp.where(inside[:, None], picked, jnp.zeros((), images.dtype))


def _cubic(distance: Array, a: float = -0.75) -> Array:
    x = jnp.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return jnp.where(x <= 1, near, (((x - 5) * x + 8) * x - 4) * a)


def affine_grid(theta, size, align_corners=False) -> Array:
    """Points (N, h, w, 2) of an affine map (N, 2, 3)."""
    if len(size) != 4:
        raise InputError(f"affine_grid of {len(size) - 2} dimensions; only images of two are read")
    matrix = plain(theta)
    height, width = size[2:]

    def line(count: int) -> np.ndarray:
        at = np.linspace(-1, 1, count) if count > 1 else np.zeros(count)
        return at if align_corners else at * ((count - 1) / count)

    y, x = np.meshgrid(line(height), line(width), indexing="ij")
    points = jnp.asarray(np.stack([x, y, np.ones_like(x)], axis=-1), matrix.dtype)
    return jnp.einsum("hwi,noi->nhwo", points, matrix)


ATEN: dict[str, Callable[..., Any]] = {
    "grid_sampler_2d": grid_sample,
    "grid_sampler": grid_sample,
    "affine_grid_generator": affine_grid,
}
