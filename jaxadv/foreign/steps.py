"""A network as a list of steps: what every reader of graphs makes, and what JAX then traces.

A step calls one function of `jaxadv.foreign.operators` with results of earlier steps. Nothing of
the framework that the graph came from is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxadv.foreign.layout import Value, laid
from jaxadv.foreign.operators import types
from model_ports.errors import InputError, said


class Ref(NamedTuple):
    """The result of the step, input or parameter of this name."""

    name: str


class Type(NamedTuple):
    """A type of numbers, which becomes JAX's when the step runs."""

    dtype: np.dtype


class Step(NamedTuple):
    name: str  # of its result
    function: Callable[..., Any]
    arguments: tuple[Any, ...]  # with `Ref` and `Type` anywhere in lists and tuples
    keywords: dict[str, Any]
    place: str  # for messages: the operator, and the module or node it stands in


@dataclass(frozen=True)
class Steps:
    """Steps in the order in which they run, and the name of the result.

    Attributes:
        steps: as read, without those that the result does not need.
        inputs: names of what is given at each call, images first.
        result: name of the logits; or a list of names, for steps inside a step.
        orders: for a parameter that is stored with its axes in another order, that order.
    """

    steps: Sequence[Step]
    inputs: Sequence[str]
    result: Any
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __call__(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """The result for these inputs. Raises InputError, which names the step, where one cannot
        run."""
        known: dict[str, Any] = {
            name: self.parameter(name, value) for name, value in params.items()
        }
        known.update(zip(self.inputs, inputs, strict=True))
        for step in self.steps:
            arguments = resolved(step.arguments, known)
            keywords = {name: resolved(value, known) for name, value in step.keywords.items()}
            try:
                known[step.name] = step.function(*arguments, **keywords)
            except InputError as error:
                raise InputError(f"{step.place}: {error}") from error
            except (
                TypeError,
                ValueError,
                IndexError,
                KeyError,
                NotImplementedError,
                AssertionError,
            ) as error:
                raise InputError(
                    f"{step.place} cannot be computed in JAX: {type(error).__name__}: {said(error)}"
                ) from error
        return resolved(self.result, known)

    def parameter(self, name: str, value: jax.Array) -> Value:
        return laid(value, self.orders[name]) if name in self.orders else value


def resolved(value: Any, known: Mapping[str, Any]) -> Any:
    """The value with results and types in the place of `Ref` and `Type`."""
    if isinstance(value, Ref):
        return known[value.name]
    if isinstance(value, Type):
        return types.canonical(value.dtype)
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(resolved(part, known) for part in value)
    return value


def references(value: Any) -> set[str]:
    """The names that a value refers to."""
    if isinstance(value, Ref):
        return {value.name}
    if isinstance(value, (list, tuple)):
        return {name for part in value for name in references(part)}
    return (
        {name for part in value.values() for name in references(part)}
        if isinstance(value, dict)
        else set()
    )


def needed(steps: Sequence[Step], result: Any) -> list[Step]:
    """The steps that the result needs, in order."""
    wanted, kept = references(result), []
    for step in reversed(steps):
        if step.name in wanted:
            kept.append(step)
            wanted |= references(step.arguments) | references(step.keywords)
    return kept[::-1]
