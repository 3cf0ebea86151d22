"""Carlini and Wagner's L2 attack, with exactly the loop of the released code (Carlini & Wagner
2017, section VI; the study, 2.3).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxadv.attacks import constant_search
from jaxadv.attacks.constant_search import ConstantSearch
from jaxadv.core import oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    centred,
    fools,
    select,
    settings,
)
from jaxadv.support import checks

STEP = Phase("step", True)


class _State(NamedTuple):
    start: Array  # (H, W, 3) float32, w0: the clean image in the tanh variable
    delta: Array  # (H, W, 3) float32, the perturbation of w, which Adam optimises
    original: Array  # (H, W, 3) float32, tanh(w0)
    point: Array  # (H, W, 3) float32, tanh(w0 + delta): the candidate
    first_moment: Array  # (H, W, 3) float32, Adam's m
    second_moment: Array  # (H, W, 3) float32, Adam's v
    search: ConstantSearch


@settings(
    data=("confidence", "learning_rate", "initial_const"),
    static=("steps", "search_steps", "warm_start", "abort_early"),
)
@dataclass(frozen=True)
class CarliniWagnerL2:
    """Carlini and Wagner's L2 attack: minimise ||x - x0||_2^2 + c * f(x) over w, x = (tanh(w) + 1)
    / 2, for the smallest c.

    Three details follow the released code. Adam's epsilon of 1e-8 is inside the root. Each
    iteration judges the image before its update, so the start is a candidate and the last update is
    not. The inverse of tanh is taken at
    1.999999 (x0 - 1/2). Pixels of exactly 0 or 1 hardly move, since the slope of tanh there is about 1e-6.

    The result has the details "best_const" (), "const" (search_steps,) and "iterations"
    (search_steps,).

    Args:
        confidence: kappa, in logit units, at least 0.
        steps: iterations for each c.
        search_steps: the number of values of c.
        learning_rate: of Adam. The study's scripts effectively ran 0.002.
        initial_const: the first c, positive.
        warm_start: whether the perturbation is kept from one c to the next, as in the release. The
            paper starts anew.
        abort_early: whether iterations stop when the loss stalls.
    """

    confidence: float = 0.0
    steps: int = 1000
    search_steps: int = 9
    learning_rate: float = 0.002
    initial_const: float = 0.01
    warm_start: bool = True
    abort_early: bool = True

    @property
    def searches(self) -> bool:
        return True

    @property
    def schedule(self) -> Schedule:
        return Schedule((), (STEP,), None, most=self.steps * self.search_steps)

    def check(self) -> None:
        """Raises InputError if a setting is out of range."""
        constant_search.check(self)
        checks.choice("warm_start", self.warm_start, (True, False))
        checks.choice("abort_early", self.abort_early, (True, False))

    def init(self, item: AttackItem) -> _State:
        zeros = jnp.zeros_like(item.image)
        start = jnp.arctanh(centred(item.image) * 1.999999)
        original = jnp.tanh(start)
        return _State(
            start,
            zeros,
            original,
            original,
            zeros,
            zeros,
            constant_search.start(item, self.initial_const, self.search_steps),
        )

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        objective = oracle.hinge(item.label, item.targeted, self.confidence, num_classes)
        return state.point / 2 + 0.5, objective

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        search = state.search
        point = state.point
        image = point / 2 + 0.5
        difference = point / 2 - state.original / 2
        distance = jnp.sum(difference * difference)
        objective = oracle.hinge(item.label, item.targeted, self.confidence, answer.logits.shape[0])
        loss = distance + search.const * oracle.value(objective, answer.logits)

        slope = (1 - point * point) / 2
        gradient = (2 * difference + search.const * answer.asked_gradient()) * slope
        first = 0.9 * state.first_moment + 0.1 * gradient
        second = 0.999 * state.second_moment + 0.001 * gradient * gradient
        count = (search.iteration + 1).astype(jnp.float32)
        # expm1 computes 1 - beta^t. The plain formula loses five digits in float32. The release has
        # double precision.
        rate = (
            self.learning_rate
            * jnp.sqrt(-jnp.expm1(count * math.log(0.999)))
            / -jnp.expm1(count * math.log(0.9))
        )
        delta = state.delta - rate * first / jnp.sqrt(second + 1e-8)

        search, ended = constant_search.observe(
            search,
            loss=loss,
            success=fools(answer.logits, item, self.confidence),
            distance=distance,
            image=image,
            steps=self.steps,
            abort_early=self.abort_early,
        )
        zeros = jnp.zeros_like(delta)
        if not self.warm_start:
            delta = jnp.where(ended, zeros, delta)
        first, second = select(ended, (zeros, zeros), (first, second))
        moved = jnp.tanh(state.start + delta)
        return state._replace(
            delta=delta, point=moved, first_moment=first, second_moment=second, search=search
        )

    def done(self, state: _State) -> Array:
        return constant_search.done(state.search)

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        return constant_search.outcome(state.search, forwards_per_iteration=0)
