"""Pooling over windows of one, two and three dimensions: the ATen operators of their names.

Images are named (N, C, spatial...) and stored with channels last. Of equal elements in a window
the first in row-major order takes the gradient of a maximum.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import Array, Value, from_image_last, image_last
from jaxadv.foreign.operators import types
from jaxadv.foreign.operators.convolution import batched, several
from model_ports import own_gradients as own
from model_ports.errors import InputError


class Windows:
    """Where the windows of a pooling stand.

    Args:
        sizes: of the image, one each dimension.
        kernel, stride, padding, dilation: likewise, or one for all; an empty stride is the kernel.
        ceil_mode: whether a last window may hang over, as long as it starts inside image or left
        padding.
    """

    def __init__(
        self, sizes: Sequence[int], kernel, stride=(), padding=0, dilation=1, ceil_mode=False
    ):
        count = len(sizes)
        self.sizes, self.kernel = tuple(sizes), several(kernel, count)
        self.stride = several(stride, count) if stride not in ((), [], None) else self.kernel
        self.padding, self.dilation = several(padding, count), several(dilation, count)
        self.reach = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        self.outputs = tuple(
            _outputs(*numbers, ceil_mode)
            for numbers in zip(self.sizes, self.reach, self.stride, self.padding, strict=True)
        )
        self.pads = tuple(
            (pad, max(0, (out - 1) * step + reach - size - pad))
            for size, reach, step, pad, out in zip(
                self.sizes, self.reach, self.stride, self.padding, self.outputs, strict=True
            )
        )

    def taps(self, x: Array, fill: float) -> list[Array]:
        """What each tap sees at every output position, row-major; x (N, spatial..., C)."""
        x = lax.pad(
            x, jnp.asarray(fill, x.dtype), [(0, 0, 0), *((*pad, 0) for pad in self.pads), (0, 0, 0)]
        )
        starts = itertools.product(
            *(range(0, d * k, d) for d, k in zip(self.dilation, self.kernel, strict=True))
        )
        return [self._at(x, start) for start in starts]

    def _at(self, x: Array, start: Sequence[int]) -> Array:
        ends = (
            s + (out - 1) * step + 1
            for s, out, step in zip(start, self.outputs, self.stride, strict=True)
        )
        return lax.slice(x, (0, *start, 0), (x.shape[0], *ends, x.shape[-1]), (1, *self.stride, 1))

    def counts(self, dimension: int, with_padding: bool) -> np.ndarray:
        """Elements of each window along a dimension: inside the image, or inside image and
        padding."""
        size, pad = self.sizes[dimension], self.padding[dimension]
        start = np.arange(self.outputs[dimension]) * self.stride[dimension] - pad
        end = np.minimum(start + self.kernel[dimension], size + pad)
        return end - start if with_padding else np.minimum(end, size) - np.maximum(start, 0)


def _outputs(size: int, reach: int, step: int, pad: int, ceil_mode: bool) -> int:
    room = size + 2 * pad - reach
    count = (-(-room // step) if ceil_mode else room // step) + 1
    return count - 1 if ceil_mode and (count - 1) * step >= size + pad else count


def _rank(images: Value, kernel: int | Sequence[int]) -> int:
    """Axes of a batch of images, from a kernel with a length for each dimension."""
    return images.ndim if isinstance(kernel, int) else len(kernel) + 2


def max_pool(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False) -> Value:
    function = partial(_max_pool, kernel_size, stride, padding, dilation, ceil_mode)
    return batched(function, self, _rank(self, kernel_size))


def _max_pool(kernel, stride, padding, dilation, ceil_mode, images: Value) -> Value:
    x = image_last(images)
    windows = Windows(x.shape[1:-1], kernel, stride, padding, dilation, ceil_mode)
    if x.ndim == 4 and set(windows.dilation) == {1} and jax.default_backend() in ("cpu", "gpu"):
        return from_image_last(own.max_pool(x, windows.kernel, windows.stride, windows.pads))
    return from_image_last(reduce(_first_largest, windows.taps(x, -math.inf)))


def _first_largest(best: Array, other: Array) -> Array:
    return jnp.where(other > best, other, best)


def max_pool_with_indices(
    self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False
) -> tuple:
    """The largest elements, and where each stands in its flattened image."""

    def places(images: Value) -> Value:
        x = image_last(images)
        windows = Windows(x.shape[1:-1], kernel_size, stride, padding, dilation, ceil_mode)
        shape = (1, *windows.sizes, 1)
        numbers = jnp.arange(math.prod(windows.sizes)).reshape(shape)
        pairs = zip(windows.taps(x, -math.inf), windows.taps(numbers, 0), strict=True)

        def better(best, other):
            is_more = other[0] > best[0]
            return jnp.where(is_more, other[0], best[0]), jnp.where(is_more, other[1], best[1])

        place = reduce(better, [(value, jnp.broadcast_to(at, value.shape)) for value, at in pairs])[
            1
        ]
        return from_image_last(place.astype(types.canonical(np.int64)))

    pooled = max_pool(self, kernel_size, stride, padding, dilation, ceil_mode)
    return pooled, batched(places, self, _rank(self, kernel_size))


def average_pool(
    self,
    kernel_size,
    stride=(),
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override: int | None = None,
) -> Value:
    """Sum of each window over the number of its elements, those of the padding included or not."""

    def function(images: Value) -> Value:
        x = image_last(images)
        windows = Windows(x.shape[1:-1], kernel_size, stride, padding, 1, ceil_mode)
        total = _sum_pool(x, windows)
        if divisor_override is not None:
            return from_image_last(total / divisor_override)
        counts = (windows.counts(axis, count_include_pad) for axis in range(len(windows.sizes)))
        return from_image_last(
            total / jnp.asarray(reduce(np.multiply.outer, counts)[None, ..., None], x.dtype)
        )

    return batched(function, self, _rank(self, kernel_size))


def _sum_pool(x: Array, windows: Windows) -> Array:
    if x.ndim == 4 and jax.default_backend() == "cpu":
        return own.sum_pool(x, windows.kernel, windows.stride, windows.pads)
    around = [(0, 0), *windows.pads, (0, 0)]
    zero = np.zeros((), x.dtype)
    return lax.reduce_window(
        x, zero, lax.add, (1, *windows.kernel, 1), (1, *windows.stride, 1), around
    )


def lp_pool(self, norm_type, kernel_size, stride=(), ceil_mode=False) -> Value:
    """(sum of x^p)^(1/p) of each window."""
    raised = from_image_last(image_last(self) ** norm_type)
    x = image_last(average_pool(raised, kernel_size, stride, 0, ceil_mode, True, 1))
    return from_image_last(x ** (1 / norm_type))


# --- windows that divide the image -------------------------------------------


def parts(size: int, outputs: int) -> list[tuple[int, int]]:
    """Start and end of each of ``outputs`` windows that cover a length, as adaptive pooling has
    them."""
    return [(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)]


def adaptive_average_pool(self, output_size) -> Value:
    """Means of windows that cover the image, as many in each dimension as asked for; None keeps a
    length."""
    sizes = _sizes(output_size)

    def function(images: Value) -> Value:
        x = image_last(images)
        for axis, (size, outputs) in enumerate(
            zip(x.shape[1:-1], _wanted(x, sizes), strict=True), start=1
        ):
            if outputs == 1:
                x = jnp.mean(x, axis=axis, keepdims=True)
            elif size % outputs == 0:
                x = jnp.mean(
                    x.reshape(*x.shape[:axis], outputs, size // outputs, *x.shape[axis + 1 :]),
                    axis=axis + 1,
                )
            else:
                share = np.zeros((outputs, size))
                for row, (start, end) in zip(share, parts(size, outputs), strict=True):
                    row[start:end] = 1 / (end - start)
                x = along_axis(share, x, axis)
        return from_image_last(x)

    return batched(function, self, len(sizes) + 2)


def along_axis(matrix: np.ndarray, x: Array, axis: int) -> Array:
    """The product of a matrix (outputs, inputs) with every line of an array along an axis."""
    product = jnp.tensordot(jnp.asarray(matrix, x.dtype), x, axes=(1, axis))
    return jnp.moveaxis(product, 0, axis)


def adaptive_max_pool(self, output_size) -> tuple[Value, Value]:
    """The largest elements of windows that cover the image, and where each stands in its flattened
    image."""
    sizes = _sizes(output_size)

    def function(images: Value, number: int) -> Value:
        x = image_last(images)
        shape = x.shape[1:-1]
        wanted = _wanted(x, sizes)
        places = np.arange(math.prod(shape)).reshape(shape)
        found = []
        for window in itertools.product(*(parts(s, o) for s, o in zip(shape, wanted, strict=True))):
            where = tuple(slice(*part) for part in window)
            pixels = x[(slice(None), *where)].reshape(x.shape[0], -1, x.shape[-1])
            best = jnp.argmax(pixels, axis=1, keepdims=True)
            value = jnp.take_along_axis(pixels, best, axis=1)[:, 0]
            found.append((value, jnp.asarray(places[where].reshape(-1))[best[:, 0]])[number])
        return from_image_last(jnp.stack(found, axis=1).reshape(x.shape[0], *wanted, x.shape[-1]))

    rank = len(sizes) + 2
    return batched(function, self, rank, 0), types.cast(
        batched(function, self, rank, 1), types.canonical(np.int64)
    )


def _sizes(output_size: Any) -> tuple[int | None, ...]:
    if not isinstance(output_size, Sequence):
        raise InputError(f"adaptive pooling to {output_size!r}; a list of sizes is needed")
    return tuple(output_size)


def _wanted(x: Array, sizes: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(s if o is None else o for s, o in zip(x.shape[1:-1], sizes, strict=True))


ATEN: dict[str, Callable[..., Any]] = {
    **{f"max_pool{n}d": max_pool for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": max_pool_with_indices for n in (1, 2, 3)},
    **{f"avg_pool{n}d": average_pool for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": adaptive_average_pool for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": adaptive_average_pool for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": adaptive_max_pool for n in (1, 2, 3)},
}
