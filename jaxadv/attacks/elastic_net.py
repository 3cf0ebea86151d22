"""The elastic-net attack, with exactly the loop of the released code (Chen et al. 2018, algorithm
1; the study, 2.3).
"""

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
    # (H, W, 3) float32, s: the extrapolated point of the gradient; it may leave that range
    slack: Array
    search: ConstantSearch


@settings(
    data=("confidence", "beta", "learning_rate", "initial_const"),
    static=("steps", "search_steps", "abort_early", "rule"),
)
@dataclass(frozen=True)
class ElasticNetL1:
    """The elastic-net attack: minimise c * f(x) + ||x - x0||_2^2 + beta * ||x - x0||_1 by
    accelerated shrinkage of pixels.

    An iteration takes one gradient at the slack point, and one evaluation of the logits at the
    candidate. The result has the details "best_const" (), "const" (search_steps,) and "iterations"
    (search_steps,).

    Args:
        confidence: kappa, in logit units, at least 0.
        beta: the weight of the L1 term, at least 0. As in the release, it is also the shrinkage
            threshold, in pixel units. The paper's threshold is learning_rate * beta.
        steps: iterations for each c.
        search_steps: the number of values of c.
        learning_rate: of the gradient steps. It decays as sqrt(1 - k / steps).
        initial_const: the first c, positive.
        abort_early: whether iterations stop when the loss stalls.
        rule: the distance by which the best success is chosen. "l1" is the L1 distance, as in the
            study. "elastic_net" is
            ||x - x0||_2^2 + beta * ||x - x0||_1, the paper's EN rule. The study's release has only the first.
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
        """Raises InputError if a setting is out of range."""
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
        """Take a gradient step on the smooth part at the slack point, soft-threshold towards the
        clean image, and extrapolate.

        Decay and momentum count iterations as in the release.
        """
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
    """Soft thresholding (Chen et al. 2018): shrink the difference from ``centre`` by ``threshold``.

    A pixel whose difference is at most the threshold takes the value of the centre. The others are
    clipped to [-1/2, 1/2].

    Args:
        point: (H, W, 3) float32.
        centre: (H, W, 3) float32 in [-1/2, 1/2].
        threshold: in pixel units, at least 0.

    Returns:
        (H, W, 3) float32 in [-1/2, 1/2].
    """
    difference = point - centre
    lowered = jnp.minimum(point - threshold, 0.5)
    raised = jnp.maximum(point + threshold, -0.5)
    return jnp.where(
        difference > threshold, lowered, jnp.where(difference < -threshold, raised, centre)
    )
