"""The augmented Lagrangian adversarial attack (ALMA): Rony et al. 2021, algorithm 1.

A penalty on the ratio of logits, whose multiplier is learned, is added to the distance.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxadv.attacks import nearest
from jaxadv.attacks.nearest import Nearest
from jaxadv.attacks.projections import length
from jaxadv.core import oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackNeeds,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    never_done,
    settings,
)
from jaxadv.support import checks

NORMS = (1, 2)
FLOOR, TOLERANCE = 1e-8, 1e-4
FINAL_RATE = 0.01
"""The last learning rate over the first."""
SMALLEST, LARGEST = 1e-6, 1e12
"""Bounds of the multiplier."""


class _State(NamedTuple):
    delta: Array  # (H, W, 3), the perturbation, within the box
    momentum: Array  # (H, W, 3)
    second: Array  # (H, W, 3), mean square of the gradient
    multiplier: Array  # (), mu
    penalty: Array  # (), rho
    checked: Array  # (), the ratio at the last check
    fooled_at: Array  # () int32, the first step that fooled; steps + 1 before
    nearest: Nearest


@settings(
    data=("learning_rate", "initial_multiplier", "initial_penalty", "tau", "gamma", "alpha"),
    static=("norm", "steps", "check_steps", "as_released"),
)
@dataclass(frozen=True)
class ALMA:
    """Search for the least distance in a norm: minimise ||d|| + P(ratio).

    P is the penalty-Lagrangian function P2, equation 6.

    Args:
        norm: 1 or 2.
        steps: gradients in all.
        learning_rate: of the steps until the first success. Then it falls to a hundredth.
        initial_multiplier: mu.
        initial_penalty: rho.
        check_steps: every so many steps the penalty of an image that has never fooled grows by
            ``gamma``, unless the ratio has fallen below ``tau`` of the last check's.
        tau: see check_steps.
        gamma: see check_steps.
        alpha: weight of the past in the averages of multiplier, gradient and squared gradient.
        as_released: the ratio's tolerance of 1e-4 has the sign of the attack, as in the
            reference's code. A targeted attack then takes images for successes whose target is
            not quite the largest logit. By default the tolerance is positive in both cases.

    details: "distance" (), of the result in ``norm``, NaN where there is none.
    """

    norm: float = 2
    steps: int = 1000
    learning_rate: float = 0.1
    initial_multiplier: float = 1.0
    initial_penalty: float = 1.0
    check_steps: int = 10
    tau: float = 0.95
    gamma: float = 1.2
    alpha: float = 0.9
    as_released: bool = False

    @property
    def searches(self) -> bool:
        return True

    @property
    def needs(self) -> AttackNeeds:
        return AttackNeeds(classes=3)

    @property
    def schedule(self) -> Schedule:
        return nearest.schedule(self.steps)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.choice("norm", self.norm, NORMS)
        checks.count("steps", self.steps)
        checks.count("check_steps", self.check_steps)
        for name in ("learning_rate", "initial_multiplier", "initial_penalty"):
            checks.number(name, getattr(self, name), low=0, above=True)
        for name in ("tau", "alpha"):
            checks.number(name, getattr(self, name), low=0, high=1)
        checks.number("gamma", self.gamma, low=1)
        checks.choice("as_released", self.as_released, (True, False))

    def init(self, item: AttackItem) -> _State:
        zeros = jnp.zeros_like(item.image)
        multiplier, penalty = (
            jnp.asarray(number, zeros.dtype)
            for number in (self.initial_multiplier, self.initial_penalty)
        )
        none = jnp.zeros_like(multiplier)
        never = jnp.int32(self.steps + 1)
        return _State(
            zeros,
            zeros,
            jnp.ones_like(zeros),
            multiplier,
            penalty,
            none,
            never,
            nearest.start(item, jnp.inf),
        )

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        return jnp.clip(item.image + state.delta, 0, 1), self._objective(item, num_classes)

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        image, delta, step = item.image, state.delta, state.nearest.step
        logits, is_first = answer.logits, state.nearest.step == 0
        ratio = oracle.value(self._objective(item, logits.shape[0]), logits)
        fooled = ratio < 0  # not where it is not a number
        distance = length(delta, self.norm)
        point = jnp.clip(image + delta, 0, 1)

        due = (step + 1) % self.check_steps == 0
        stalls = (state.fooled_at > self.steps) & (ratio >= self.tau * state.checked)
        penalty = jnp.where(due & ~is_first & stalls, state.penalty * self.gamma, state.penalty)
        checked = jnp.where(due | is_first, ratio, state.checked)
        learned = self.alpha * state.multiplier + (1 - self.alpha) * _slope(
            ratio, penalty, state.multiplier
        )
        multiplier = jnp.where(is_first, state.multiplier, jnp.clip(learned, SMALLEST, LARGEST))

        fooled_at = jnp.where(fooled, jnp.minimum(state.fooled_at, step), state.fooled_at)
        size = jnp.where(distance > 0, distance, jnp.ones_like(distance))
        inward = jnp.where(is_first, 0, jnp.sign(delta) if self.norm == 1 else delta / size)
        gradient = inward + _slope(ratio, penalty, multiplier) * jnp.nan_to_num(
            answer.asked_gradient()
        )
        second = self.alpha * state.second + (1 - self.alpha) * gradient * gradient
        momentum = self.alpha * state.momentum + gradient / (jnp.sqrt(second) + FLOOR)
        since = jnp.maximum(step - fooled_at, 0).astype(image.dtype)
        left = (self.steps - jnp.minimum(fooled_at, self.steps - 1)).astype(image.dtype)
        rate = self.learning_rate * jnp.power(jnp.asarray(FINAL_RATE, image.dtype), since / left)
        return _State(
            delta=nearest.into_box(image, delta - rate * momentum),
            momentum=momentum,
            second=second,
            multiplier=multiplier,
            penalty=penalty,
            checked=checked,
            fooled_at=fooled_at,
            nearest=nearest.keep(state.nearest, image=point, distance=distance, fooled=fooled),
        )

    def done(self, state: _State) -> Array:
        return never_done()

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        return nearest.outcome(state.nearest)

    def _objective(self, item: AttackItem, num_classes: int) -> oracle.Objective:
        """Equation 9: the label's margin over the spread of the logits, with the tolerance.

        Of a targeted attack: minus the target's margin.
        """
        away = nearest.away(item)
        tolerance = TOLERANCE * (away if self.as_released else jnp.ones_like(away))
        aim = jnp.int32(oracle.NO_AIM)
        return oracle.ratio(
            item.label,
            away,
            num_classes,
            aim=aim,
            fourth=item.targeted,
            floor=FLOOR,
            offset=tolerance,
        )


def _slope(ratio: Array, penalty: Array, multiplier: Array) -> Array:
    """The derivative of P2(y, rho, mu) with respect to y.

    P2 is mu y + mu rho y^2 + rho^2 y^3 / 6 for y >= 0, and mu y / (1 - rho y) for y < 0.
    """
    above = multiplier * (1 + 2 * penalty * ratio) + penalty * penalty * ratio * ratio / 2
    below = multiplier / jnp.square(1 - penalty * jnp.minimum(ratio, 0))
    return jnp.where(ratio >= 0, above, below)
