"""Faults of a network's answers: NaN or infinite values, and gradients that are always zero.

Attacks and CLEVER would take NaN for a class, and a zero gradient for robustness. So the engine
checks every answer, independently of the probe.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.core.oracle import Answer


class Faults(NamedTuple):
    """The faults in all answers to one item so far."""

    invalid: Array  # () bool: a logit or a gradient value was NaN or infinite
    sloped: Array  # () bool: at least one gradient value was not zero


def none_yet() -> Faults:
    """The faults before the first answer: none."""
    return Faults(jnp.array(False), jnp.array(False))


def after(faults: Faults, answer: Answer) -> Faults:
    """Add the faults of one more answer.

    Args:
        faults: the faults so far.
        answer: the answer for one image: logits (K,), and a gradient or None.

    Returns:
        The faults with this answer.
    """
    invalid = faults.invalid | ~jnp.isfinite(answer.logits).all()
    if answer.gradient is None:
        return Faults(invalid, faults.sloped)
    largest = jnp.max(jnp.abs(answer.gradient))  # NaN if any value is
    return Faults(invalid | ~jnp.isfinite(largest), faults.sloped | (largest != 0))


class Watch:
    """The faults of N items, recorded as the items finish.

    Attributes:
        invalid: (N,) bool, whether a logit or a gradient value was NaN or infinite.
        zero_gradient: (N,) bool, whether the item had gradients and all of them were zero
            everywhere.
    """

    def __init__(self, count: int):
        self.invalid, self.zero_gradient = np.zeros((2, count), bool)

    def note(self, item: int, faults: Faults, *, asks_gradients: bool) -> None:
        """Record the faults of a finished item.

        Args:
            item: its number, 0 to N - 1.
            faults: the faults in all its answers.
            asks_gradients: whether its schedule has evaluations with gradient.
        """
        self.invalid[item] = bool(faults.invalid)
        self.zero_gradient[item] = asks_gradients and not bool(faults.sloped)
