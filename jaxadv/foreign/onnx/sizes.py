"""ONNX's changes of the size of images. Named and given arguments as ONNX has them, attributes by
keyword."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import Value, from_image_last, image_last, permuted, reshaped
from jaxadv.foreign.onnx.constants import known
from jaxadv.foreign.operators import pooling, resampling
from model_ports.errors import InputError


def resize(
    X,  # noqa: N803
    roi=None,
    scales=None,
    sizes=None,
    *,
    mode="nearest",
    coordinate_transformation_mode="half_pixel",
    nearest_mode="round_prefer_floor",
    cubic_coeff_a=-0.75,
    exclude_outside=0,
    extrapolation_value=0.0,
    antialias=0,
    axes=None,
    keep_aspect_ratio_policy="stretch",
) -> Value:
    """Images (N, C, spatial...) in another size, by the factors or to the sizes that are given."""
    if exclude_outside or antialias or keep_aspect_ratio_policy != "stretch":
        raise InputError("Resize with antialias, exclude_outside or an aspect ratio is not read")
    names = [axis % X.ndim for axis in axes] if axes else list(range(X.ndim))
    wanted: dict[int, tuple[int, float]] = {}
    if sizes is not None and known(sizes, "Resize").size:
        for name, size in zip(names, known(sizes, "Resize").tolist(), strict=True):
            wanted[name] = (int(size), size / X.shape[name])
    else:
        for name, scale in zip(names, known(scales, "Resize").tolist(), strict=True):
            wanted[name] = (int(np.floor(X.shape[name] * scale)), float(scale))
    x, rank = image_last(X), X.ndim
    for name, (size, scale) in wanted.items():
        if size == X.shape[name]:
            continue
        if name < 2:
            raise InputError("Resize of images or channels, rather than of pixels, is not read")
        at = _positions(X.shape[name], size, scale, coordinate_transformation_mode)
        axis = name - 1
        if mode == "nearest":
            place = np.clip(_ROUNDING[nearest_mode](at), 0, X.shape[name] - 1).astype(np.int32)
            x = jnp.take(x, place, axis=axis)
        elif mode == "linear":
            x = pooling.along_axis(resampling.linear_matrix(X.shape[name], size, at), x, axis)
        else:
            matrix = resampling.cubic_matrix(X.shape[name], size, at, cubic_coeff_a)
            x = pooling.along_axis(matrix, x, axis)
    assert x.ndim == rank
    return from_image_last(x)


def upsample(X, scales, *, mode="nearest") -> Value:  # noqa: N803
    return resize(
        X,
        None,
        scales,
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


_ROUNDING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
}


def _positions(size: int, outputs: int, scale: float, how: str) -> np.ndarray:
    at = np.arange(outputs, dtype=np.float64)
    if how == "align_corners":
        return at * (size - 1) / (outputs - 1) if outputs > 1 else np.zeros(1)
    if how == "asymmetric":
        return at / scale
    if how == "pytorch_half_pixel" and outputs == 1:
        return np.zeros(1)
    if how in ("half_pixel", "pytorch_half_pixel"):
        return (at + 0.5) / scale - 0.5
    if how == "half_pixel_symmetric":
        adjusted = outputs / (scale * size)
        return size / 2 * (1 - adjusted) + (at + 0.5) / scale - 0.5
    raise InputError(f"Resize with coordinate_transformation_mode {how!r} is not read")


def depth_to_space(input, *, blocksize, mode="DCR") -> Value:  # noqa: A002
    if mode == "CRD":
        return resampling.pixel_shuffle(input, blocksize)
    n, c, h, w = input.shape
    x = reshaped(input, [n, blocksize, blocksize, c // blocksize**2, h, w])
    x = permuted(x, (0, 3, 4, 1, 5, 2))
    return reshaped(x, [n, c // blocksize**2, h * blocksize, w * blocksize])


def space_to_depth(input, *, blocksize) -> Value:  # noqa: A002
    n, c, h, w = input.shape
    x = reshaped(input, [n, c, h // blocksize, blocksize, w // blocksize, blocksize])
    x = permuted(x, (0, 3, 5, 1, 2, 4))
    return reshaped(x, [n, c * blocksize**2, h // blocksize, w // blocksize])


SIZES: dict[str, Callable[..., Any]] = {
    "Resize": resize,
    "Upsample": upsample,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
