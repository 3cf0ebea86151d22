"""ONNX's layers: convolution, pooling, normalisation, products. Named and given
arguments as ONNX has them, attributes by keyword.

Each is put together from `jaxadv.foreign.operators`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import (
    Array,
    Value,
    permuted,
    plain,
    reduced,
)
from jaxadv.foreign.operators import (
    algebra,
    arithmetic,
    convolution,
    normalization,
    padding,
    pooling,
    types,
)
from model_ports.errors import InputError

Pairs = tuple[tuple[int, int], ...]


def _pads(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int] | None,
    auto_pad: str,
) -> Pairs:
    """Pixels in front of and behind each dimension."""
    count = len(kernel)
    if auto_pad in ("NOTSET", ""):
        pads = pads or [0] * 2 * count
        return tuple((pads[i], pads[count + i]) for i in range(count))
    if auto_pad == "VALID":
        return ((0, 0),) * count
    found = []
    for size, taps, step, spread in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // step) - 1) * step + (taps - 1) * spread + 1 - size)
        less, more = total // 2, total - total // 2
        found.append((less, more) if auto_pad == "SAME_UPPER" else (more, less))
    return tuple(found)


def conv(
    X,  # noqa: N803
    W,  # noqa: N803
    B=None,  # noqa: N803
    *,
    kernel_shape=None,
    strides=None,
    pads=None,
    dilations=None,
    group=1,
    auto_pad="NOTSET",
) -> Value:
    count = W.ndim - 2
    strides, dilations = strides or [1] * count, dilations or [1] * count
    around = _pads(X.shape[2:], W.shape[2:], strides, dilations, pads, auto_pad)
    return convolution.convolution(X, W, B, strides, around, dilations, groups=group)


def conv_transpose(
    X,  # noqa: N803
    W,  # noqa: N803
    B=None,  # noqa: N803
    *,
    kernel_shape=None,
    strides=None,
    pads=None,
    dilations=None,
    group=1,
    output_padding=None,
    output_shape=None,
    auto_pad="NOTSET",
) -> Value:
    if output_shape or auto_pad not in ("NOTSET", "", "VALID"):
        raise InputError("ConvTranspose with output_shape or auto_pad is not read")
    count = W.ndim - 2
    around = _pads((), W.shape[2:], (), (), pads, auto_pad)
    return convolution.convolution(
        X,
        W,
        B,
        strides or [1] * count,
        around,
        dilations or [1] * count,
        True,
        output_padding or [0] * count,
        group,
    )


def gemm(A, B, C=None, *, alpha=1.0, beta=1.0, transA=0, transB=0) -> Value:  # noqa: N803
    first = algebra.plain(permuted(A, (1, 0)) if transA else A)
    if transB:
        product: Value = algebra.linear(*_same(first, B))
    else:
        product = algebra.matmul(first, B)
    product = product if alpha == 1 else arithmetic.mul(product, alpha)
    if C is None or beta == 0:
        return product
    return arithmetic.add(product, C if beta == 1 else arithmetic.mul(C, beta))


def _same(*values: Value) -> list[Value]:
    dtype = types.promoted(values)
    return [types.cast(value, dtype) for value in values]


def einsum(*values: Value, equation: str) -> Array:
    return algebra.einsum(equation, list(values))


# --- pooling -----------------------------------------------------------------


def max_pool(
    X,  # noqa: N803
    *,
    kernel_shape,
    strides=None,
    pads=None,
    dilations=None,
    ceil_mode=0,
    storage_order=0,
    auto_pad="NOTSET",
) -> Value:
    strides, dilations, around, X = _window(  # noqa: N806
        X, kernel_shape, strides, dilations, pads, auto_pad, -np.inf
    )
    return pooling.max_pool(X, kernel_shape, strides, around, dilations, bool(ceil_mode))


def average_pool(
    X,  # noqa: N803
    *,
    kernel_shape,
    strides=None,
    pads=None,
    dilations=None,
    ceil_mode=0,
    count_include_pad=0,
    auto_pad="NOTSET",
) -> Value:
    if dilations and set(dilations) != {1}:
        raise InputError("AveragePool with dilations is not read")
    ones = jnp.ones((1, 1, *X.shape[2:]), X.dtype)
    strides, _, around, padded = _window(X, kernel_shape, strides, None, pads, auto_pad, 0.0)
    if padded is X:
        return pooling.average_pool(
            X, kernel_shape, strides, around, bool(ceil_mode), bool(count_include_pad)
        )
    counted = _window(ones, kernel_shape, strides, None, pads, auto_pad, float(count_include_pad))
    total, count = (
        pooling.average_pool(images, kernel_shape, strides, 0, bool(ceil_mode), True, 1)
        for images in (padded, counted[3])
    )
    return arithmetic.div(total, count)


def _window(
    X,  # noqa: N803
    kernel,
    strides,
    dilations,
    pads,
    auto_pad,
    fill,
) -> tuple[Sequence[int], Sequence[int], Sequence[int], Value]:
    """Strides, dilations, the padding where it is the same at both ends, and the images; these are
    padded here where it is not."""
    count = len(kernel)
    strides, dilations = strides or [1] * count, dilations or [1] * count
    around = _pads(X.shape[2:], kernel, strides, dilations, pads, auto_pad)
    if all(low == high for low, high in around):
        return strides, dilations, [low for low, _ in around], X
    listed = [number for pair in reversed(around) for number in pair]
    return strides, dilations, [0] * count, padding.constant_pad(X, listed, fill)


def global_pool(function: Callable[..., Array]) -> Callable[..., Value]:
    def operator(X: Value) -> Value:  # noqa: N803
        return reduced(function, X, list(range(2, X.ndim)), True)

    return operator


# --- normalisation -----------------------------------------------------------


def batch_norm(
    X,  # noqa: N803
    scale,
    B,  # noqa: N803
    mean,
    var,
    *,
    epsilon=1e-5,
    momentum=0.9,
    training_mode=0,
    spatial=1,
) -> Value:
    if training_mode:
        raise InputError("batch normalisation in training mode; export the network after eval()")
    return normalization.batch_norm(X, scale, B, mean, var, epsilon)


def layer_norm(X, Scale, B=None, *, axis=-1, epsilon=1e-5, stash_type=1) -> Value:  # noqa: N803
    shape = X.shape[axis % X.ndim :]
    return normalization.native_layer_norm(X, shape, Scale, B, epsilon)[0]


def rms_norm(X, scale, *, axis=-1, epsilon=1e-5, stash_type=1) -> Value:  # noqa: N803
    return normalization.rms_norm(X, X.shape[axis % X.ndim :], scale, epsilon)


def group_norm(X, scale, bias, *, num_groups, epsilon=1e-5, stash_type=1) -> Value:  # noqa: N803
    """Factors and summands of each channel, or of each group, as they were until opset 21."""
    vectors = [
        v if v.shape[0] == X.shape[1] else jnp.repeat(plain(v), X.shape[1] // num_groups)
        for v in (scale, bias)
    ]
    return normalization.group_norm(X, num_groups, *vectors, epsilon)


def instance_norm(input, scale, B, *, epsilon=1e-5) -> Value:  # noqa: A002, N803
    return normalization.group_norm(input, input.shape[1], scale, B, epsilon)


def local_response_norm(X, *, size, alpha=1e-4, beta=0.75, bias=1.0) -> Value:  # noqa: N803
    if size % 2 == 0:
        raise InputError(f"LRN over {size} channels; only odd numbers are read")
    return normalization.local_response_norm(X, size, alpha, beta, bias)


def lp_norm(input, *, axis=-1, p=2) -> Value:  # noqa: A002
    length = reduced(
        lambda x, axis, keepdims: jnp.sum(jnp.abs(x) ** p, axis=axis, keepdims=keepdims) ** (1 / p),
        input,
        axis,
        True,
    )
    return arithmetic.div(input, length)


LAYERS: dict[str, Callable[..., Any]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": algebra.matmul,
    "Einsum": einsum,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool(jnp.mean),
    "GlobalMaxPool": global_pool(jnp.max),
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "LRN": local_response_norm,
    "LpNormalization": lp_norm,
}
