"""The fast gradient sign method, and its iterated form with a fixed budget or a search for the
smallest one.

The study ran both in the infinity norm. Its release also has steps along g / ||g||_1 and g /
||g||_2 (see `_direction` and `_bounded`), but no script uses them.

With the loss "logit", as in the study, untargeted attacks descend Z_y and targeted attacks ascend
Z_t. "cross_entropy" is the usual loss J. For that loss the study's release applies softmax twice.
This module applies it once.
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
    """Check the budget of an attack.

    Args:
        name: the setting's name in errors.
        eps: the budget, in pixel units of range 1.
        norm: inf, 2 or 1.

    Raises:
        InputError: if the budget is not positive, or is above 1 in the infinity norm.
    """
    checks.number(name, eps, low=0, above=True)
    if norm == np.inf and eps > 1:
        raise checks.InputError(
            f"{name} is {eps:g}; pixels have range 1: did you mean {eps:g}/255 = {eps / 255:.4f}?"
        )


def _ascend(item: AttackItem, loss: str, num_classes: int) -> oracle.Objective:
    """The objective that the attack ascends: +Z_t or -Z_y, or minus or plus the cross-entropy."""
    if loss == "logit":
        one_hot = jax.nn.one_hot(item.label, num_classes, dtype=jnp.float32)
        return oracle.linear(jnp.where(item.targeted, one_hot, -one_hot))
    return oracle.cross_entropy(
        item.label, jnp.where(item.targeted, jnp.float32(-1), jnp.float32(1)), num_classes
    )


def _direction(gradient: Array, norm: float) -> Array:
    """The step's direction: sign(g) with sign(0) = 0 in the infinity norm, else g over its norm.

    The norm is taken over all values of the image. As in the release, the direction for norm 1 is
    not the steepest ascent, which would change a single pixel. A NaN in the gradient leaves its
    pixel unchanged. A zero gradient leaves the image unchanged, where the release divides by zero.
    """
    gradient = jnp.nan_to_num(gradient)
    if norm == np.inf:
        return jnp.sign(gradient)
    gradient = _over(gradient, jnp.max(jnp.abs(gradient)))  # prevents underflow of squares
    return _over(gradient, _length(gradient, norm))


def _length(values: Array, norm: float) -> Array:
    return jnp.sum(jnp.abs(values)) if norm == 1 else jnp.sqrt(jnp.sum(values * values))


def _over(values: Array, length: Array) -> Array:
    """values / length, where zeros over zero are zeros."""
    return values / jnp.where(length > 0, length, jnp.ones_like(length))


def _bounded(eta: Array, eps: Array, norm: float) -> Array:
    """The perturbation within the budget.

    In the norms 1 and 2 it is scaled to norm eps, as in the release, even if it is shorter.
    """
    if norm == np.inf:
        return jnp.clip(eta, -eps, eps)
    return _over(eta * eps, _length(eta, norm))


def _clip(point: Array) -> Array:
    """Clip to the study's pixel range."""
    return jnp.clip(point, -0.5, 0.5)


@settings(data=("eps",), static=("loss", "norm"))
@dataclass(frozen=True)
class FGSM:
    """The fast gradient sign method (Goodfellow et al. 2015): x = clip(x0 + eps * sign(grad J)),
    with one gradient.

    In the norms 2 and 1 it is x = clip(x0 + eps * grad J / ||grad J||).

    Args:
        eps: the step, in pixel units of range 1, above 0.
        loss: "logit", as in the study, or "cross_entropy".
        norm: the norm of the step: inf, 2 or 1.
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
        """Raises InputError if a setting is out of range."""
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
    eps: Array  # () float32, the eps of the current attempt
    failed: Array  # () float32, the last eps that failed; NaN before the first
    succeeded: Array  # () float32, the last eps that succeeded; NaN before the first
    attempt: Array  # () int32
    tried: Array  # (attempts,) float32, the eps of each attempt
    # (H, W, 3) float32, the last success; its eps is the smallest, since the bracket only shrinks
    best: Array


class _State(NamedTuple):
    # (H, W, 3) float32, direction at the clean image, for the first step of every attempt
    first: Array
    eta: Array  # (H, W, 3) float32, the perturbation so far
    search: _Search


@settings(data=("eps", "initial_eps"), static=("steps", "attempts", "loss", "norm"))
@dataclass(frozen=True)
class IFGSM:
    """Iterated FGSM with step alpha = eps / steps (Kurakin et al. 2017). The last iterate counts.
    No random start, no early stop.

    Give either ``eps`` or ``initial_eps``. With ``eps`` there is one attempt with a fixed budget.
    With ``initial_eps`` the attack searches the smallest eps that succeeds, for each image
    separately. It doubles eps until a success, halves eps until a failure, and then bisects.

    The result has the details "eps" (attempts,), the values of all attempts, and "best_eps" (), the
    smallest that succeeded. Without a success "best_eps" is NaN. For a fixed budget it is always
    ``eps``.

    Args:
        eps: the fixed budget, in pixel units of range 1, above 0.
        initial_eps: the first eps of the search, in pixel units of range 1, above 0.
        attempts: the number of values of eps in a search.
        steps: iterations in an attempt.
        loss: "logit", as in the study, or "cross_entropy".
        norm: the norm of steps and budget: inf, 2 or 1.
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
        """Raises InputError if a setting is out of range."""
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
        # As in the release, `_bounded` may move this point out of the pixel range.
        point = centred(item.image) + state.eta
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
        success = ~jnp.isnan(search.succeeded)
        gradients = 1 + (self.steps - 1) * self.attempts
        return AttackOutcome(
            search.best,
            success,
            *_counts(gradients, self.attempts),
            _details(search.tried, search.succeeded),
        )

    @staticmethod
    def _image(item: AttackItem, state: _State) -> Array:
        return uncentred(_clip(centred(item.image) + state.eta), item)

    def _step(self, item: AttackItem, eps: Array, eta: Array, direction: Array) -> Array:
        """Take a step: clip the pixels first, then bound the perturbation by the budget, as in the
        release.

        In the infinity norm the bound practically never binds.
        """
        clean = centred(item.image)
        return _bounded(_clip(clean + eta + eps / self.steps * direction) - clean, eps, self.norm)

    @staticmethod
    def _next_eps(search: _Search, success: Array) -> _Search:
        """The next eps: the mean of the last success and the last failure.

        Without one of them, half or double the current eps.
        """
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
