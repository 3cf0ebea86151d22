"""The elastic-net attack, with the released code's exact loop (Chen et al. 2018, algorithm 1; the study, 2.3)."""

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
    uncentred,
)
from jaxadv.support import checks

RULES = ("l1", "elastic_net")
SLACK = Phase("slack", True)
CANDIDATE = Phase("candidate", False)


class _State(NamedTuple):
    point: Array  # (H, W, 3) float32 in [-1/2, 1/2], z: the candidate
    slack: Array  # (H, W, 3) float32, s: the extrapolated point where the gradient is taken; may leave that range
    search: ConstantSearch


@settings(
    data=("confidence", "beta", "learning_rate", "initial_const"),
    static=("steps", "search_steps", "abort_early", "rule"),
)
@dataclass(frozen=True)
class ElasticNetL1:
    """Minimise c * f(x) + ||x - x0||_2^2 + beta * ||x - x0||_1 by accelerated shrinkage in pixel space.

    confidence: kappa, in logit units. beta: weight of the L1 term, and, as released, itself the shrinkage threshold (not
    learning_rate * beta), in pixel units. steps: iterations for each c. search_steps: values of c. learning_rate: of the gradient
    steps; decays as sqrt(1 - k / steps). initial_const: the first c. abort_early: end a c whose loss has stalled.
    rule: which of the successes wins: the one with the least L1 distance ("l1", the study's), or with the least
    ||x - x0||_2^2 + beta * ||x - x0||_1 ("elastic_net", the paper's EN rule, which the study's release does not have).
    details: "best_const", "const" and "iterations" (search_steps,).

    An iteration costs one gradient, at the slack point, and one evaluation of the logits alone, at the candidate.
    """

    confidence: float = 0.0
    beta: float = 1e-3
    steps: int = 1000
    search_steps: int = 9
    learning_rate: float = 0.01
    initial_const: float = 0.01
    abort_early: bool = True
    rule: str = "l1"

    @property
    def searches(self) -> bool:
        return True

    @property
    def schedule(self) -> Schedule:
        return Schedule((), (SLACK, CANDIDATE), None, most=self.steps * self.search_steps)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        constant_search.check(self)
        checks.number("beta", self.beta, low=0)
        checks.choice("abort_early", self.abort_early, (True, False))
        checks.choice("rule", self.rule, RULES)

    def init(self, item: AttackItem) -> _State:
        clean = centred(item.image)
        return _State(
            clean, clean, constant_search.start(item, self.initial_const, self.search_steps)
        )

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        objective = oracle.hinge(item.label, item.targeted, self.confidence, num_classes)
        return uncentred(state.slack if phase == SLACK else state.point, item), objective

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        if phase == SLACK:
            return self._shrink(item, state, answer.asked_gradient())
        return self._judge(item, state, answer.logits)

    def done(self, state: _State) -> Array:
        return constant_search.done(state.search)

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        return constant_search.outcome(state.search, forwards_per_iteration=1)

    def _shrink(self, item: AttackItem, state: _State, gradient: Array) -> _State:
        """A gradient step on the smooth part at the slack point, then soft thresholding towards the clean image, then
        extrapolation; the iteration count in both decay and momentum is the release's."""
        clean = centred(item.image)
        k = state.search.iteration.astype(jnp.float32)
        rate = self.learning_rate * jnp.sqrt(1 - k / self.steps)
        slack = state.slack - rate * (state.search.const * gradient + 2 * (state.slack - clean))
        point = soft_threshold(slack, clean, self.beta)
        return state._replace(point=point, slack=point + (k + 1) / (k + 4) * (point - state.point))

    def _judge(self, item: AttackItem, state: _State, logits: Array) -> _State:
        clean = centred(item.image)
        difference = state.point - clean
        l1 = jnp.sum(jnp.abs(difference))
        objective = oracle.hinge(item.label, item.targeted, self.confidence, logits.shape[0])
        attack_loss = state.search.const * oracle.value(objective, logits)
        l2_squared = jnp.sum(difference * difference)
        search, ended = constant_search.observe(
            state.search,
            loss=attack_loss + l2_squared + self.beta * l1,
            success=fools(logits, item, self.confidence),
            distance=l1 if self.rule == "l1" else l2_squared + self.beta * l1,
            image=uncentred(state.point, item),
            steps=self.steps,
            abort_early=self.abort_early,
        )
        restart = state._replace(point=clean, slack=clean)
        return select(ended, restart, state)._replace(search=search)


def soft_threshold(point: Array, centre: Array, threshold: Array | float) -> Array:
    """Move every pixel of ``point`` towards ``centre`` by ``threshold``, onto it if nearer, and clip to [-1/2, 1/2]."""
    difference = point - centre
    lowered = jnp.minimum(point - threshold, 0.5)
    raised = jnp.maximum(point + threshold, -0.5)
    return jnp.where(
        difference > threshold, lowered, jnp.where(difference < -threshold, raised, centre)
    )
