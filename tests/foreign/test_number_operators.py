"""Arithmetic, comparisons, activations and reductions beside PyTorch's, over their arguments."""

import itertools
import math

import numpy as np
import pytest
from beside_torch import numbers, ties, truths, whole

from jaxadv.foreign.operators import activations, arithmetic, elementwise, reductions

pytestmark = pytest.mark.frameworks

UNIT = {"acos", "asin", "atanh", "erfinv", "special_ndtri"}
POSITIVE = {
    "log",
    "log10",
    "log1p",
    "log2",
    "rsqrt",
    "sqrt",
    "lgamma",
    "digamma",
    "special_entr",
    "reciprocal",
}
ROUGH = {
    "digamma": 1e-9,
    "lgamma": 1e-9,
    "special_i1": 1e-9,
    "special_i0": 1e-9,
    "special_log_ndtr": 1e-9,
}
"""Special functions that torch itself computes to nine digits."""
WITHOUT_GRADIENT = {"isfinite", "isinf", "isnan", "isneginf", "isposinf", "signbit", "bitwise_not"}


def _range(name: str) -> np.ndarray:
    if name in UNIT:
        return numbers(2, 3, 4, 5, low=-0.9, high=0.9)
    if name in POSITIVE:
        return numbers(2, 3, 4, 5, low=0.2, high=3)
    return numbers(2, 3, 4, 5, low=1.1, high=3) if name == "acosh" else numbers(2, 3, 4, 5)


def test_functions_of_one_number(check):
    for name in (*elementwise._WHOLE, *elementwise._REAL):
        if name in ("bitwise_not", "conj", "_conj", "resolve_conj", "real", "imag", "angle"):
            continue
        check(
            name,
            _range(name),
            gradient=name not in WITHOUT_GRADIENT,
            tolerance=ROUGH.get(name, 1e-10),
        )
    check("bitwise_not", whole(3, 4))
    check("bitwise_not", truths(3, 4))
    check("angle", numbers(3, 4), gradient=False)


def test_functions_of_whole_numbers_are_real(check):
    for name in ("sin", "exp", "sqrt", "sigmoid", "reciprocal", "tanh"):
        check(name, whole(3, 4, low=1), tolerance=1e-6)  # single precision, as torch has it
    for name in ("abs", "neg", "sign", "square", "ceil", "floor", "trunc", "sgn"):
        check(name, whole(3, 4, low=-3))
    check("logit", numbers(3, 4, low=0.1, high=0.9))
    check("logit", numbers(3, 4, low=-0.1, high=1.1), 0.05)
    check("round", numbers(3, 4))
    check("round.decimals", numbers(3, 4), decimals=2)
    check("nan_to_num", np.array([1.0, np.nan, np.inf, -np.inf]), 0.5, 9.0, -9.0, gradient=False)


SHAPES = [
    ((2, 3, 4, 5), (2, 3, 4, 5)),
    ((2, 3, 4, 5), (1, 3, 1, 1)),
    ((2, 3, 4, 5), (5,)),
    ((3, 1), (2, 1, 4)),
]


@pytest.mark.parametrize("shapes", SHAPES)
def test_arithmetic(check, shapes):
    x, y = (numbers(*shape, seed=seed, low=0.5) for seed, shape in enumerate(shapes))
    for name in (
        "add",
        "sub",
        "mul",
        "div",
        "rsub",
        "pow",
        "fmod",
        "remainder",
        "maximum",
        "minimum",
        "atan2",
    ):
        overload = {"pow": ".Tensor_Tensor", "maximum": "", "minimum": "", "atan2": ""}.get(
            name, ".Tensor"
        )
        check(f"{name}{overload}", x, y)
    for name in (
        "hypot",
        "logaddexp",
        "logaddexp2",
        "fmax",
        "fmin",
        "copysign.Tensor",
        "xlogy.Tensor",
    ):
        check(name, x, y)
    check("add.Tensor", x, y, alpha=3)
    check("sub.Tensor", x, y, alpha=0.5)
    check("rsub.Tensor", x, y, alpha=2)
    check("floor_divide", x, y, gradient=False)
    for mode in ("floor", "trunc"):
        check("div.Tensor_mode", x, y, rounding_mode=mode, gradient=False)
    check("lerp.Tensor", x, y, numbers(*shapes[0], seed=3))
    check("lerp.Scalar", x, y, 0.3)
    check("addcmul", x, y, numbers(*shapes[1], seed=4), value=0.7)
    check("addcdiv", x, y, numbers(*shapes[1], seed=4, low=1), value=0.7)


def test_arithmetic_with_numbers_and_mixed_types(check):
    real, integer, truth, point = numbers(2, 3), whole(2, 3, low=1), truths(2, 3), np.array(2.5)
    for x, y in itertools.product([real, integer, truth, point, np.float32(real)], repeat=2):
        if x is truth and y is truth:
            continue
        tolerance = 1e-6 if {np.asarray(v).dtype.kind for v in (x, y)} != {"f"} else 1e-6
        x, y = np.asarray(x), np.asarray(y)
        for name in ("add.Tensor", "mul.Tensor", "div.Tensor", "gt.Tensor"):
            check(name, x, y, gradient=False, tolerance=tolerance)
    for x, number in itertools.product([real, integer, truth], [2, 0.5, True]):
        for name in ("add.Tensor", "mul.Tensor", "div.Tensor", "eq.Scalar"):
            check(name, x, number, gradient=False, tolerance=1e-6)
    for exponent in (2, 3, -1, 0.5, 1.7, 0):
        check("pow.Tensor_Scalar", numbers(3, 4, low=0.3), exponent)
    check("pow.Scalar", 2.0, numbers(3, 4))
    check("pow.Tensor_Scalar", np.array([0.0, 1.0, 2.0]), 2)
    for mode in ("floor", "trunc"):
        check(
            "div.Tensor_mode",
            whole(3, 4, low=-7, high=8),
            whole(3, 4, low=2, seed=1),
            rounding_mode=mode,
        )
    check("remainder.Scalar", whole(3, 4, low=-7, high=8), 3)
    check("fmod.Scalar", whole(3, 4, low=-7, high=8), 3)
    check("floor_divide", whole(3, 4, low=-7, high=8), 3)


def test_comparisons_and_logic(check):
    x, y = ties(2, 3, 4, 5), ties(1, 3, 1, 1, seed=1)
    for name in ("eq", "ge", "gt", "le", "lt", "ne"):
        check(f"{name}.Tensor", x, y)
        check(f"{name}.Scalar", x, 1)
    for name in ("logical_and", "logical_or", "logical_xor"):
        check(name, x, y)
    check("logical_not", x)
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        check(f"{name}.Tensor", whole(3, 4), whole(3, 4, seed=1))
        check(f"{name}.Tensor", truths(3, 4), truths(3, 4, seed=1))
    check("__lshift__.Scalar", whole(3, 4), 2)
    check("__rshift__.Scalar", whole(3, 4), 1)
    for name in ("bitwise_left_shift.Tensor", "bitwise_right_shift.Tensor", "gcd"):
        check(name, whole(3, 4, low=1), whole(3, 4, seed=1))
    for name in ("heaviside", "nextafter"):
        check(name, x, y, gradient=False)
    for name in ("clone", "contiguous", "alias", "lift_fresh_copy", "_to_copy", "detach"):
        check(name, x)
    check("where.self", truths(2, 3, 4, 5), numbers(2, 3, 4, 5), numbers(1, 3, 1, 1))
    check("masked_fill.Scalar", numbers(2, 3, 4, 5), truths(4, 5), -3.0)
    check("isclose", x, y)
    check("isin.Tensor_Tensor", whole(3, 4), whole(3, seed=4))
    for low, high in ((-1.0, 1.0), (0, None), (None, 1)):
        check("clamp", x, low, high)
    check("clamp.Tensor", x, y, None)
    check("clamp_min", x, 0)
    check("clamp_max", x, 1)
    check("maximum", x, y)


def test_activations(check):
    for x in (numbers(2, 3, 4, 5, low=-7, high=7), 3 * ties(2, 3, 4, 5)):
        for name in (
            "relu",
            "relu6",
            "selu",
            "celu",
            "silu",
            "mish",
            "hardsigmoid",
            "hardswish",
            "elu",
            "softplus",
        ):
            check(name, x)
        for name in ("hardtanh", "leaky_relu", "log_sigmoid", "hardshrink", "softshrink"):
            check(name, x)
    x = numbers(2, 4, 3, 5, low=-4, high=4)
    for approximate in ("none", "tanh"):
        check("gelu", x, approximate=approximate)
    check("hardtanh", x, -0.5, 2.0)
    check("leaky_relu", x, 0.3)
    check("elu", x, 0.7, 1.3, 2.0)
    check("celu", x, 0.6, tolerance=1e-7)  # torch rounds 1 / alpha to single precision
    check("softplus", x, 2.0, 3.0)
    check("threshold", x, 0.2, -1.0)
    for name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
        check(name, x, 0.5, False)
    check("hardshrink", x, 0.8)
    check("rrelu", x, 0.1, 0.4, False)
    check("prelu", x, numbers(4))
    check("prelu", x, numbers(1))
    check("prelu", numbers(5), numbers(1))
    check("_prelu_kernel", x, numbers(1, 4, 1, 1))
    for dim in (0, 1, -1):
        check("softmax.int", x, dim)
        check("_softmax", x, dim, False)
        check("log_softmax.int", x, dim)
        check("_log_softmax", x, dim, False)
    check("glu", x, 1)
    check("_safe_softmax", np.where(truths(2, 5, 6), -np.inf, numbers(2, 5, 6)), -1, gradient=False)


def test_every_activation_and_reduction_is_compared():
    """Each name of the tables stands in this file or in one beside it."""
    from pathlib import Path

    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*operators.py"))
    listed = {*elementwise._WHOLE, *elementwise._REAL}
    for name in (*activations.ATEN, *reductions.ATEN, *elementwise.ATEN, *arithmetic.ATEN):
        assert name in listed or f'"{name}' in text or f'"{name.partition(".")[0]}' in text, name


AXES = [None, [0], [1], [2, 3], [1, -1], [0, 1, 2, 3]]


@pytest.mark.parametrize("keepdim", [False, True])
def test_reductions(check, keepdim):
    x, positive = numbers(2, 3, 4, 5), numbers(2, 3, 4, 5, low=0.3)
    for axes in AXES:
        for name in ("sum.dim_IntList", "mean.dim"):
            check(name, x, axes, keepdim)
        for name in ("amax", "amin"):
            check(name, ties(2, 3, 4, 5), axes or [], keepdim)
        for correction in (0, 1):
            for name in (
                "var.correction",
                "std.correction",
                "var_mean.correction",
                "std_mean.correction",
            ):
                check(name, x, axes, correction=correction, keepdim=keepdim)
        for order in (1, 2, 3, 0.5, math.inf, -math.inf):
            check("linalg_vector_norm", x, order, axes, keepdim)
        check("linalg_vector_norm", x, 0, axes, keepdim, gradient=False)
        if axes:
            check("logsumexp", x, axes, keepdim)
            check("norm.ScalarOpt_dim", x, 2, axes, keepdim)
    for dim in (0, 1, -1):
        for name in ("max.dim", "min.dim", "median.dim"):
            check(name, numbers(2, 3, 4, 5), dim, keepdim)
        for name in ("argmax", "argmin"):
            check(name, x, dim, keepdim)
        check("prod.dim_int", positive, dim, keepdim)
        check("kthvalue", x, 2, dim, keepdim)
        for name in ("any.dim", "all.dim"):
            check(name, truths(2, 3, 4, 5), dim, keepdim)
        check("aminmax", x, dim=dim, keepdim=keepdim)


def test_reductions_to_one_number(check):
    x = numbers(2, 3, 4, 5)
    for name in (
        "sum",
        "mean",
        "prod",
        "max",
        "min",
        "argmax",
        "argmin",
        "any",
        "all",
        "median",
        "nansum",
        "nanmean",
    ):
        check(name, x, gradient=name not in ("nansum", "nanmean"))
    check("max", ties(3, 4))
    check("var", x, False)
    check("std", x, True)
    check("var.dim", x, [1], False, True)
    check("std.dim", x, [1, 2])
    check("norm.Scalar", x, 2)
    check("sum", truths(3, 4))
    check("sum.dim_IntList", whole(3, 4), [1], dtype=None)
    check("count_nonzero", truths(3, 4))
    check("count_nonzero.dim_IntList", whole(3, 4), [1])
    check("any.dims", truths(3, 4, 2), [0, 2])
    check("linalg_vector_norm", np.zeros((2, 3)), 2, [1])


def test_running_and_distances(check):
    x = numbers(3, 4, 5)
    for dim in (0, 1, -1):
        for name in ("cumsum", "cumprod", "logcumsumexp"):
            check(name, x, dim)
        check("cummax", ties(3, 4, 5), dim, gradient=False)
        check("cummin", ties(3, 4, 5), dim, gradient=False)
    check("cumsum", truths(3, 4), 1)
    check("cumsum", whole(3, 4), 0)
    check("diff", x, 1, 1)
    check("diff", x, 2, -1, numbers(3, 4, 1), numbers(3, 4, 2))
    for order in (1.0, 2.0, 3.0):
        check("_cdist_forward", numbers(2, 4, 3), numbers(2, 5, 3, seed=1), order, None)
        check("cdist", numbers(4, 3), numbers(5, 3, seed=1), order)
