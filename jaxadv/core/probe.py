"""What a probe is: an ask/tell state machine for one image that never sees a model.

A probe is a frozen dataclass of settings, registered as a pytree: numbers that may be swept are leaves, what sets shapes or
choices is static. The engine stacks many (settings, item, state) triples into lanes, and `vmap` makes the batch. Every probe has

    schedule                          which phases it goes through, below
    check()                           raises InputError for settings out of range
    init(item) -> state               a NamedTuple of arrays
    ask(item, state, phase, num_classes) -> (image (H, W, 3), Objective)
    tell(item, state, answer, phase) -> state
    done(state) -> bool               read only where the schedule has no fixed number of cycles
    result(item, state) -> pytree of arrays

all for a single image without a batch dimension, with ``phase`` static.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Phase(NamedTuple):
    """One evaluation in a probe's schedule."""

    name: str
    gradient: bool  # does it need the gradient, or the logits alone?


class Schedule(NamedTuple):
    """``prologue`` once, then ``cycle`` again and again: ``cycles`` times, or where that is None until ``done``, ``most`` times at most.

    Only a probe of fixed length may have a prologue: its lanes all start together.
    """

    prologue: tuple[Phase, ...]
    cycle: tuple[Phase, ...]
    cycles: int | None
    most: int | None = None

    def evaluations(self) -> tuple[int, int]:
        """How many it has at most: with gradient, and of logits alone."""
        phases = self.prologue + self.cycle * (self.most if self.cycles is None else self.cycles)
        gradients = sum(phase.gradient for phase in phases)
        return gradients, len(phases) - gradients


class AttackItem(NamedTuple):
    """What an attack works on."""

    image: Array  # (H, W, 3) float32 in [0, 1], the clean image x0
    label: Array  # () int32: the target class t if targeted, else the true class y
    targeted: Array  # () bool


class AttackOutcome(NamedTuple):
    """What an attack leaves."""

    image: Array  # (H, W, 3) float32 in [0, 1]
    found: Array  # () bool: a searching attack saw a success; always True for a fixed budget, which is judged afterwards
    gradients: Array  # () int32, evaluations with gradient
    forwards: Array  # () int32, evaluations of logits alone
    details: dict[str, Array]


def settings(*, data: tuple[str, ...], static: tuple[str, ...]):
    """Class decorator: register a frozen dataclass as a pytree with ``data`` as leaves."""
    return lambda cls: jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=static)


def select(condition: Array, if_true: Any, if_false: Any) -> Any:
    """`jnp.where` over two pytrees of one structure with a scalar condition."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), if_true, if_false)


def centred(image: Array) -> Array:
    """Pixels in [0, 1] as the study's in [-1/2, 1/2]. Attacks compute there: its rounding decides near ties of sign gradients."""
    return image - 0.5


def uncentred(point: Array, item: AttackItem) -> Array:
    """The study's pixels in [0, 1]; one that equals the clean image's keeps that value to the bit."""
    return jnp.where(point == centred(item.image), item.image, point + 0.5)


def fools(logits: Array, item: AttackItem, confidence: Array | None = None) -> Array:
    """The release's success rule for a candidate: argmax is the target, or is not the true class, after taking
    ``confidence`` (kappa) from the target's logit, or adding it to the true class's. Logits that are not numbers fool nobody."""
    if confidence is not None:
        logits = logits.at[item.label].add(jnp.where(item.targeted, -confidence, confidence))
    return ((jnp.argmax(logits) == item.label) == item.targeted) & ~jnp.isnan(logits).any()
