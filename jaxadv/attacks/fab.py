"""The fast adaptive boundary attack (FAB): Croce & Hein 2020, algorithm 1.

Steps onto linearised decision boundaries, which the clean image draws towards itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks.projections import length, to_hyperplane
from jaxadv.core import draws, oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackNeeds,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    fools,
    settings,
)
from jaxadv.support import checks

NORMS = (1, 2, np.inf)
DUAL = {1: np.inf, 2: 2, np.inf: 1}
RADIUS = {1: 5.0, 2: 1.0, np.inf: 0.3}
"""Twice the distance at which a restart begins, before any success and without a budget."""
FEW_CLASSES = 20
LINEARISE, JUDGE = Phase("linearise", True), Phase("judge", False)


class _State(NamedTuple):
    point: Array  # (H, W, 3) in [0, 1], where the boundary is linearised or the logits are judged
    best: Array  # (H, W, 3), the nearest success; the clean image before any
    distance: Array  # (), its distance in pixel units, infinite before any
    alpha: Array  # (), weight of the image's projection in the last step
    run: Array  # () int32, targets and restarts that are finished
    iteration: Array  # () int32, within the run
    finished: Array  # () bool
    gradients: Array  # () int32, backward passes
    forwards: Array  # () int32


@settings(
    data=("eps", "alpha_max", "eta", "beta"),
    static=("norm", "steps", "targets", "restarts", "all_classes", "many_classes"),
)
@dataclass(frozen=True)
class FAB:
    """Search for the least distance in a norm; untargeted. By default FAB-T, a hyperplane a step.

    Args:
        eps: a budget, in pixel units of range 1. The search ends with the first success within it,
            and no other counts. 0: no budget, the least distance of all steps.
        norm: inf, 2 or 1.
        steps: iterations of a run, each a gradient and a pass of the logits alone.
        targets: how many of the classes with the largest clean logits but y; each has a run. Any
            wrong class is a success.
        restarts: runs for each target. The first begins at the image, the others at random within
            half the best distance.
        alpha_max: largest weight of the step from the clean image, equation 8.
        eta: overshoot of both steps, at least 1. Where the boundary is flat the norm ends about
            (eta - 1) (1 - beta) above the least.
        beta: share of the distance that the backward step after a success keeps, equation 9.
        all_classes: FAB as first published: each step goes to the nearest of all K - 1 boundaries,
            at a backward pass a class.
        many_classes: allow that for more than 20 classes.

    details: "distance" (), of the result in ``norm``, NaN where there is none.
    """

    eps: float = 0.0
    norm: float = np.inf
    steps: int = 100
    targets: int = 9
    restarts: int = 1
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    all_classes: bool = False
    many_classes: bool = False

    @property
    def searches(self) -> bool:
        return True

    @property
    def needs(self) -> AttackNeeds:
        most = FEW_CLASSES if self.all_classes and not self.many_classes else None
        return AttackNeeds(
            draw=True,
            others=0 if self.all_classes else self.targets,
            most_classes=most,
            untargeted=True,
        )

    @property
    def schedule(self) -> Schedule:
        cycles = self.steps * self.restarts * (1 if self.all_classes else self.targets)
        return Schedule((), (LINEARISE, JUDGE), None, most=cycles)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.number("eps", self.eps, low=0)
        checks.choice("norm", self.norm, NORMS)
        for name in ("steps", "targets", "restarts"):
            checks.count(name, getattr(self, name))
        checks.number("alpha_max", self.alpha_max, low=0, high=1)
        checks.number("eta", self.eta, low=1)
        checks.number("beta", self.beta, low=0, high=1)
        for name in ("all_classes", "many_classes"):
            checks.choice(name, getattr(self, name), (True, False))

    def init(self, item: AttackItem) -> _State:
        zero, none = jnp.int32(0), jnp.zeros((), item.image.dtype)
        return _State(
            item.image,
            item.image,
            jnp.full_like(none, jnp.inf),
            none,
            zero,
            zero,
            jnp.array(False),
            zero,
            zero,
        )

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        classes = jnp.arange(num_classes)
        label = jax.nn.one_hot(item.label, num_classes, dtype=jnp.float32)
        if self.all_classes and phase == LINEARISE:
            return state.point, oracle.linear(jnp.eye(num_classes, dtype=jnp.float32) - label[None])
        other = 0 if self.all_classes else self._target(item, state)
        return state.point, oracle.linear((classes == other).astype(jnp.float32) - label)

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        if phase == LINEARISE:
            normal, excess = self._boundary(item, state, answer)
            spent = answer.asked_gradient().shape[0] if self.all_classes else 1
            return self._step(item, state, normal, excess)._replace(
                gradients=state.gradients + spent
            )
        return self._judge(item, state, answer.logits)

    def done(self, state: _State) -> Array:
        return state.finished

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        found = self._counts(state.distance)
        image = jnp.where(found, state.best, item.image)
        details = {"distance": jnp.where(found, state.distance, jnp.nan)}
        return AttackOutcome(image, found, state.gradients, state.forwards, details)

    def _counts(self, distance: Array) -> Array:
        """Whether a success at this distance, infinite if there is none, is one of the search."""
        return jnp.where(self.eps == 0, distance < jnp.inf, distance <= self.eps)

    def _target(self, item: AttackItem, state: _State) -> Array:
        if item.others is None:
            raise TypeError("this item has no other classes, which FAB goes through")
        return item.others[jnp.minimum(state.run // self.restarts, len(item.others) - 1)]

    def _boundary(
        self, item: AttackItem, state: _State, answer: oracle.Answer
    ) -> tuple[Array, Array]:
        """The hyperplane of one class: its normal (H, W, 3), and its logit minus the label's."""
        logits, gradient = answer.logits, jnp.nan_to_num(answer.asked_gradient())
        gaps = logits - logits[item.label]
        if not self.all_classes:
            return gradient, gaps[self._target(item, state)]
        steepness = jax.vmap(lambda normal: length(normal, DUAL[self.norm]))(gradient)
        far = jnp.where(
            jnp.arange(len(logits)) == item.label, jnp.inf, jnp.abs(gaps) / (steepness + 1e-12)
        )
        nearest = jnp.argmin(far)
        return gradient[nearest], gaps[nearest]

    def _step(self, item: AttackItem, state: _State, normal: Array, excess: Array) -> _State:
        """The point's and the image's projections onto the boundary, with overshoot, averaged."""
        image, point = item.image, state.point
        step = to_hyperplane(point, normal, excess, self.norm)
        clean = to_hyperplane(image, normal, excess + jnp.sum(normal * (image - point)), self.norm)
        near, far = (jnp.maximum(length(move, self.norm), 1e-8) for move in (step, clean))
        alpha = jnp.clip(near / (near + far), 0, self.alpha_max)
        moved = (1 - alpha) * (point + self.eta * step) + alpha * (image + self.eta * clean)
        return state._replace(point=jnp.clip(moved, 0, 1), alpha=alpha)

    def _judge(self, item: AttackItem, state: _State, logits: Array) -> _State:
        fooled = fools(logits, item)
        offset = state.point - item.image
        distance = length(offset, self.norm)
        nearer = fooled & (distance < state.distance)
        iteration = state.iteration + 1
        state = state._replace(
            point=jnp.where(fooled, item.image + self.beta * offset, state.point),
            best=jnp.where(nearer, state.point, state.best),
            distance=jnp.where(nearer, distance, state.distance),
            forwards=state.forwards + 1,
        )
        over = iteration == self.steps
        run = state.run + over.astype(jnp.int32)
        runs = self.restarts * (1 if item.others is None else len(item.others))
        enough = jnp.where(self.eps == 0, False, state.distance <= self.eps)
        return state._replace(
            point=jnp.where(over, self._start(item, run, state.distance), state.point),
            run=run,
            iteration=jnp.where(over, 0, iteration),
            finished=state.finished | enough | (run == runs),
        )

    def _start(self, item: AttackItem, run: Array, distance: Array) -> Array:
        """Where a run begins."""
        if self.restarts == 1:
            return item.image
        noise = draws.noise(item, run, uniform=self.norm == np.inf)
        widest = jnp.where(self.eps == 0, RADIUS[self.norm], self.eps).astype(noise.dtype)
        radius = jnp.minimum(distance, widest) / 2
        start = jnp.clip(item.image + radius * noise / length(noise, self.norm), 0, 1)
        return jnp.where(run % self.restarts == 0, item.image, start)
