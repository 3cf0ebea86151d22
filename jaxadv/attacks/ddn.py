"""Decoupled direction and norm: the direction follows the gradient, the norm shrinks after a success (Rony et al. 2019, algorithm 1)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxadv.attacks import nearest
from jaxadv.attacks.nearest import Nearest
from jaxadv.attacks.projections import length
from jaxadv.core import draws, oracle
from jaxadv.core.probe import AttackItem, AttackNeeds, AttackOutcome, Schedule, fools, settings
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
        gamma: the radius is multiplied by 1 - gamma after a success and by 1 + gamma after a failure.
        initial_norm: the first radius, in pixel units of range 1.
        levels: pixels are rounded to so many levels, as of a file with 8 bits; None: they are not. Rounding moves pixels of the clean
            image too, where they do not lie on a level, which adds to the distance.

    details: "distance", L2 of the result, NaN where there is none. Where the gradient is zero the step is random, of the item's own draw;
    the reference takes one of norm below 1e-12 for zero.
    """

    steps: int = 100
    gamma: float = 0.05
    initial_norm: float = 1.0
    levels: int | None = 256

    searches = True
    needs = AttackNeeds(draw=True)

    @property
    def schedule(self) -> Schedule:
        return nearest.schedule(self.steps)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.count("steps", self.steps)
        checks.number("gamma", self.gamma, low=0, high=1)
        checks.number("initial_norm", self.initial_norm, low=0, above=True)
        if self.levels is not None:
            checks.count("levels", self.levels, low=2)

    def init(self, item: AttackItem) -> _State:
        image = item.image
        noise = draws.normals(draws.key(item.draw.seed, item.draw.image_id, jnp.int32(0)), image.size)
        noise = noise.reshape(image.shape).astype(image.dtype)
        record = nearest.start(item, nearest.farthest(image, 2))
        return _State(jnp.zeros_like(image), jnp.asarray(self.initial_norm, image.dtype), noise, record)

    def ask(self, item, state, phase, num_classes):
        objective = oracle.cross_entropy(item.label, nearest.away(item), num_classes)
        return jnp.clip(item.image + state.delta, 0, 1), objective

    def tell(self, item, state, answer, phase) -> _State:
        image, delta, step = item.image, state.delta, state.nearest.step
        fooled = fools(answer.logits, item)
        kept = nearest.keep(state.nearest, image=jnp.clip(image + delta, 0, 1), distance=length(delta, 2), fooled=fooled)
        direction = nearest.unit(answer.gradient)
        direction = jnp.where(jnp.any(direction != 0), direction, state.noise)
        rate = 0.01 + 0.99 * nearest.cosine(self.steps, step, image.dtype)
        moved = delta + rate * direction
        radius = state.radius * jnp.where(fooled, 1 - self.gamma, 1 + self.gamma)
        radius = jnp.minimum(radius, nearest.farthest(image, 2))
        size = length(moved, 2)
        moved = moved * (radius / jnp.where(size > 0, size, jnp.ones_like(size)))
        point = jnp.clip(image + moved, 0, 1)
        if self.levels is not None:
            point = jnp.round(point * (self.levels - 1)) / (self.levels - 1)
        return _State(point - image, radius, state.noise, kept)

    def result(self, item, state) -> AttackOutcome:
        return nearest.outcome(state.nearest)
