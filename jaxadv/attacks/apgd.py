"""Auto-PGD: projected gradient ascent that finds its own step sizes (Croce & Hein 2020, algorithm 1; in L1 Croce & Hein 2021).

It starts at a random point of the ball and halves its step where progress has stalled. The losses are cross-entropy, the
difference-of-logits ratio DLR, and the targeted DLR towards each of the runner-up classes in turn, which is AutoAttack's APGD-T.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks.projections import kth_largest, length, onto_l1_ball_in_box
from jaxadv.core import draws, oracle
from jaxadv.core.probe import AttackItem, AttackNeeds, AttackOutcome, Phase, Schedule, fools, select, settings
from jaxadv.support import checks

LOSSES = ("cross_entropy", "dlr", "targeted_dlr")
NORMS = (1, 2, np.inf)
STEP = Phase("step", True)
MOMENTUM = 0.75
TINY = 1e-12
LARGER = ((3, 0.3), (2, 0.3), (1, 0.4))
"""In L1, budgets in units of eps and the shares of the steps that they have."""


class _Climb(NamedTuple):
    """One run from one start; lengths in pixel units of range 1."""

    point: Array  # (H, W, 3), what is asked about
    previous: Array  # (H, W, 3), the iterate before it
    best: Array  # (H, W, 3), the point of the highest loss
    best_gradient: Array  # (H, W, 3)
    best_loss: Array  # ()
    loss: Array  # (), of the iterate before
    step: Array  # ()
    evaluation: Array  # () int32, since the start of this run or stage
    risen: Array  # () int32, steps since the last checkpoint that raised the loss
    since: Array  # () int32, steps since then
    interval: Array  # () int32, steps between the last checkpoint and the next
    checked_loss: Array  # (), the highest loss at the last checkpoint
    has_halved: Array  # () bool, at the last checkpoint
    kappa: Array  # (), L1: the share of the coordinates that the next step changes
    changed: Array  # (), L1: coordinates changed in the best point at the last checkpoint


class _State(NamedTuple):
    climb: _Climb
    run: Array  # () int32, starts and targets that are finished
    stage: Array  # () int32, of the budgets of `LARGER`
    fooled: Array  # () bool
    finished: Array  # () bool
    image: Array  # (H, W, 3), the last iterate that fooled, or the best point of the runs so far
    loss: Array  # (), the highest of all finished runs
    evaluations: Array  # () int32


@settings(data=("eps", "rho"), static=("norm", "loss", "steps", "restarts", "targets", "larger_first", "stop_early", "as_released"))
@dataclass(frozen=True)
class APGD:
    """Maximise a loss within ``norm`` distance eps of the image and within the box, ``steps`` times; a fixed budget.

    Args:
        eps: radius of the ball, in pixel units of range 1.
        norm: inf, 2 or 1.
        loss: "cross_entropy"; "dlr", the ratio (Z_best other - Z_y) / (Z_(1) - Z_(3)), equation 6; or "targeted_dlr", the ratio
            (Z_t - Z_y) / (Z_(1) - (Z_(3) + Z_(4)) / 2), equation 7, for each of the ``targets`` classes t with the largest clean logits but y.
            It stays an untargeted attack: any wrong class counts. Towards a target of its own "dlr" takes the spread of equation 7.
        steps: iterations of a run, which evaluates steps + 1 gradients.
        restarts: random starts, for each target where there are several.
        targets: classes that "targeted_dlr" goes through.
        rho: share of the steps since the last checkpoint that must have raised the loss, or the step is halved.
        larger_first: L1 only: 3 eps for 30 % of the steps, 2 eps for 30 %, then eps, each from the best point before, projected.
        stop_early: end with the first iterate that fools. Without it a run goes to its end, and the last iterate that fooled is kept.
        as_released: the first checkpoint compares the first loss with 0, as the reference does, not with the start's loss. Cross-entropy has
            always risen then, DLR hardly ever before it fools, so that its first checkpoint halves the step without need.

    The result is an iterate that fools, or the point of the highest loss. details: "loss", the highest of all finished runs.
    A direction is divided by the gradient's largest value first, so that small gradients do not vanish when they are squared.
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

    searches = False

    @property
    def needs(self) -> AttackNeeds:
        several = self.loss == "targeted_dlr"
        classes = {"cross_entropy": 2, "dlr": 3, "targeted_dlr": 4}[self.loss]
        return AttackNeeds(draw=True, others=self.targets if several else 0, classes=classes, untargeted=several)

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
            raise checks.InputError(f"larger_first is set with norm {self.norm:g} and {self.steps} steps; it needs norm 1 and 4 steps at least")

    def init(self, item: AttackItem) -> _State:
        zero, false = jnp.int32(0), jnp.array(False)
        climb = self._start(item, zero)
        return _State(climb, zero, zero, false, false, item.image, jnp.full_like(climb.loss, -jnp.inf), zero)

    def ask(self, item, state, phase, num_classes):
        return state.climb.point, self._objective(item, state.run, num_classes)

    def tell(self, item, state, answer, phase) -> _State:
        loss = self._loss(item, state.run, answer.logits)
        loss = jnp.where(jnp.isnan(loss), -jnp.inf, loss)  # no iterate is worse
        gradient = jnp.nan_to_num(answer.gradient)
        climb, is_start = state.climb, state.climb.evaluation == 0
        fools_now = fools(answer.logits, item) & (state.stage == len(self._budgets) - 1)
        better = is_start | (loss > climb.best_loss)
        best, best_gradient, best_loss = select(
            better, (climb.point, gradient, loss), (climb.best, climb.best_gradient, climb.best_loss)
        )
        before = jnp.where(is_start, loss, climb.loss)
        climb = climb._replace(
            best=best,
            best_gradient=best_gradient,
            best_loss=best_loss,
            risen=climb.risen + (loss > before).astype(jnp.int32),
            since=climb.since + (~is_start).astype(jnp.int32),
            loss=jnp.where(is_start, jnp.zeros_like(loss), loss) if self.as_released else loss,
            checked_loss=jnp.where(is_start, loss, climb.checked_loss),
            evaluation=climb.evaluation + 1,
        )
        budgets = jnp.array([factor for factor, _ in self._budgets], loss.dtype) * self.eps
        eps = budgets[state.stage]
        check = self._check_in_l1 if self.norm == 1 else self._check_progress
        climb, gradient = check(item, climb, gradient, eps)
        ended = climb.evaluation > jnp.array(self._lengths)[state.stage]
        climb = self._move(item, climb, gradient, eps, is_start)
        state = state._replace(
            climb=climb,
            fooled=state.fooled | fools_now,
            image=jnp.where(fools_now, state.climb.point, state.image),
            evaluations=state.evaluations + 1,
        )
        return self._follow(item, state, ended, budgets)

    def done(self, state: _State) -> Array:
        return state.finished

    def result(self, item, state) -> AttackOutcome:
        return AttackOutcome(state.image, jnp.array(True), state.evaluations, jnp.int32(0), {"loss": state.loss})

    def noise(self, item: AttackItem, run: Array) -> Array:
        """Where the run's start lies, before it is scaled to the ball: uniform in [-1, 1] for the infinity norm, else normal."""
        key = draws.key(item.draw.seed, item.draw.image_id, run)
        count = item.image.size
        flat = 2 * draws.uniform(key, count) - 1 if self.norm == np.inf else draws.normals(key, count)
        return flat.reshape(item.image.shape).astype(item.image.dtype)

    @property
    def _budgets(self) -> tuple[tuple[float, float], ...]:
        return LARGER if self.larger_first else ((1, 1.0),)

    @property
    def _lengths(self) -> list[int]:
        """Steps of each budget."""
        shares = [int(share * self.steps) for _, share in self._budgets[:-1]]
        return [*shares, self.steps - sum(shares)]

    def _start(self, item: AttackItem, run: Array) -> _Climb:
        """A run before its first evaluation."""
        eps = jnp.asarray(self.eps, item.image.dtype) * self._budgets[0][0]
        point = spread(self.noise(item, run), item.image, eps, self.norm)
        return self._climb(item, point, eps, jnp.full_like(eps, 0.2), jnp.full_like(eps, item.image.size), jnp.int32(0))

    def _climb(self, item, point, eps, kappa, changed, stage) -> _Climb:
        zeros, zero, none = jnp.zeros_like(point), jnp.int32(0), jnp.zeros_like(eps)
        interval = jnp.array([_share(0.04 if self.norm == 1 else 0.22, steps) for steps in self._lengths])[stage]
        step = eps if self.norm == 1 else 2 * eps
        true = jnp.array(True)
        return _Climb(point, point, point, zeros, none, none, step, zero, zero, zero, interval, none, true, kappa, changed)

    def _objective(self, item: AttackItem, run: Array, num_classes: int) -> oracle.Objective:
        sign = jnp.where(item.targeted, 1, -1).astype(item.image.dtype)
        if self.loss == "cross_entropy":
            return oracle.cross_entropy(item.label, -sign, num_classes)
        if self.loss == "dlr":
            return oracle.ratio(item.label, sign, num_classes, aim=jnp.int32(oracle.NO_AIM), fourth=item.targeted)
        aim = item.others[jnp.minimum(run // self.restarts, len(item.others) - 1)]
        return oracle.ratio(item.label, sign, num_classes, aim=aim, fourth=jnp.array(True))

    def _loss(self, item: AttackItem, run: Array, logits: Array) -> Array:
        """The objective's value; the cross-entropy by log-softmax, which has more digits where it is small."""
        if self.loss == "cross_entropy":
            entropy = -jax.nn.log_softmax(logits)[item.label]
            return jnp.where(item.targeted, -entropy, entropy)
        return oracle.value(self._objective(item, run, logits.shape[0]), logits)

    def _check_progress(self, item, climb: _Climb, gradient: Array, eps: Array) -> tuple[_Climb, Array]:
        """Conditions 1 and 2 of section 3.2: halve the step and go back to the best point, which the momentum does not know of."""
        due = climb.since == climb.interval
        oscillates = climb.risen.astype(eps.dtype) <= self.rho * climb.interval.astype(eps.dtype)
        stalls = ~climb.has_halved & (climb.checked_loss >= climb.best_loss)
        halve = due & (oscillates | stalls)
        shorter = jnp.maximum(climb.interval - _share(0.03, self.steps), _share(0.06, self.steps))
        zero = jnp.zeros_like(climb.since)
        checked = climb._replace(
            step=jnp.where(halve, climb.step / 2, climb.step),
            risen=zero,
            since=zero,
            interval=shorter,
            checked_loss=climb.best_loss,
            has_halved=halve,
        )
        climb = select(due, checked, climb)
        return climb._replace(point=jnp.where(halve, climb.best, climb.point)), jnp.where(halve, climb.best_gradient, gradient)

    def _check_in_l1(self, item, climb: _Climb, gradient: Array, eps: Array) -> tuple[_Climb, Array]:
        """The schedule of Croce & Hein 2021, section 3.2: a start anew where the perturbation has become sparser, else a smaller step."""
        due = climb.since == climb.interval
        changed = length(climb.best - item.image, 0)
        sparser = changed / climb.changed < 0.95
        step = jnp.clip(jnp.where(sparser, eps, climb.step / 1.5), eps / 10, eps)
        kappa = changed / item.image.size / 1.5
        checked = climb._replace(step=step, kappa=kappa, changed=changed, since=jnp.zeros_like(climb.since))
        climb, anew = select(due, checked, climb), due & sparser
        return climb._replace(point=jnp.where(anew, climb.best, climb.point)), jnp.where(anew, climb.best_gradient, gradient)

    def _move(self, item, climb: _Climb, gradient: Array, eps: Array, is_start: Array) -> _Climb:
        """The next point."""
        image, point = item.image, climb.point
        if self.norm == 1:
            moved = point + climb.step * _steepest(gradient, climb.kappa)
            return climb._replace(previous=point, point=image + onto_l1_ball_in_box(moved - image, image, eps))
        direction = jnp.sign(gradient) if self.norm == np.inf else _unit(gradient)
        share = jnp.where(is_start, 1.0, MOMENTUM).astype(eps.dtype)
        stepped = into_ball(point + climb.step * direction, image, eps, self.norm)
        moved = point + share * (stepped - point) + (1 - share) * (point - climb.previous)
        return climb._replace(previous=point, point=into_ball(moved, image, eps, self.norm))

    def _follow(self, item, state: _State, ended: Array, budgets: Array) -> _State:
        """After an evaluation: the next budget, the next run, or the end."""
        climb, last = state.climb, len(self._budgets) - 1
        over = (ended & (state.stage == last)) | (state.fooled & self.stop_early)
        runs = self.restarts * (1 if item.others is None else len(item.others))
        highest = climb.best_loss > state.loss
        kept = jnp.where(over & ~state.fooled & highest, climb.best, state.image)
        loss = jnp.where(over & highest, climb.best_loss, state.loss)
        run = state.run + over.astype(jnp.int32)
        finished = state.finished | (over & (state.fooled | (run == runs)))
        state = state._replace(run=run, image=kept, loss=loss, finished=finished)
        if last:
            following = jnp.minimum(state.stage + 1, last)
            eps = budgets[following]
            point = item.image + onto_l1_ball_in_box(climb.best - item.image, item.image, eps)
            changed = length(point - item.image, 0)
            staged = self._climb(item, point, eps, changed / item.image.size / 1.5, changed, following)
            climb = select(ended & ~over, staged, climb)
            state = state._replace(stage=jnp.where(over, 0, jnp.where(ended, following, state.stage)))
        if runs > 1:
            climb = select(over, self._start(item, run), climb)
        return state._replace(climb=climb)


def spread(noise: Array, image: Array, eps: Array, norm: float) -> Array:
    """A start: the image and noise scaled to norm eps, within the box; in L1 the nearest point of ball and box."""
    if norm == 1:
        return jnp.clip(image + onto_l1_ball_in_box(noise, image, eps), 0, 1)
    return jnp.clip(image + eps * noise / (length(noise, norm) + TINY), 0, 1)


def into_ball(point: Array, image: Array, eps: Array, norm: float) -> Array:
    """Into the ball of norm inf or 2 around the image first, then into the box."""
    if norm == np.inf:
        return jnp.clip(jnp.clip(point, image - eps, image + eps), 0, 1)
    offset = point - image
    size = length(offset, 2)
    return jnp.clip(image + offset / (size + TINY) * jnp.minimum(eps, size), 0, 1)


def _unit(gradient: Array) -> Array:
    """The gradient over its L2 norm; zero stays zero."""
    largest = jnp.max(jnp.abs(gradient))
    scaled = gradient / jnp.where(largest > 0, largest, jnp.ones_like(largest))
    return scaled / (length(scaled, 2) + TINY)


def _steepest(gradient: Array, kappa: Array) -> Array:
    """Signs of the share kappa of the largest gradients, ties kept, with L1 norm 1."""
    size = jnp.abs(gradient)
    smaller = jnp.clip((1 - kappa) * size.size, 0, size.size - 1).astype(jnp.int32)  # how many are smaller, rounded down
    signs = jnp.where(size >= kth_largest(size, size.size - smaller), jnp.sign(gradient), jnp.zeros_like(gradient))
    return signs / (length(signs, 1) + 1e-10)


def _share(share: float, steps: int) -> int:
    """So many of the steps, rounded down, and one at least."""
    return max(int(share * steps), 1)
