"""Primal-dual proximal gradient descent (PDPGD): Matyasko & Chau 2021.

The weight of the distance is learned beside the perturbation.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks import nearest
from jaxadv.attacks.nearest import Nearest
from jaxadv.attacks.projections import length, onto_l1_ball
from jaxadv.core import oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    never_done,
    settings,
)
from jaxadv.support import checks

NORMS = (0, 1, 2, np.inf)
BETAS = (0.9, 0.999)
EPSILON = 1e-8
DUAL_RATE, DUAL_BOUND, AVERAGE = 0.1, -math.log(1e-6), 0.9
INNER, INNER_TOLERANCE = 5, 0.01
"""Proximal steps at most, and the relative change at which an image needs no more."""


class _State(NamedTuple):
    delta: Array  # (H, W, 3), the perturbation, within the box
    first: Array  # (H, W, 3), Adam's m
    second: Array  # (H, W, 3), Adam's v
    dual: Array  # (), logarithm of the constraint's multiplier over the distance's
    mix: Array  # (2,), averaged weights of distance and constraint
    nearest: Nearest


@settings(data=("learning_rate", "initial_ratio"), static=("norm", "steps", "proximal"))
@dataclass(frozen=True)
class PDPGD:
    """Search for the least distance in a norm: Adam on the constraint, proximal steps on the norm.

    Args:
        norm: 0, 1, 2 or inf. For 0 the proximal operator is that of the sum of |d|^(2/3).
        steps: gradients in all. It converges slowly: 100 are far from enough where 500 are not.
        learning_rate: Adam's at first, in pixel units of range 1. At the end it is a hundredth.
        initial_ratio: the distance's weight over the constraint's at first.
        proximal: False: PDGD, which takes the gradient of the distance instead, in L2 only.

    An image fools once its margin is below 0: equal logits do not count.
    details: "distance" (), of the result in ``norm``, NaN where there is none.
    """

    norm: float = 2
    steps: int = 500
    learning_rate: float = 0.1
    initial_ratio: float = 0.01
    proximal: bool = True

    @property
    def searches(self) -> bool:
        return True

    @property
    def schedule(self) -> Schedule:
        return nearest.schedule(self.steps)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.choice("norm", self.norm, NORMS)
        checks.count("steps", self.steps)
        checks.number("learning_rate", self.learning_rate, low=0, above=True)
        checks.number("initial_ratio", self.initial_ratio, low=0, above=True)
        checks.choice("proximal", self.proximal, (True, False))
        if not self.proximal and self.norm != 2:
            raise checks.InputError(
                f"proximal is False with norm {self.norm:g}; give norm 2, or proximal steps"
            )

    def init(self, item: AttackItem) -> _State:
        zeros = jnp.zeros_like(item.image)
        dual = -jnp.log(jnp.asarray(self.initial_ratio, zeros.dtype))
        return _State(zeros, zeros, zeros, dual, _mixed(dual), nearest.start(item, jnp.inf))

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        objective = oracle.signed_margin(item.label, nearest.away(item), num_classes)
        return jnp.clip(item.image + state.delta, 0, 1), objective

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        image, delta, step = item.image, state.delta, state.nearest.step
        margin = nearest.away(item) * oracle.margin(answer.logits, item.label)
        point = jnp.clip(image + delta, 0, 1)
        distance = length(point - image if self.proximal else delta, self.norm)
        kept = nearest.keep(state.nearest, image=point, distance=distance, fooled=margin < 0)

        gradient = jax.nn.sigmoid(margin) * jnp.nan_to_num(answer.asked_gradient())
        if not self.proximal:
            size = length(delta, 2)
            gradient = (
                state.mix[0] * delta / jnp.where(size > 0, size, jnp.ones_like(size))
                + state.mix[1] * gradient
            )
        first = BETAS[0] * state.first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * state.second + (1 - BETAS[1]) * gradient * gradient
        count = (step + 1).astype(image.dtype)
        first_bias, second_bias = (-jnp.expm1(count * math.log(beta)) for beta in BETAS)
        rate = self.learning_rate * nearest.decay(self.steps, step, image.dtype)
        scale = jnp.sqrt(second) / jnp.sqrt(second_bias) + EPSILON
        delta = nearest.into_box(image, delta - rate / first_bias * first / scale)
        if self.proximal:
            delta = self._shrink(image, delta, scale, rate * state.mix[0] / state.mix[1])

        dual = state.dual + self._dual_rate(step, image.dtype) * jnp.sign(margin)
        dual = jnp.clip(dual, -DUAL_BOUND, DUAL_BOUND)
        mix = AVERAGE * state.mix + (1 - AVERAGE) * _mixed(dual)
        return _State(delta, first, second, dual, mix, kept)

    def done(self, state: _State) -> Array:
        return never_done()

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        return nearest.outcome(state.nearest)

    def _dual_rate(self, step: Array, dtype: np.dtype) -> Array:
        """It falls to a tenth, linearly."""
        last = max(self.steps - 1, 1)
        return jnp.asarray(
            [DUAL_RATE * (0.9 * (last - i) / last + 0.1) for i in range(self.steps)], dtype
        )[step]

    def _shrink(self, image: Array, delta: Array, scale: Array, weight: Array) -> Array:
        """The proximal step in Adam's metric, a few inner steps of it: section 3.3.

        scale: (H, W, 3) Adam's denominator. weight: () learning rate times the distance's share.
        """
        top = jnp.max(scale)
        metric, threshold = scale / top, weight / top

        def inner(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
            shrunk, change = state
            following = nearest.into_box(
                image, proximal(shrunk - metric * (shrunk - delta), threshold, self.norm)
            )
            size = length(following, 2)
            moved = length(following - shrunk, 2) / jnp.where(size > 0, size, jnp.ones_like(size))
            goes_on = change > INNER_TOLERANCE
            return jnp.where(goes_on, following, shrunk), jnp.where(goes_on, moved, change)

        return jax.lax.fori_loop(0, INNER, inner, (delta, jnp.full_like(weight, jnp.inf)))[0]


def _mixed(dual: Array) -> Array:
    """Softmax of (0, dual): the weights of distance and constraint."""
    return jax.nn.softmax(jnp.stack([jnp.zeros_like(dual), dual]))


def proximal(values: Array, weight: Array, norm: float) -> Array:
    """The u that minimises weight * penalty(u) + ||u - values||_2^2 / 2.

    The penalty is the norm; for norm 0 it is the sum of |u|^(2/3).
    """
    if norm == 1:
        return jnp.sign(values) * jnp.maximum(jnp.abs(values) - weight, 0)
    if norm == 2:
        size = length(values, 2)
        return values * jnp.maximum(0, 1 - weight / jnp.where(size > 0, size, jnp.ones_like(size)))
    if norm == np.inf:
        return values - weight * onto_l1_ball(values / weight, jnp.ones_like(weight))
    return _two_thirds(values, weight)


def _two_thirds(values: Array, weight: Array) -> Array:
    """The closed form of Cao, Sun & Xu 2013; where there is none the value becomes zero."""
    size = jnp.abs(values)
    inside = size**4 / 256 - 8 * weight**3 / 729
    root = jnp.sqrt(jnp.maximum(inside, 0))
    square = size * size / 16
    cube = 2 * (jnp.cbrt(square + root) + jnp.cbrt(square - root))
    side = jnp.sqrt(jnp.maximum(cube, 0))
    safe = jnp.where(side > 0, side, jnp.ones_like(side))
    rest = 2 * size / safe - cube
    moved = ((jnp.sqrt(jnp.maximum(rest, 0)) + side) / 2) ** 3
    exists = (inside >= 0) & (cube > 0) & (rest >= 0)
    return jnp.sign(values) * jnp.where(exists, moved, jnp.zeros_like(moved))
