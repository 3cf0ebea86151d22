"""The fast gradient sign method and its iterated form, with a fixed budget or a search for the smallest.

The study ran them in the infinity norm; its release also has steps along g / ||g||_1 and g / ||g||_2 (see `_direction`, `_bounded`),
with no script that uses them.

The loss J is, as the study ran it ("logit"), minus the logit of the label: untargeted attacks descend Z_y, targeted ones
ascend Z_t. "cross_entropy" is the textbook's J. Its release fed softmax outputs to a second softmax there; that is not copied.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.core import oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    centred,
    fools,
    never_done,
    settings,
    uncentred,
)
from jaxadv.support import checks

LOSSES = ("logit", "cross_entropy")
NORMS = (1, 2, np.inf)
FIRST = Phase("first", True)
STEP = Phase("step", True)
JUDGE = Phase("judge", False)


def check_budget(name: str, eps: float, norm: float) -> None:
    """Require a budget above 0, and in the infinity norm at most the pixels' range. Raises InputError."""
    checks.number(name, eps, low=0, above=True)
    if norm == np.inf and eps > 1:
        raise checks.InputError(
            f"{name} is {eps:g}; pixels have range 1: did you mean {eps:g}/255 = {eps / 255:.4f}?"
        )


def _ascend(item: AttackItem, loss: str, num_classes: int) -> oracle.Objective:
    """The objective whose ascent fools the model: +Z_t or -Z_y, or the cross-entropy with its sign."""
    if loss == "logit":
        one_hot = jax.nn.one_hot(item.label, num_classes, dtype=jnp.float32)
        return oracle.linear(jnp.where(item.targeted, one_hot, -one_hot))
    return oracle.cross_entropy(
        item.label, jnp.where(item.targeted, jnp.float32(-1), jnp.float32(1)), num_classes
    )


def _direction(gradient: Array, norm: float) -> Array:
    """sign(g), with sign(0) = 0, for the infinity norm; else g over its norm, of all values of the image, whatever their number.

    As released: in the first norm that is not the steepest ascent, which would put all into one pixel. Where the gradient is not a
    number the pixel stays; where it is zero altogether the image does (the release divides by zero).
    """
    gradient = jnp.nan_to_num(gradient)
    if norm == np.inf:
        return jnp.sign(gradient)
    gradient = _over(gradient, jnp.max(jnp.abs(gradient)))  # so that no square vanishes
    return _over(gradient, _length(gradient, norm))


def _length(values: Array, norm: float) -> Array:
    return jnp.sum(jnp.abs(values)) if norm == 1 else jnp.sqrt(jnp.sum(values * values))


def _over(values: Array, length: Array) -> Array:
    """values / length; zeros over zero are zeros."""
    return values / jnp.where(length > 0, length, jnp.ones_like(length))


def _bounded(eta: Array, eps: Array, norm: float) -> Array:
    """The perturbation within the budget; in the norms 1 and 2, as released, of norm exactly eps: a short one is made longer."""
    if norm == np.inf:
        return jnp.clip(eta, -eps, eps)
    return _over(eta * eps, _length(eta, norm))


def _clip(point: Array) -> Array:
    """To the study's pixel range."""
    return jnp.clip(point, -0.5, 0.5)


@settings(data=("eps",), static=("loss", "norm"))
@dataclass(frozen=True)
class FGSM:
    """x = clip(x0 + eps * sign(grad J)), one gradient; in another norm clip(x0 + eps * grad J / ||grad J||).

    eps: step in pixel units, range 1. loss: "logit" (as the study ran it) or "cross_entropy". norm: of the step, inf, 2 or 1.
    """

    eps: float
    loss: str = "logit"
    norm: float = np.inf

    @property
    def searches(self) -> bool:
        return False

    @property
    def schedule(self) -> Schedule:
        return Schedule((FIRST,), (), 0)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.choice("loss", self.loss, LOSSES)
        checks.choice("norm", self.norm, NORMS)
        check_budget("eps", self.eps, self.norm)

    def init(self, item: AttackItem) -> Array:
        return item.image

    def ask(self, item: AttackItem, state: Array, phase: Phase, num_classes: int) -> Question:
        return item.image, _ascend(item, self.loss, num_classes)

    def tell(self, item: AttackItem, state: Array, answer: oracle.Answer, phase: Phase) -> Array:
        return uncentred(
            _clip(centred(item.image) + self.eps * _direction(answer.asked_gradient(), self.norm)),
            item,
        )

    def done(self, state: Array) -> Array:
        return never_done()

    def result(self, item: AttackItem, state: Array) -> AttackOutcome:
        return AttackOutcome(state, jnp.array(True), jnp.int32(1), jnp.int32(0), {})


class _Search(NamedTuple):
    eps: Array  # () float32, the eps of the present attempt
    failed: Array  # () float32, the last eps that failed, NaN before
    succeeded: Array  # () float32, the last eps that succeeded, NaN before
    attempt: Array  # () int32
    tried: Array  # (attempts,) float32
    best: Array  # (H, W, 3) float32, the last success; it is the smallest, since the bracket only shrinks


class _State(NamedTuple):
    first: Array  # (H, W, 3) float32, direction at the clean image: the first step of every attempt
    eta: Array  # (H, W, 3) float32, the perturbation so far
    search: _Search


@settings(data=("eps", "initial_eps"), static=("steps", "attempts", "loss", "norm"))
@dataclass(frozen=True)
class IFGSM:
    """Iterated FGSM with step alpha = eps / steps; the last iterate counts, there is no random start and no early stop.

    Either ``eps`` (one attempt, a fixed budget) or ``initial_eps`` (search for the smallest eps that succeeds: per image, eps
    doubles until a success, halves until a failure, then bisects, ``attempts`` values in all). Pixel units, range 1. norm: of steps and
    budget, inf, 2 or 1.
    details: "eps" (attempts,), every value tried; "best_eps" (), the smallest that succeeded, NaN if none did (a fixed budget's own).
    """

    eps: float | None = None
    initial_eps: float | None = None
    attempts: int = 9
    steps: int = 50
    loss: str = "logit"
    norm: float = np.inf

    @property
    def searches(self) -> bool:
        return self.eps is None

    @property
    def schedule(self) -> Schedule:
        steps = (STEP,) * (self.steps - 1)
        if self.searches:
            return Schedule((FIRST,), (*steps, JUDGE), self.attempts)
        return Schedule((FIRST,), steps, 1)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        if (self.eps is None) == (self.initial_eps is None):
            raise checks.InputError(
                f"eps is {self.eps!r} and initial_eps is {self.initial_eps!r}; "
                "give exactly one: eps for a fixed budget, initial_eps to search for the smallest"
            )
        name = "initial_eps" if self.searches else "eps"
        checks.count("attempts", self.attempts)
        checks.count("steps", self.steps)
        checks.choice("loss", self.loss, LOSSES)
        checks.choice("norm", self.norm, NORMS)
        check_budget(name, getattr(self, name), self.norm)

    def init(self, item: AttackItem) -> _State:
        zeros = jnp.zeros_like(item.image)
        nan = jnp.float32(jnp.nan)
        eps = jnp.asarray(self.initial_eps if self.searches else self.eps, jnp.float32)
        attempts = self.attempts if self.searches else 1
        search = _Search(
            eps, nan, nan, jnp.int32(0), jnp.full(attempts, nan, jnp.float32), item.image
        )
        return _State(zeros, zeros, search)

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        point = (
            centred(item.image) + state.eta
        )  # outside the pixel range where `_bounded` has led there, as released
        return uncentred(point, item), _ascend(item, self.loss, num_classes)

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        if phase == FIRST:
            state = state._replace(first=_direction(answer.asked_gradient(), self.norm))
            return state._replace(
                eta=self._step(item, state.search.eps, jnp.zeros_like(state.eta), state.first)
            )
        if phase == STEP:
            return state._replace(
                eta=self._step(
                    item,
                    state.search.eps,
                    state.eta,
                    _direction(answer.asked_gradient(), self.norm),
                )
            )
        success = fools(answer.logits, item)
        search = self._next_eps(state.search, success)
        search = search._replace(best=jnp.where(success, self._image(item, state), search.best))
        return state._replace(
            search=search, eta=self._step(item, search.eps, jnp.zeros_like(state.eta), state.first)
        )

    def done(self, state: _State) -> Array:
        return never_done()

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        search = state.search
        if not self.searches:
            tried = search.tried.at[0].set(search.eps)
            return AttackOutcome(
                self._image(item, state),
                jnp.array(True),
                *_counts(self.steps, 0),
                _details(tried, search.eps),
            )
        found = ~jnp.isnan(search.succeeded)
        gradients = 1 + (self.steps - 1) * self.attempts
        return AttackOutcome(
            search.best,
            found,
            *_counts(gradients, self.attempts),
            _details(search.tried, search.succeeded),
        )

    @staticmethod
    def _image(item: AttackItem, state: _State) -> Array:
        return uncentred(_clip(centred(item.image) + state.eta), item)

    def _step(self, item: AttackItem, eps: Array, eta: Array, direction: Array) -> Array:
        """Pixels are clipped first, then the perturbation to the budget, as released (in the infinity norm it practically never binds)."""
        clean = centred(item.image)
        return _bounded(_clip(clean + eta + eps / self.steps * direction) - clean, eps, self.norm)

    @staticmethod
    def _next_eps(search: _Search, success: Array) -> _Search:
        """Towards the other side's last value if there was one, else half after a success, double after a failure."""
        eps = search.eps
        middle = (eps + jnp.where(success, search.failed, search.succeeded)) / 2
        following = jnp.where(jnp.isnan(middle), jnp.where(success, eps / 2, eps * 2), middle)
        return search._replace(
            eps=following,
            failed=jnp.where(success, search.failed, eps),
            succeeded=jnp.where(success, eps, search.succeeded),
            attempt=search.attempt + 1,
            tried=search.tried.at[search.attempt].set(eps),
        )


def _counts(gradients: int, forwards: int) -> tuple[Array, Array]:
    return jnp.int32(gradients), jnp.int32(forwards)


def _details(tried: Array, best: Array) -> dict[str, Array]:
    return {"eps": tried, "best_eps": best}
