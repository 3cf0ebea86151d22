"""TF32 on a processor: what a GPU's tensor cores round, rounded here."""

from collections.abc import Callable

import jax
from jax import lax
from jax.extend import core

import jaxadv
from jaxadv.core.oracle import compiler_options
from jaxadv.core.programs import Program

PRODUCTS = ("conv_general_dilated", "dot_general")
MANTISSA = 10
"""Bits of TF32, beside float32's eight of the exponent."""


def in_tf32(classifier: jaxadv.Classifier) -> jaxadv.Classifier:
    """The same with a gradient program whose products are of numbers in TF32, added in float32."""
    other = classifier.with_gradient_precision("default")
    other.oracle.ask = Program(rounded(classifier.oracle.ask.function), compiler_options())
    return other


def rounded(function: Callable) -> Callable:
    """``function`` with the operands of every convolution and matrix product in TF32."""

    def run(*arguments):
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _evaluate(traced.jaxpr, traced.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


def _evaluate(jaxpr, constants: list, arguments: list) -> list:
    """The results of a traced function, by its equations one after another."""
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))

    def value(atom):
        return atom.val if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        operands = [value(atom) for atom in equation.invars]
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if inner is not None:
            results = _evaluate(inner.jaxpr, inner.consts, operands)
        else:
            if equation.primitive.name in PRODUCTS:
                operands = [lax.reduce_precision(operand, 8, MANTISSA) for operand in operands]
            results = equation.primitive.bind(*operands, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
        known |= dict(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in jaxpr.outvars]
