"""The fast gradient sign method and its iterated form, in the infinity norm, with a fixed budget or a search for the smallest.

The loss J is, as the study ran it ("logit"), minus the logit of the label: untargeted attacks descend Z_y, targeted ones
ascend Z_t. "cross_entropy" is the textbook's J. Its release fed softmax outputs to a second softmax there; that is not copied.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxadv import checks, oracle
from jaxadv.probe import AttackItem, AttackOutcome, Phase, Schedule, centred, fools, settings, uncentred

LOSSES = ("logit", "cross_entropy")
FIRST, STEP, JUDGE = Phase("first", True), Phase("step", True), Phase("judge", False)


def _ascend(item: AttackItem, loss: str, num_classes: int) -> oracle.Objective:
    """The objective whose ascent fools the model: +Z_t or -Z_y, or the cross-entropy with its sign."""
    if loss == "logit":
        one_hot = jax.nn.one_hot(item.label, num_classes, dtype=jnp.float32)
        return oracle.linear(jnp.where(item.targeted, one_hot, -one_hot))
    return oracle.cross_entropy(item.label, jnp.where(item.targeted, jnp.float32(-1), jnp.float32(1)), num_classes)


def _sign(gradient: Array) -> Array:
    """sign(gradient), with sign(0) = 0, and 0 where the gradient is not a number: such a pixel stays."""
    return jnp.where(jnp.isnan(gradient), jnp.zeros_like(gradient), jnp.sign(gradient))


def _clip(point: Array) -> Array:
    """To the study's pixel range."""
    return jnp.clip(point, -0.5, 0.5)


@settings(data=("eps",), static=("loss",))
@dataclass(frozen=True)
class FGSM:
    """x = clip(x0 + eps * sign(grad J)), one gradient.

    eps: step in pixel units, range 1. loss: "logit" (as the study ran it) or "cross_entropy".
    """

    eps: float
    loss: str = "logit"

    @property
    def schedule(self) -> Schedule:
        return Schedule((FIRST,), (), 0)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.number("eps", self.eps, low=0, above=True)
        checks.choice("loss", self.loss, LOSSES)

    def init(self, item: AttackItem) -> Array:
        return item.image

    def ask(self, item, state, phase, num_classes):
        return item.image, _ascend(item, self.loss, num_classes)

    def tell(self, item, state, answer, phase) -> Array:
        return uncentred(_clip(centred(item.image) + self.eps * _sign(answer.gradient)), item)

    def result(self, item, state) -> AttackOutcome:
        return AttackOutcome(state, jnp.array(True), jnp.int32(1), jnp.int32(0), {})


class _Search(NamedTuple):
    eps: Array  # () float32, the eps of the present attempt
    failed: Array  # () float32, the last eps that failed, NaN before
    succeeded: Array  # () float32, the last eps that succeeded, NaN before
    attempt: Array  # () int32
    tried: Array  # (attempts,) float32
    best: Array  # (H, W, 3) float32, the last success; it is the smallest, since the bracket only shrinks


class _State(NamedTuple):
    first: Array  # (H, W, 3) float32, sign of the gradient at the clean image: the first step of every attempt
    eta: Array  # (H, W, 3) float32, the perturbation so far
    search: _Search


@settings(data=("eps", "initial_eps"), static=("steps", "attempts", "loss"))
@dataclass(frozen=True)
class IFGSM:
    """Iterated FGSM with step alpha = eps / steps; the last iterate counts, there is no random start and no early stop.

    Either ``eps`` (one attempt, a fixed budget) or ``initial_eps`` (search for the smallest eps that succeeds: per image, eps
    doubles until a success, halves until a failure, then bisects, ``attempts`` values in all). Pixel units, range 1.
    details: "eps" (attempts,), every value tried; "best_eps" (), the smallest that succeeded, NaN if none did (a fixed budget's own).
    """

    eps: float | None = None
    initial_eps: float | None = None
    attempts: int = 9
    steps: int = 50
    loss: str = "logit"

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
        checks.number(name, getattr(self, name), low=0, above=True)
        checks.count("attempts", self.attempts)
        checks.count("steps", self.steps)
        checks.choice("loss", self.loss, LOSSES)

    def init(self, item: AttackItem) -> _State:
        zeros = jnp.zeros_like(item.image)
        nan = jnp.float32(jnp.nan)
        eps = jnp.asarray(self.initial_eps if self.searches else self.eps, jnp.float32)
        attempts = self.attempts if self.searches else 1
        search = _Search(eps, nan, nan, jnp.int32(0), jnp.full(attempts, nan, jnp.float32), item.image)
        return _State(zeros, zeros, search)

    def ask(self, item, state, phase, num_classes):
        return self._image(item, state), _ascend(item, self.loss, num_classes)

    def tell(self, item, state, answer, phase) -> _State:
        if phase == FIRST:
            state = state._replace(first=_sign(answer.gradient))
            return state._replace(eta=self._step(item, state.search.eps, jnp.zeros_like(state.eta), state.first))
        if phase == STEP:
            return state._replace(eta=self._step(item, state.search.eps, state.eta, _sign(answer.gradient)))
        success = fools(answer.logits, item)
        search = self._next_eps(state.search, success)
        search = search._replace(best=jnp.where(success, self._image(item, state), search.best))
        return state._replace(search=search, eta=self._step(item, search.eps, jnp.zeros_like(state.eta), state.first))

    def result(self, item, state) -> AttackOutcome:
        search = state.search
        if not self.searches:
            tried = search.tried.at[0].set(search.eps)
            return AttackOutcome(self._image(item, state), jnp.array(True), *_counts(self.steps, 0), _details(tried, search.eps))
        found = ~jnp.isnan(search.succeeded)
        gradients = 1 + (self.steps - 1) * self.attempts
        return AttackOutcome(search.best, found, *_counts(gradients, self.attempts), _details(search.tried, search.succeeded))

    @staticmethod
    def _image(item, state) -> Array:
        return uncentred(_clip(centred(item.image) + state.eta), item)

    def _step(self, item, eps, eta, sign) -> Array:
        """Pixels are clipped first, then the perturbation to the budget, which practically never binds (as released)."""
        clean = centred(item.image)
        return jnp.clip(_clip(clean + eta + eps / self.steps * sign) - clean, -eps, eps)

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
