"""Decoupled direction and norm (DDN): Rony et al. 2019, algorithm 1.

The direction follows the gradient. The norm shrinks after a success and grows after a failure.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxadv.attacks import nearest
from jaxadv.attacks.nearest import Nearest
from jaxadv.attacks.projections import length, unit
from jaxadv.core import draws, oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackNeeds,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    fools,
    never_done,
    settings,
)
from jaxadv.support import checks


class _State(NamedTuple):
    delta: Array  # (H, W, 3), the perturbation, within the box
    radius: Array  # (), the norm that it was scaled to, in pixel units of range 1
    noise: Array  # (H, W, 3), the direction where the gradient is zero
    nearest: Nearest


@settings(data=("gamma", "initial_norm"), static=("steps", "levels"))
@dataclass(frozen=True)
class DDN:
    """Search for the least L2 distance.

    Args:
        steps: gradients in all.
        gamma: the radius is multiplied by 1 - gamma after a success, by 1 + gamma after a failure.
        initial_norm: the first radius, in pixel units of range 1.
        levels: pixels are rounded to so many levels, as of a file with 8 bits; 0: they are not.
            All pixels are rounded. One of the clean image that is not on a level moves too, which
            adds to the distance.

    Where the gradient is zero the step is random, by the item's own draw. The reference takes a
    gradient of norm below 1e-12 for zero; here every other gradient has a direction.
    details: "distance" (), L2 of the result, NaN where there is none.
    """

    steps: int = 100
    gamma: float = 0.05
    initial_norm: float = 1.0
    levels: int = 256

    @property
    def searches(self) -> bool:
        return True

    @property
    def needs(self) -> AttackNeeds:
        return AttackNeeds(draw=True)

    @property
    def schedule(self) -> Schedule:
        return nearest.schedule(self.steps)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.count("steps", self.steps)
        checks.number("gamma", self.gamma, low=0, high=1)
        checks.number("initial_norm", self.initial_norm, low=0, above=True)
        checks.count("levels", self.levels, low=0)
        if self.levels == 1:
            raise checks.InputError("levels is 1; give 2 at least, or 0 for no rounding")

    def init(self, item: AttackItem) -> _State:
        image = item.image
        noise = draws.noise(item, jnp.int32(0), uniform=False)
        record = nearest.start(item, nearest.farthest(image, 2))
        return _State(
            jnp.zeros_like(image), jnp.asarray(self.initial_norm, image.dtype), noise, record
        )

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        objective = oracle.cross_entropy(item.label, nearest.away(item), num_classes)
        return jnp.clip(item.image + state.delta, 0, 1), objective

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        image, delta, step = item.image, state.delta, state.nearest.step
        fooled = fools(answer.logits, item)
        kept = nearest.keep(
            state.nearest,
            image=jnp.clip(image + delta, 0, 1),
            distance=length(delta, 2),
            fooled=fooled,
        )
        direction = unit(answer.asked_gradient())
        direction = jnp.where(jnp.any(direction != 0), direction, state.noise)
        rate = 0.01 + 0.99 * nearest.cosine(self.steps, step, image.dtype)
        moved = delta + rate * direction
        radius = state.radius * jnp.where(fooled, 1 - self.gamma, 1 + self.gamma)
        radius = jnp.minimum(radius, nearest.farthest(image, 2))
        size = length(moved, 2)
        moved = moved * (radius / jnp.where(size > 0, size, jnp.ones_like(size)))
        point = jnp.clip(image + moved, 0, 1)
        if self.levels:
            point = jnp.round(point * (self.levels - 1)) / (self.levels - 1)
        return _State(point - image, radius, state.noise, kept)

    def done(self, state: _State) -> Array:
        return never_done()

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        return nearest.outcome(state.nearest)
