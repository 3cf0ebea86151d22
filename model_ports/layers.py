"""The layers of the ports. Their gradients with respect to the image are fast on a CPU too.

On a CPU, convolutions and pooling come from `own_gradients`. Other devices use the stock operations, since cuDNN
recognises their backward pattern. Maximum pooling on a GPU is the exception: its stock gradient takes up to twice as
long, and adds overlapping windows in any order, so that two calls differ in their last bits. The default back end
decides when a program is traced.

Images are NHWC, kernels HWIO. A depthwise kernel is (height, width, 1, channels * multiplier), with output channel
c * multiplier + m. The functions follow the dtype of their arguments. Our own support first-order reverse mode only.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from model_ports import own_gradients as own
from model_ports.own_gradients import NHWC, Pads, Pair


def _platform() -> str:
    return jax.default_backend()


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[Pair],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers=None,
    feature_group_count: int = 1,
    precision=None,
    out_sharding=None,
) -> jax.Array:
    """As `jax.lax.conv_general_dilated` for NHWC images and HWIO kernels without dilation; made for `nnx.Conv`.

    On CPU a depthwise convolution is a sum over the kernel's taps, a grouped one is split into ordinary ones.
    """
    assert set((*(lhs_dilation or ()), *(rhs_dilation or ()))) <= {1}, (
        "dilated convolutions are not used here"
    )
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, NHWC)
    assert dimension_numbers in (None, NHWC, numbers), dimension_numbers
    groups = feature_group_count
    if _platform() != "cpu":
        return lax.conv_general_dilated(
            lhs,
            rhs,
            window_strides,
            padding,
            dimension_numbers=NHWC,
            feature_group_count=groups,
            precision=precision,
            out_sharding=out_sharding,
        )
    strides = tuple(window_strides)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
    pads = tuple((int(low), int(high)) for low, high in padding)
    if groups > 1 and groups == lhs.shape[3]:
        return own.depthwise(jnp.repeat(lhs, rhs.shape[3] // groups, axis=3), rhs, strides, pads)
    if groups == 1:
        return own.plain(lhs, rhs, strides, pads, precision)
    parts = zip(jnp.split(lhs, groups, axis=3), jnp.split(rhs, groups, axis=3), strict=True)
    return jnp.concatenate(
        [own.plain(x, kernel, strides, pads, precision) for x, kernel in parts], axis=3
    )


def _pads(x: jax.Array, windows: Pair, strides: Pair, padding: str) -> Pads:
    """What SAME or VALID puts before and behind the rows and columns of (N, H, W, C)."""
    rows, columns = lax.padtype_to_pads(x.shape[1:3], windows, strides, padding)
    return rows, columns


def max_pool(x: jax.Array, window: int, stride: int, *, padding: str = "VALID") -> jax.Array:
    """The largest value of each window, (N, H, W, C) -> (N, H', W', C). SAME pads with -inf.

    The gradient goes to the first maximum of a window in row-major order, as in TensorFlow and PyTorch.
    """
    windows, strides = (window, window), (stride, stride)
    if _platform() not in ("cpu", "gpu"):
        return nnx.max_pool(x, windows, strides=strides, padding=padding)
    pads = _pads(x, windows, strides, padding)
    return own.max_pool(x, windows, strides, pads)


def average_pool(x: jax.Array, window: int, stride: int, *, padding: str = "VALID") -> jax.Array:
    """The mean of each window, (N, H, W, C) -> (N, H', W', C). Padding does not count, as in TensorFlow."""
    windows, strides = (window, window), (stride, stride)
    pads = _pads(x, windows, strides, padding)
    total = _sum_pool(x, windows, strides, pads)
    rows, columns = (
        _counts(size, window, stride, low, outputs)
        for size, (low, _), outputs in zip(x.shape[1:3], pads, total.shape[1:3], strict=True)
    )
    return total / np.asarray(rows[:, None] * columns, x.dtype)[None, :, :, None]


def _counts(size: int, window: int, stride: int, low: int, outputs: int) -> np.ndarray:
    """The number of pixels of each window that lie inside the image, along one axis."""
    start = np.arange(outputs) * stride - low
    return np.minimum(start + window, size) - np.maximum(start, 0)


def _sum_pool(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    if _platform() == "cpu":
        return own.sum_pool(x, window, strides, pads)
    zero = np.zeros((), x.dtype)
    return lax.reduce_window(
        x, zero, lax.add, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0))
    )


def global_mean(x: jax.Array) -> jax.Array:
    """Mean over space: (N, H, W, C) -> (N, C)."""
    return jnp.mean(x, axis=(1, 2))


# --- local response normalisation --------------------------------------------------------------------------------


def local_response_normalization(x: jax.Array, *, radius: int, alpha: float) -> jax.Array:
    """x / (1 + alpha * sum of squares of the channels within `radius`)^0.75, (N, H, W, C): TensorFlow's formula.

    The window is cut off at the first and the last channel. alpha is not divided by the window's length. Square roots
    make the power: on a CPU they are several times as fast as a general one.
    """
    pixels = (x * x).reshape(x.shape[0], -1, x.shape[3], 1)  # the channels as columns
    total = _sum_pool(pixels, (1, 2 * radius + 1), (1, 1), ((0, 0), (radius, radius))).reshape(
        x.shape
    )
    root = lax.rsqrt(1.0 + alpha * total)
    return x * (root * jnp.sqrt(root))


# --- modules -----------------------------------------------------------------------------------------------------


class ShapesOnly:
    """In place of `nnx.Rngs`: a network built with it holds `jax.ShapeDtypeStruct`s and allocates no kernel."""

    def params(self) -> None:
        return None


def _initializer(draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]):
    """An initialiser that draws on the host, seeded by the key. Compiling the draws in JAX would take seconds."""

    def initialize(key, shape, dtype):
        if key is None:
            return jax.ShapeDtypeStruct(shape, dtype)
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return jnp.asarray(draw(generator, shape), dtype)

    return initialize


def _kernel(gain: float):
    """Normal with variance gain^2 * 2 / (inputs of one output), for ReLU networks (He et al. 2015)."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        spread = np.float32(gain * np.sqrt(2.0 / np.prod(shape[:-1])))
        return spread * generator.standard_normal(shape, np.float32)

    return _initializer(draw)


_ZEROS = _initializer(lambda _, shape: np.zeros(shape, np.float32))
_ONES = _initializer(lambda _, shape: np.ones(shape, np.float32))


def convolution(
    inputs: int,
    outputs: int,
    kernel: int | Pair,
    *,
    stride: int = 1,
    padding: str | Pads = "SAME",
    groups: int = 1,
    use_bias: bool = True,
    gain: float = 1.0,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """2-D convolution with this file's gradients, depthwise where `groups` is `inputs`.

    SAME is TensorFlow's: padding as the size asks for, the smaller half before. `gain` scales the initial kernel.
    """
    return nnx.Conv(
        inputs,
        outputs,
        (kernel, kernel) if isinstance(kernel, int) else kernel,
        (stride, stride),
        padding=padding,
        feature_group_count=groups,
        use_bias=use_bias,
        kernel_init=_kernel(gain),
        bias_init=_ZEROS,
        conv_general_dilated=conv_general_dilated,
        rngs=rngs,
    )


def linear(inputs: int, outputs: int, *, gain: float = 1.0, rngs: nnx.Rngs) -> nnx.Linear:
    """Fully connected layer with bias, (N, inputs) -> (N, outputs); `gain` as for `convolution`."""
    return nnx.Linear(inputs, outputs, kernel_init=_kernel(gain), bias_init=_ZEROS, rngs=rngs)


class BatchNorm(nnx.Module):
    """Batch normalisation by the moving statistics; `nnx.view(network, use_running_average=False)` is for training.

    The arithmetic is that of `nnx.BatchNorm`. That class takes three times as long to trace, and allocates its statistics
    on the device even in a network of shapes alone.
    """

    momentum = 0.95  # for the short trainings of the embedded networks; the originals' momentum plays no part here

    def __init__(self, features: int, *, epsilon: float, use_scale: bool, rngs: nnx.Rngs):
        shape = (features,)
        self.epsilon, self.use_running_average = epsilon, True
        self.scale = nnx.Param(_ONES(rngs.params(), shape, jnp.float32)) if use_scale else None
        key = rngs.params()
        self.bias = nnx.Param(_ZEROS(key, shape, jnp.float32))
        self.mean = nnx.BatchStat(_ZEROS(key, shape, jnp.float32))
        self.var = nnx.BatchStat(_ONES(key, shape, jnp.float32))

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Called by `nnx.view`."""
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def __call__(self, x: jax.Array) -> jax.Array:
        def everywhere(vector: jax.Array) -> jax.Array:
            return lax.broadcast_in_dim(vector, x.shape, (x.ndim - 1,))

        mean, var = self.mean[...], self.var[...]
        if not self.use_running_average:
            old, axes = (mean, var), tuple(range(x.ndim - 1))
            mean = jnp.mean(x, axes)
            var = jnp.maximum(0, jnp.mean(x * x, axes) - mean * mean)
            for moving, before, now in zip((self.mean, self.var), old, (mean, var), strict=True):
                moving[...] = self.momentum * before + (1 - self.momentum) * now
        factor = lax.rsqrt(var + np.asarray(self.epsilon, var.dtype))
        if self.scale is not None:
            factor = lax.mul(factor, self.scale[...])
        return lax.add(
            lax.mul(lax.sub(x, everywhere(mean)), everywhere(factor)), everywhere(self.bias[...])
        )


def batch_norm(
    features: int, *, epsilon: float, use_scale: bool = True, rngs: nnx.Rngs
) -> BatchNorm:
    """See `BatchNorm`."""
    return BatchNorm(features, epsilon=epsilon, use_scale=use_scale, rngs=rngs)
