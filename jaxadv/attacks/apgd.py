"""Auto-PGD: projected gradient ascent that finds its own step sizes (Croce & Hein 2020).

The losses are cross-entropy, the difference-of-logits ratio DLR, and the targeted DLR towards each
of the runner-up classes in turn, which is AutoAttack's APGD-T.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks import climb
from jaxadv.attacks.climb import Climb, Move
from jaxadv.attacks.projections import onto_l1_ball_in_box
from jaxadv.core import draws, oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackNeeds,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    fools,
    select,
    settings,
)
from jaxadv.support import checks

LOSSES = ("cross_entropy", "dlr", "targeted_dlr")
NORMS = (1, 2, np.inf)
STEP = Phase("step", True)
LARGER = ((3, 0.3), (2, 0.3), (1, 0.4))
"""In L1, budgets in units of eps and the shares of the steps that they have."""


class _State(NamedTuple):
    climb: Climb
    run: Array  # () int32, starts and targets that are finished
    stage: Array  # () int32, of the budgets of `LARGER`
    fooled: Array  # () bool
    finished: Array  # () bool
    image: Array  # (H, W, 3), the last iterate that fooled, or the best point of the runs so far
    loss: Array  # (), the highest of all finished runs
    evaluations: Array  # () int32


@settings(
    data=("eps", "rho"),
    static=(
        *("norm", "loss", "steps", "restarts", "targets"),
        *("larger_first", "stop_early", "as_released"),
    ),
)
@dataclass(frozen=True)
class APGD:
    """Maximise a loss within distance eps of the image and within the box; a fixed budget.

    Args:
        eps: radius of the ball, in pixel units of range 1.
        norm: of the ball: inf, 2 or 1.
        loss: "cross_entropy"; "dlr", the ratio (Z_best other - Z_y) / (Z_(1) - Z_(3)), equation 6;
            or "targeted_dlr", the ratio (Z_t - Z_y) / (Z_(1) - (Z_(3) + Z_(4)) / 2), equation 7,
            for each of the ``targets`` classes t with the largest clean logits but y. That is
            an untargeted attack: any wrong class is a success. An attack towards a target of its
            own takes the spread of equation 7 with "dlr".
        steps: iterations of a run, which evaluates steps + 1 gradients.
        restarts: random starts, for each target where there are several.
        targets: classes that "targeted_dlr" goes through.
        rho: share of the steps since the last checkpoint that must have raised the loss; else the
            step is halved.
        larger_first: L1 only: 3 eps for 30 % of the steps, 2 eps for 30 %, then eps. Each begins
            at the best point before, projected.
        stop_early: end with the first iterate that fools. Without it a run goes to its end, and
            the last iterate that fooled is kept.
        as_released: the first checkpoint compares the first loss with 0, as the reference does,
            not with the loss of the start. A cross-entropy has always risen then. A DLR has not
            before it fools, so the first checkpoint is apt to halve the step without need.
            In L1 the number of values that a step moves is rounded up, and values that rounding
            alone has changed count. On linear networks it then succeeds only from 1.15 times the
            least budget on, in float32 from 1.35 times. By default it does at 1.01 times.

    The image that is left is an iterate that fools, or the point of the highest loss.
    details: "loss" (), the highest of all finished runs.
    """

    eps: float
    norm: float = np.inf
    loss: str = "cross_entropy"
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    rho: float = 0.75
    larger_first: bool = False
    stop_early: bool = True
    as_released: bool = False

    @property
    def searches(self) -> bool:
        return False

    @property
    def needs(self) -> AttackNeeds:
        several = self.loss == "targeted_dlr"
        classes = {"cross_entropy": 2, "dlr": 3, "targeted_dlr": 4}[self.loss]
        others = self.targets if several else 0
        return AttackNeeds(draw=True, others=others, classes=classes, untargeted=several)

    @property
    def schedule(self) -> Schedule:
        evaluations = self.steps + len(self._budgets)
        runs = self.restarts * (self.targets if self.loss == "targeted_dlr" else 1)
        if runs == 1 and not self.stop_early:
            return Schedule((), (STEP,), evaluations)
        return Schedule((), (STEP,), None, most=runs * evaluations)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.number("eps", self.eps, low=0, above=True)
        checks.choice("norm", self.norm, NORMS)
        checks.choice("loss", self.loss, LOSSES)
        for name in ("steps", "restarts", "targets"):
            checks.count(name, getattr(self, name))
        checks.number("rho", self.rho, low=0, high=1)
        for name in ("larger_first", "stop_early", "as_released"):
            checks.choice(name, getattr(self, name), (True, False))
        if self.larger_first and (self.norm != 1 or self.steps < 4):
            raise checks.InputError(
                f"larger_first is set with norm {self.norm:g} and {self.steps} steps; "
                "give norm 1 and 4 steps at least, or leave it out"
            )

    def init(self, item: AttackItem) -> _State:
        zero, false = jnp.int32(0), jnp.array(False)
        start = self._start(item, zero)
        lowest = jnp.full_like(start.loss, -jnp.inf)
        return _State(start, zero, zero, false, false, item.image, lowest, zero)

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        return state.climb.point, self._objective(item, state.run, num_classes)

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        loss = self._loss(item, state.run, answer.logits)
        loss = jnp.where(jnp.isnan(loss), -jnp.inf, loss)  # no iterate is worse
        gradient = jnp.nan_to_num(answer.asked_gradient())
        budgets = jnp.array([factor for factor, _ in self._budgets], loss.dtype) * self.eps
        point, is_last = state.climb.point, state.stage == len(self._budgets) - 1
        fools_now = fools(answer.logits, item) & is_last
        seen = climb.observe(state.climb, loss, gradient, first_is_zero=self.as_released)
        ended = seen.evaluation > jnp.array(self._lengths)[state.stage]
        move = Move(
            item.image,
            budgets[state.stage],
            self.norm,
            self.steps,
            self.rho,
            self.as_released,
        )
        state = state._replace(
            climb=climb.step(seen, gradient, move),
            fooled=state.fooled | fools_now,
            image=jnp.where(fools_now, point, state.image),
            evaluations=state.evaluations + 1,
        )
        return self._follow(item, state, ended, budgets)

    def done(self, state: _State) -> Array:
        return state.finished

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        details = {"loss": state.loss}
        return AttackOutcome(state.image, jnp.array(True), state.evaluations, jnp.int32(0), details)

    def noise(self, item: AttackItem, run: Array) -> Array:
        """(H, W, 3), where a run's start lies, before it is scaled to the ball.

        Uniform in [-1, 1] for the infinity norm, else normal.
        """
        return draws.noise(item, run, uniform=self.norm == np.inf)

    @property
    def _budgets(self) -> tuple[tuple[int, float], ...]:
        return LARGER if self.larger_first else ((1, 1.0),)

    @property
    def _lengths(self) -> list[int]:
        """Steps of each budget."""
        shares = [int(part * self.steps) for _, part in self._budgets[:-1]]
        return [*shares, self.steps - sum(shares)]

    def _start(self, item: AttackItem, run: Array) -> Climb:
        """A run before its first evaluation. In L1 its first steps change a fifth of the values."""
        eps = jnp.asarray(self.eps, item.image.dtype) * self._budgets[0][0]
        point = climb.spread(self.noise(item, run), item.image, eps, self.norm)
        every = jnp.full_like(eps, item.image.size)
        return self._begin(point, eps, jnp.int32(0), jnp.full_like(eps, 0.2), every)

    def _begin(self, point: Array, eps: Array, stage: Array, kappa: Array, changed: Array) -> Climb:
        intervals = [climb.first_interval(self.norm, steps) for steps in self._lengths]
        return climb.begin(
            point,
            eps,
            norm=self.norm,
            interval=jnp.array(intervals)[stage],
            kappa=kappa,
            changed=changed,
        )

    def _objective(self, item: AttackItem, run: Array, num_classes: int) -> oracle.Objective:
        sign = jnp.where(item.targeted, 1, -1).astype(item.image.dtype)
        if self.loss == "cross_entropy":
            return oracle.cross_entropy(item.label, -sign, num_classes)
        if item.others is None:
            aim = jnp.int32(oracle.NO_AIM)
            fourth = item.targeted
        else:
            aim = item.others[jnp.minimum(run // self.restarts, len(item.others) - 1)]
            fourth = jnp.array(True)
        return oracle.ratio(item.label, sign, num_classes, aim=aim, fourth=fourth)

    def _loss(self, item: AttackItem, run: Array, logits: Array) -> Array:
        """The objective's value. Log-softmax gives more digits of a small cross-entropy."""
        if self.loss == "cross_entropy":
            entropy = -jax.nn.log_softmax(logits)[item.label]
            return jnp.where(item.targeted, -entropy, entropy)
        return oracle.value(self._objective(item, run, logits.shape[0]), logits)

    def _follow(self, item: AttackItem, state: _State, ended: Array, budgets: Array) -> _State:
        """After an evaluation: the next budget, the next run, or the end."""
        present, last = state.climb, len(self._budgets) - 1
        over = (ended & (state.stage == last)) | (state.fooled & self.stop_early)
        runs = self.restarts * (1 if item.others is None else len(item.others))
        highest = over & (present.best_loss > state.loss)
        run = state.run + over.astype(jnp.int32)
        state = state._replace(
            run=run,
            image=jnp.where(highest & ~state.fooled, present.best, state.image),
            loss=jnp.where(highest, present.best_loss, state.loss),
            finished=state.finished | (over & (state.fooled | (run == runs))),
        )
        if last:
            stage = jnp.minimum(state.stage + 1, last)
            nearer = onto_l1_ball_in_box(present.best - item.image, item.image, budgets[stage])
            changed = climb.changed_values(nearer, self.as_released)
            kappa = changed / item.image.size / 1.5
            staged = self._begin(item.image + nearer, budgets[stage], stage, kappa, changed)
            present = select(ended & ~over, staged, present)
            state = state._replace(stage=jnp.where(over, 0, jnp.where(ended, stage, state.stage)))
        if runs > 1:
            present = select(over, self._start(item, run), present)
        return state._replace(climb=present)
