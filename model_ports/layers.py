"""The layers of the ports. Their gradients with respect to the image are fast on a CPU too.

On a CPU, convolutions and pooling come from `own_gradients`. Other devices use the operations of
JAX, because cuDNN recognises the pattern of their gradients. Maximum pooling on a GPU is an
exception. JAX's gradient takes up to twice as long there. It also adds overlapping windows in any
order, so that two calls differ in their last bits. The default back end decides when a program is
traced.

Images are NHWC, kernels HWIO. A depthwise kernel is (height, width, 1, channels * multiplier), with
output channel c * multiplier + m. The functions follow the dtype of their arguments. Functions from
`own_gradients` support first-order reverse mode only.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from model_ports import own_gradients
from model_ports.windows import NHWC, Pads, Pair


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
    """`jax.lax.conv_general_dilated` for NHWC images and HWIO kernels without dilation, for
    `nnx.Conv`.

    On a CPU it is `own_gradients.convolution`.
    """
    assert set((*(lhs_dilation or ()), *(rhs_dilation or ()))) <= {1}, (
        "dilated convolutions are not used here"
    )
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, NHWC)
    assert dimension_numbers in (None, NHWC, numbers), dimension_numbers
    groups = feature_group_count
    if _platform() == "cpu":
        strides: Any = tuple(window_strides)
        pads: Any = padding
        if isinstance(pads, str):
            pads = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, pads)
        pads = tuple((int(low), int(high)) for low, high in pads)
        y = own_gradients.convolution(lhs, rhs, strides, pads, groups, precision)
        if y is not None:
            return y
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


def _pads(x: jax.Array, windows: Pair, strides: Pair, padding: str) -> Pads:
    """The padding of SAME or VALID before and behind the rows and the columns of (N, H, W, C)."""
    rows, columns = lax.padtype_to_pads(x.shape[1:3], windows, strides, padding)
    return rows, columns


def max_pool(x: jax.Array, window: int, stride: int, *, padding: str = "VALID") -> jax.Array:
    """The largest value of each window.

    The gradient goes to the first maximum of a window in row-major order, as in TensorFlow and
    PyTorch.

    Args:
        x: (N, H, W, C).
        window: the side of the windows, in pixels.
        stride: the distance between windows, in pixels.
        padding: "VALID", or "SAME", which pads with -inf.

    Returns:
        (N, H', W', C).
    """
    windows = (window, window)
    strides = (stride, stride)
    if _platform() not in ("cpu", "gpu"):
        return nnx.max_pool(x, windows, strides=strides, padding=padding)
    pads = _pads(x, windows, strides, padding)
    return own_gradients.max_pool(x, windows, strides, pads)


def average_pool(x: jax.Array, window: int, stride: int, *, padding: str = "VALID") -> jax.Array:
    """The mean of each window. As in TensorFlow, padding does not count.

    Args:
        x: (N, H, W, C).
        window: the side of the windows, in pixels.
        stride: the distance between windows, in pixels.
        padding: "VALID" or "SAME".

    Returns:
        (N, H', W', C).
    """
    windows = (window, window)
    strides = (stride, stride)
    pads = _pads(x, windows, strides, padding)
    total = _sum_pool(x, windows, strides, pads)
    rows, columns = (
        _counts(size, window, stride, low, outputs)
        for size, (low, _), outputs in zip(x.shape[1:3], pads, total.shape[1:3], strict=True)
    )
    return total / np.asarray(rows[:, None] * columns, x.dtype)[None, :, :, None]


def _counts(size: int, window: int, stride: int, low: int, outputs: int) -> np.ndarray:
    """The number of pixels of each window that are inside the image, along one axis."""
    start = np.arange(outputs) * stride - low
    return np.minimum(start + window, size) - np.maximum(start, 0)


def _sum_pool(x: jax.Array, window: Pair, strides: Pair, pads: Pads) -> jax.Array:
    if _platform() == "cpu":
        return own_gradients.sum_pool(x, window, strides, pads)
    zero = np.zeros((), x.dtype)
    return lax.reduce_window(
        x, zero, lax.add, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0))
    )


def global_mean(x: jax.Array) -> jax.Array:
    """The mean over all positions: (N, H, W, C) -> (N, C)."""
    return jnp.mean(x, axis=(1, 2))


# --- local response normalisation --------------------------------------------


def local_response_normalization(x: jax.Array, *, radius: int, alpha: float) -> jax.Array:
    """TensorFlow's local response normalisation.

    It computes x / (1 + alpha * sum of squares of the channels within ``radius``)^0.75. The window
    ends at the first and the last channel. alpha is not divided by the length of the window. The
    power is computed by square roots, which are several times faster on a CPU than a general power.

    Args:
        x: (N, H, W, C).
        radius: the number of channels on each side.
        alpha: the factor of the sum.

    Returns:
        (N, H, W, C).
    """
    pixels = (x * x).reshape(x.shape[0], -1, x.shape[3], 1)  # the channels as columns
    total = _sum_pool(pixels, (1, 2 * radius + 1), (1, 1), ((0, 0), (radius, radius))).reshape(
        x.shape
    )
    root = lax.rsqrt(1.0 + alpha * total)
    return x * (root * jnp.sqrt(root))


# --- modules -----------------------------------------------------------------


class ShapesOnly:
    """Replaces `nnx.Rngs`.

    A network built with it holds shapes and dtypes, and allocates no kernel.
    """

    def params(self) -> None:
        return None


def _initializer(draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]):
    """Make an initialiser that draws on the host, with a seed from the key.

    Compiling the draws in JAX would take seconds.
    """

    def initialize(key, shape, dtype):
        if key is None:
            return jax.ShapeDtypeStruct(shape, dtype)
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return jnp.asarray(draw(generator, shape), dtype)

    return initialize


def _kernel(gain: float):
    """A normal distribution with variance gain^2 * 2 / (inputs of an output); see He et al.
    2015.
    """

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
    """Make a 2-D convolution with the gradients of this module.

    Args:
        inputs: the number of input channels.
        outputs: the number of output channels.
        kernel: the size of the kernel, or its height and width.
        stride: the stride in both directions.
        padding: "VALID", explicit paddings, or TensorFlow's "SAME". That depends on the size of the
            image, and puts the smaller half before it.
        groups: the number of groups. With ``inputs`` groups, the convolution is depthwise.
        use_bias: True for a bias.
        gain: the scale of the initial kernel.
        rngs: the random keys of the initial parameters.
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
    """Make a fully connected layer with bias, (N, inputs) -> (N, outputs).

    See `convolution` for ``gain``.
    """
    return nnx.Linear(inputs, outputs, kernel_init=_kernel(gain), bias_init=_ZEROS, rngs=rngs)


class BatchNorm(nnx.Module):
    """Batch normalisation by moving statistics.

    For training, use `nnx.view(network, use_running_average=False)`. The arithmetic is that of
    `nnx.BatchNorm`. That class takes three times as long to trace. It also allocates statistics on
    the device when a network has shapes only.
    """

    momentum = 0.95  # for training the embedded networks; the originals' momentum is not used

    def __init__(self, features: int, *, epsilon: float, use_scale: bool, rngs: nnx.Rngs):
        shape = (features,)
        self.epsilon = epsilon
        self.use_running_average = True
        self.scale = nnx.Param(_ONES(rngs.params(), shape, jnp.float32)) if use_scale else None
        key = rngs.params()
        self.bias = nnx.Param(_ZEROS(key, shape, jnp.float32))
        self.mean = nnx.BatchStat(_ZEROS(key, shape, jnp.float32))
        self.var = nnx.BatchStat(_ONES(key, shape, jnp.float32))

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Set the mode. `nnx.view` calls this."""
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def __call__(self, x: jax.Array) -> jax.Array:
        def everywhere(vector: jax.Array) -> jax.Array:
            return lax.broadcast_in_dim(vector, x.shape, (x.ndim - 1,))

        mean = self.mean[...]
        var = self.var[...]
        if not self.use_running_average:
            old = (mean, var)
            axes = tuple(range(x.ndim - 1))
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
    """Make a `BatchNorm`."""
    return BatchNorm(features, epsilon=epsilon, use_scale=use_scale, rngs=rngs)
