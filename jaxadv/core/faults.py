"""What was wrong with a network's answers while one item was worked on.

Attacks and CLEVER would take NaN for a class, or a zero gradient for robustness. So the engine
watches every answer, whatever the probe makes of it.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.core.oracle import Answer


class Faults(NamedTuple):
    """Of the answers so far to one item."""

    invalid: Array  # () bool: a logit, or a value of a gradient, was NaN or infinite
    sloped: Array  # () bool: some gradient was not zero everywhere


def none_yet() -> Faults:
    """Before the first answer."""
    return Faults(jnp.array(False), jnp.array(False))


def after(faults: Faults, answer: Answer) -> Faults:
    """With one more answer of a single image."""
    invalid = faults.invalid | ~jnp.isfinite(answer.logits).all()
    if answer.gradient is None:
        return Faults(invalid, faults.sloped)
    largest = jnp.max(jnp.abs(answer.gradient))  # NaN if any value is
    return Faults(invalid | ~jnp.isfinite(largest), faults.sloped | (largest != 0))


class Watch:
    """The faults of N items, filled in as they finish.

    Attributes:
        invalid: (N,) bool, a logit or a value of a gradient was NaN or infinite.
        zero_gradient: (N,) bool, gradients were asked for, and every one was zero everywhere.
    """

    def __init__(self, count: int):
        self.invalid, self.zero_gradient = np.zeros((2, count), bool)

    def note(self, item: int, faults: Faults, *, asks_gradients: bool) -> None:
        """The faults of an item that has finished. asks_gradients: whether its schedule does."""
        self.invalid[item] = bool(faults.invalid)
        self.zero_gradient[item] = asks_gradients and not bool(faults.sloped)
