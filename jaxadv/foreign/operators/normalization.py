"""Normalisation in evaluation mode: the ATen operators of their names."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxadv.foreign.layout import Array, Value, in_order, is_array, laid, plain, reduced, stored
from model_ports.errors import InputError


def _channels(vector: Value, rank: int, order: tuple[int, ...]) -> Array:
    """A vector over axis 1 of arrays that are stored in this order."""
    shape = [1] * rank
    shape[order[1]] = -1
    return plain(vector).reshape(shape)


def batch_norm(input, weight, bias, mean, variance, eps) -> Value:  # noqa: A002
    """(x - mean) / sqrt(variance + eps) * weight + bias over axis 1, as a factor and a sum."""
    array, order = stored(input)
    dtype = array.dtype
    factor = lax.rsqrt(plain(variance) + eps)
    factor = factor if weight is None else factor * plain(weight)
    shift = -plain(mean) * factor
    shift = shift if bias is None else shift + plain(bias)
    factor, shift = (_channels(v, array.ndim, order).astype(dtype) for v in (factor, shift))
    return laid(array * factor + shift, order)


def batch_norm_any(
    input,  # noqa: A002
    weight,
    bias,
    running_mean,
    running_var,
    training,
    momentum,
    eps,
    cudnn_enabled=False,
) -> Value:
    """By the statistics that are kept or, where there are none, by those of the input itself.

    The latter is how some networks standardise their kernels.
    """
    if running_mean is None or training:
        if running_mean is not None:
            raise InputError(
                "batch normalisation in training mode changes with the batch; call eval()"
            )
        running_mean, running_var = _statistics(input)
    return batch_norm(input, weight, bias, running_mean, running_var, eps)


def _statistics(input: Value) -> tuple[Array, Array]:  # noqa: A002
    """Mean and variance of each channel, axis 1, over all else."""
    others = [axis for axis in range(input.ndim) if axis != 1]
    mean = reduced(jnp.mean, input, others, True)
    array, order = stored(input)
    variance = reduced(
        jnp.mean, laid(jnp.square(array - in_order(mean, order)), order), others, False
    )
    return plain(mean).reshape(-1), plain(variance)


def batch_norm_no_training(input, weight, bias, running_mean, running_var, momentum, eps) -> tuple:  # noqa: A002
    return batch_norm(input, weight, bias, running_mean, running_var, eps), None, None


def batch_norm_no_stats(input, weight, bias, training, momentum, eps) -> tuple:  # noqa: A002
    mean, variance = _statistics(input)
    return batch_norm(input, weight, bias, mean, variance, eps), None, None


def native_batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps
) -> tuple:  # noqa: A002
    return (
        batch_norm_any(input, weight, bias, running_mean, running_var, training, momentum, eps),
        None,
        None,
    )


def _standardised(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array]:
    mean = jnp.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    factor = lax.rsqrt(jnp.mean(jnp.square(centred), axis=axes, keepdims=True) + eps)
    return centred * factor, mean, factor


def native_layer_norm(input, normalized_shape, weight, bias, eps) -> tuple[Value, Value, Value]:  # noqa: A002
    """Over the last axes; the result, the means and the factors."""
    array, order = stored(input)
    rank, count = array.ndim, len(normalized_shape)
    names = range(rank - count, rank)
    out, mean, factor = _standardised(array, tuple(order[name] for name in names), eps)
    for vector, join in ((weight, jnp.multiply), (bias, jnp.add)):
        if vector is not None:
            whole = plain(vector).reshape((1,) * (rank - count) + tuple(normalized_shape))
            out = join(out, in_order(whole, order).astype(out.dtype))
    return laid(out, order), laid(mean, order), laid(factor, order)


def layer_norm(
    input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True
) -> Value:  # noqa: A002
    return native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


def rms_norm(input, normalized_shape, weight=None, eps=None) -> Value:  # noqa: A002
    """x / sqrt(mean(x^2) + eps) over the last axes."""
    x = plain(input)
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    eps = float(jnp.finfo(x.dtype).eps) if eps is None else eps
    out = x * lax.rsqrt(jnp.mean(jnp.square(x), axis=axes, keepdims=True) + eps)
    return out if weight is None else out * plain(weight).astype(out.dtype)


def fused_rms_norm(input, normalized_shape, weight, eps) -> tuple:  # noqa: A002
    return rms_norm(input, normalized_shape, weight, eps), None


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True) -> Value:  # noqa: A002
    """Over the channels of a group and all pixels."""
    array, order = stored(input)
    axis = order[1]
    shape = array.shape
    grouped = array.reshape(
        *shape[:axis], num_groups, shape[axis] // num_groups, *shape[axis + 1 :]
    )
    kept = (order[0] + (order[0] > axis), axis)
    out = _standardised(grouped, tuple(a for a in range(grouped.ndim) if a not in kept), eps)[
        0
    ].reshape(shape)
    for vector, join in ((weight, jnp.multiply), (bias, jnp.add)):
        if is_array(vector):
            out = join(out, _channels(vector, array.ndim, order).astype(out.dtype))
    return laid(out, order)


def native_group_norm(input, weight, bias, N, C, HxW, group, eps) -> tuple:  # noqa: A002, N803
    return group_norm(input, group, weight, bias, eps), None, None


def instance_norm(
    input,  # noqa: A002
    weight=None,
    bias=None,
    running_mean=None,
    running_var=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
    cudnn_enabled=True,
) -> Value:
    """Each channel of each image by its own statistics, or by those that are kept."""
    if not use_input_stats:
        return batch_norm(input, weight, bias, running_mean, running_var, eps)
    return group_norm(input, input.shape[1], weight, bias, eps)


def local_response_norm(input: Value, size: int, alpha: float, beta: float, k: float) -> Value:  # noqa: A002
    """x / (k + alpha / size * sum of squares of ``size`` neighbouring channels)^beta."""
    array, order = stored(input)
    axis = order[1]
    around = [(0, 0)] * array.ndim
    around[axis] = (size // 2, (size - 1) // 2)
    squares = jnp.pad(jnp.square(array), around)
    count = array.shape[axis]
    parts = [lax.slice_in_dim(squares, start, start + count, axis=axis) for start in range(size)]
    return laid(array / (k + alpha / size * sum(parts[1:], parts[0])) ** beta, order)


def weight_norm(v, g, dim=0) -> Value:
    """g * v / |v|, the length over all axes but one."""
    x = plain(v)
    axes = tuple(axis for axis in range(x.ndim) if axis != dim % x.ndim) if dim != -1 else None
    return plain(g) * x / jnp.sqrt(jnp.sum(x * x, axis=axes, keepdims=True))


def weight_norm_interface(v, g, dim=0) -> tuple:
    return weight_norm(v, g, dim), None


ATEN: dict[str, Callable[..., Any]] = {
    "batch_norm": batch_norm_any,
    "native_batch_norm": native_batch_norm,
    "_native_batch_norm_legit": native_batch_norm,
    "_native_batch_norm_legit.no_stats": batch_norm_no_stats,
    "_native_batch_norm_legit_no_training": batch_norm_no_training,
    "layer_norm": layer_norm,
    "native_layer_norm": native_layer_norm,
    "rms_norm": rms_norm,
    "_fused_rms_norm": fused_rms_norm,
    "group_norm": group_norm,
    "native_group_norm": native_group_norm,
    "instance_norm": instance_norm,
    "_weight_norm": weight_norm,
    "_weight_norm_interface": weight_norm_interface,
}
