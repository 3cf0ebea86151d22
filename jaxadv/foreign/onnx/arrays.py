"""ONNX's operators on arrays: arithmetic, activations, reductions. Named and given
arguments as ONNX has them, attributes by keyword."""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from jaxadv.foreign.layout import Value, reshaped
from jaxadv.foreign.onnx.constants import is_known, known, whole
from jaxadv.foreign.operators import (
    activations,
    arithmetic,
    operator,
    reductions,
    types,
)
from model_ports.errors import InputError


def _aten(name: str, overload: str = "default") -> Callable[..., Any]:
    function = operator(name, overload)
    assert function is not None, name
    return function


def of_several(function: Callable[[Any, Any], Value]) -> Callable[..., Value]:
    """An operator of any number of arrays from one of two."""
    return lambda *values: reduce(function, values)


def mean_of(*values: Value) -> Value:
    return arithmetic.div(reduce(arithmetic.add, values), len(values))


# --- arithmetic --------------------------------------------------------------


def divide(A: Value, B: Value) -> Value:  # noqa: N803
    whole_numbers = not types.is_real(A) and not types.is_real(B)
    return arithmetic.div(A, B, rounding_mode="trunc" if whole_numbers else None)


def power(X: Value, Y: Value) -> Value:  # noqa: N803
    if is_known(Y) and np.size(Y) == 1:
        return arithmetic.pow(X, float(np.reshape(Y, ())))
    return types.cast(arithmetic.pow(X, Y), X.dtype)


def modulo(A: Value, B: Value, *, fmod: int = 0) -> Value:  # noqa: N803
    return (arithmetic.fmod if fmod else _aten("remainder"))(A, B)


def clip(input: Value, min: Any = None, max: Any = None) -> Value:  # noqa: A002
    """Between two bounds; what is on a bound passes no gradient, as a ReLU6 has it."""
    if is_known(min) and is_known(max) and min is not None and max is not None:
        return activations.hardtanh(input, *(float(np.reshape(v, ())) for v in (min, max)))
    if min is not None and max is None and is_known(min) and not np.any(min):
        return activations.relu(input)
    return arithmetic.clamp(input, min, max)


def hard_sigmoid(X: Value, *, alpha: float = 0.2, beta: float = 0.5) -> Value:  # noqa: N803
    return activations.hardtanh(arithmetic.add(arithmetic.mul(X, alpha), beta), 0.0, 1.0)


def prelu(X: Value, slope: Value) -> Value:  # noqa: N803
    return activations.prelu_kernel(X, slope)


def gelu(X: Value, *, approximate: str = "none") -> Value:  # noqa: N803
    return activations.gelu(X, approximate=approximate)


def softmax(function: Callable[..., Value], since_13: bool) -> Callable[..., Value]:
    """Along one axis; before opset 13 over all axes from that one on."""

    def operator(input: Value, *, axis: int | None = None) -> Value:  # noqa: A002
        if since_13:
            return function(input, -1 if axis is None else axis)
        first = (1 if axis is None else axis) % input.ndim
        if first == input.ndim - 1:
            return function(input, first)
        flat = reshaped(input, [math.prod(input.shape[:first]), -1])
        return reshaped(function(flat, 1), input.shape)

    return operator


def cast(input: Value, *, to: Any, saturate: int = 1, round_mode: str = "") -> Value:  # noqa: A002
    return types.cast(input, to)


# --- reductions --------------------------------------------------------------


def reduction(function: Callable[..., Value]) -> Callable[..., Value]:
    """Over some axes, an attribute or an argument, or over all."""

    def operator(
        data: Value, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Value:
        listed = None if axes is None else whole(axes, "a reduction")
        if not listed and noop_with_empty_axes:
            return data
        return function(data, listed or None, bool(keepdims))

    return operator


def place_of(function: Callable[..., Value]) -> Callable[..., Value]:
    def operator(
        data: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
    ) -> Value:
        return function(data, axis, bool(keepdims))

    return operator


def _squares(data: Value, axes: Any, keepdims: bool) -> Value:
    return reductions.sum_(arithmetic.mul(data, data), axes, keepdims)


def _log_sum(data: Value, axes: Any, keepdims: bool) -> Value:
    return _aten("log")(reductions.sum_(data, axes, keepdims))


def passed(data: Value, *_: Any, **__: Any) -> Value:
    return data


def dropout(data: Value, ratio: Any = None, training_mode: Any = None, *, seed: int = 0) -> Value:
    if training_mode is not None and np.any(known(training_mode, "Dropout")):
        raise InputError("dropout in training mode; export the network after eval()")
    return data


_SAME = {
    "Abs": "abs",
    "Acos": "acos",
    "And": "logical_and",
    "Asin": "asin",
    "Atan": "atan",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Equal": "eq",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
    "IsNaN": "isnan",
    "Less": "lt",
    "LessOrEqual": "le",
    "Log": "log",
    "Mul": "mul",
    "Neg": "neg",
    "Not": "logical_not",
    "Or": "logical_or",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Sub": "sub",
    "Tan": "tan",
    "Tanh": "tanh",
    "Where": "where",
    "Xor": "logical_xor",
    "HardSwish": "hardswish",
    "Mish": "mish",
    "Softplus": "softplus",
}
"""ONNX's name and PyTorch's of operators that take the same arrays."""
ARRAYS: dict[str, Callable[..., Any]] = {
    **{name: _aten(aten) for name, aten in _SAME.items()},
    "Add": arithmetic.add,
    "Div": divide,
    "Pow": power,
    "Mod": modulo,
    "Min": of_several(_aten("minimum")),
    "Max": of_several(_aten("maximum")),
    "Sum": of_several(arithmetic.add),
    "Mean": mean_of,
    "Clip": clip,
    "LeakyRelu": lambda X, *, alpha=0.01: activations.leaky_relu(X, alpha),  # noqa: N803
    "PRelu": prelu,
    "Elu": lambda X, *, alpha=1.0: activations.elu(X, alpha),  # noqa: N803
    "Selu": lambda X, *, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875: (  # noqa: N803
        activations.elu(X, alpha, gamma)
    ),
    "Celu": lambda X, *, alpha=1.0: activations.celu(X, alpha),  # noqa: N803
    "ThresholdedRelu": lambda X, *, alpha=1.0: activations.threshold(X, alpha, 0.0),  # noqa: N803
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "Softsign": activations.softsign,
    "Softmax": softmax(activations.softmax, True),
    "LogSoftmax": softmax(_aten("log_softmax"), True),
    "Cast": cast,
    "CastLike": lambda x, like, *, saturate=1, round_mode="": types.cast(x, like.dtype),
    "Identity": passed,
    "Dropout": dropout,
    "ReduceMean": reduction(reductions.mean),
    "ReduceSum": reduction(reductions.sum_),
    "ReduceMax": reduction(_aten("amax")),
    "ReduceMin": reduction(_aten("amin")),
    "ReduceProd": reduction(reductions.prod),
    "ReduceL1": reduction(lambda x, axes, keep: reductions.vector_norm(x, 1, axes, keep)),
    "ReduceL2": reduction(lambda x, axes, keep: reductions.vector_norm(x, 2, axes, keep)),
    "ReduceSumSquare": reduction(_squares),
    "ReduceLogSum": reduction(_log_sum),
    "ReduceLogSumExp": reduction(
        lambda x, axes, keep: reductions.logsumexp(
            x, list(range(x.ndim)) if axes is None else axes, keep
        )
    ),
    "ArgMax": place_of(_aten("argmax")),
    "ArgMin": place_of(_aten("argmin")),
}
BEFORE_13 = {
    "Softmax": softmax(activations.softmax, False),
    "LogSoftmax": softmax(_aten("log_softmax"), False),
}
"""Operators that opset 13 gave another meaning."""
