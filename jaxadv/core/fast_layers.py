"""Fast gradients for any network: on a CPU, its stock layers become those of
`model_ports.own_gradients`.

XLA's own gradients of convolutions and pools are slow on a CPU. The ports call faster functions.
Here the program of any other network is read, and its convolutions and pools are replaced before
it is differentiated. Values and gradients stay the same up to rounding.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jax.extend.core import jaxpr_as_fun as as_fun
from jax.extend.core import primitives

from model_ports import own_gradients


def rewritten(apply: Callable[[Any, jax.Array], jax.Array]) -> Callable[[Any, jax.Array], Any]:
    """The same function with fast layers, where the default back end is a CPU.

    Args:
        apply: a pure function from params and images to logits.

    Returns:
        A function with the same arguments. It equals ``apply`` up to rounding. On another device
        it is ``apply``.
    """

    def fast(params: Any, images: jax.Array) -> Any:
        if jax.default_backend() != "cpu":
            return apply(params, images)
        program, shape = jax.make_jaxpr(apply, return_shape=True)(params, images)
        call = partial(_evaluate, program) if _has_layers(program.jaxpr) else as_fun(program)
        outputs = call(*jax.tree.leaves((params, images)))
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return fast


def _has_layers(program: core.Jaxpr) -> bool:
    """Whether a layer of `_FAST` is in a program, or in one that it calls."""
    return any(
        equation.primitive in _FAST or any(map(_has_layers, _called(equation)))
        for equation in program.eqns
    )


def _called(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    """The programs that an equation calls, as far as they are rewritten."""
    if equation.primitive not in _CALLS:
        return []
    inner = equation.params[_CALLS[equation.primitive]]
    return [
        one.jaxpr if isinstance(one, core.ClosedJaxpr) else one
        for one in (inner if isinstance(inner, tuple) else (inner,))
    ]


def _evaluate(program: core.ClosedJaxpr, *arguments: Any) -> list[Any]:
    """Evaluate a program with fast layers. Returns its outputs."""
    values: dict[Any, Any] = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    values |= zip(program.jaxpr.invars, arguments, strict=True)

    def read(variable: Any) -> Any:
        return values[variable] if _is_named(variable) else variable.val

    for equation in program.jaxpr.eqns:
        given = [read(variable) for variable in equation.invars]
        with equation.ctx.manager:
            outputs = _step(program.jaxpr, equation, given)
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(variable) for variable in program.jaxpr.outvars]


def _step(program: core.Jaxpr, equation: core.JaxprEqn, given: Sequence[Any]) -> Sequence[Any]:
    """The outputs of one equation of a program."""
    primitive = equation.primitive
    if primitive in _FAST:
        output = _FAST[primitive](*given, **equation.params)
        if output is not None:
            return [output]
    if any(map(_has_layers, _called(equation))):
        return _call(equation, given)
    outside = {v: value for v, value in zip(equation.invars, given, strict=True) if _is_named(v)}
    alone = program.replace(
        constvars=[],
        invars=list(outside),
        outvars=equation.outvars,
        eqns=[equation],
        effects=equation.effects,
        debug_info=program.debug_info.with_unknown_names(),
    )
    return as_fun(core.ClosedJaxpr(alone, ()))(*outside.values())


def _is_named(variable: Any) -> bool:
    return not isinstance(variable, core.Literal)


def _call(equation: core.JaxprEqn, given: Sequence[Any]) -> Sequence[Any]:
    """The outputs of an equation that calls programs with layers."""
    name = _CALLS[equation.primitive]
    inner = equation.params[name]
    if equation.primitive is primitives.jit_p:
        return _evaluate(inner, *given)
    if equation.primitive is primitives.remat_p:
        again = jax.checkpoint(
            lambda *arguments: _evaluate(core.ClosedJaxpr(inner, ()), *arguments),
            policy=equation.params["policy"],
            prevent_cse=equation.params["prevent_cse"],
        )
        return again(*given)
    new = tuple(map(_fast_program, inner)) if isinstance(inner, tuple) else _fast_program(inner)
    return equation.primitive.bind(*given, **{**equation.params, name: new})


def _fast_program(program: core.ClosedJaxpr) -> core.ClosedJaxpr:
    """A program with fast layers, as an equation can call it."""
    return jax.make_jaxpr(lambda *arguments: _evaluate(program, *arguments))(
        *(jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in program.in_avals)
    )


def _convolution(image: Any, kernel: Any, **given: Any) -> Any:
    """A convolution with fast gradients. None if it stays stock."""
    spread = (*given["lhs_dilation"], *given["rhs_dilation"], given["batch_group_count"])
    numbers = given["dimension_numbers"]
    kind = given["preferred_element_type"]
    if (
        image.ndim != 4
        or set(spread) != {1}
        or image.dtype != kernel.dtype
        or not jnp.issubdtype(image.dtype, jnp.floating)
        or kind not in (None, image.dtype)
        or any(pad < 0 for pair in given["padding"] for pad in pair)
    ):
        return None
    batch, channels, *sides = numbers.lhs_spec
    outputs, inputs, *windows = numbers.rhs_spec
    x = lax.transpose(image, (batch, *sides, channels))
    taps = lax.transpose(kernel, (*windows, inputs, outputs))
    strides: Any = tuple(given["window_strides"])
    pads: Any = tuple(map(tuple, given["padding"]))
    groups, precision = given["feature_group_count"], given["precision"]
    y = own_gradients.convolution(x, taps, strides, pads, groups, precision)
    if y is None:
        return None
    places = numbers.out_spec  # of N, C, H, W
    return lax.transpose(y, sorted(range(4), key=lambda axis: places[(0, 2, 3, 1)[axis]]))


def _pool(function: Callable[..., Any]) -> Callable[..., Any]:
    """A pool over two axes of four with a fast gradient, which is None if it stays stock."""

    def pool(image: Any, **given: Any) -> Any:
        window, strides, pads = (
            given[name] for name in ("window_dimensions", "window_strides", "padding")
        )
        pads = tuple(map(tuple, pads))
        moved = [
            axis
            for axis, one in enumerate(zip(window, strides, pads, strict=True))
            if one != (1, 1, (0, 0))
        ]
        if (
            image.ndim != 4
            or not 1 <= len(moved) <= 2
            or {*given["base_dilation"], *given["window_dilation"]} != {1}
            or not jnp.issubdtype(image.dtype, jnp.floating)
            or math.prod(window) > own_gradients.MOST_TAPS
            or any(pad < 0 for pair in pads for pad in pair)
        ):
            return None
        if len(moved) == 1:
            moved = sorted({*moved, 1 if moved[0] != 1 else 2})
        others = [axis for axis in range(4) if axis not in moved]
        order = (others[0], *moved, others[1])
        y = function(
            lax.transpose(image, order),
            *(tuple(one[axis] for axis in moved) for one in (window, strides, pads)),
        )
        return lax.transpose(y, [order.index(axis) for axis in range(4)])

    return pool


_FAST: dict[core.Primitive, Callable[..., Any]] = {
    primitives.conv_general_dilated_p: _convolution,
    primitives.reduce_window_max_p: _pool(own_gradients.max_pool),
    primitives.reduce_window_sum_p: _pool(own_gradients.sum_pool),
}
"""Layers, and functions of their operands and parameters that replace them."""
_CALLS: dict[core.Primitive, str] = {
    primitives.jit_p: "jaxpr",
    primitives.remat_p: "jaxpr",
    primitives.scan_p: "jaxpr",
    primitives.cond_p: "branches",
}
"""Equations that call programs, and the parameter that holds these. Functions with gradients of
their own are not among them: they stay as they are."""
