"""The search that C&W and EAD share: over the constant c by bisection, and within each c over iterations until they stall."""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
from jax import Array

from jaxadv.core.probe import AttackItem, AttackOutcome, select
from jaxadv.support import checks

NO_UPPER = 1e10  # the release's "no upper bound yet"
STALLED = 0.9999  # abort early when the loss stays above this share of what it was a tenth of the iterations ago


class ConstantSearch(NamedTuple):
    """Where the search stands, and the best success so far."""

    const: Array  # () float32, the present c
    lower: Array  # () float32
    upper: Array  # () float32
    step: Array  # () int32, binary-search steps finished
    iteration: Array  # () int32, within the present step
    previous: Array  # () float32, loss at the last stall check
    found_in_step: Array  # () bool
    found: Array  # () bool, in any step
    best: Array  # (H, W, 3) float32, least distance of all successes; the clean image before any
    best_distance: Array  # () float32, in the attack's own measure
    best_const: Array  # () float32, c of the step that gave it; the initial c before any
    consts: Array  # (search_steps,) float32, c of every step
    iterations: Array  # (search_steps,) int32, iterations run in every step


class HasConstantSearch(Protocol):
    """The settings that both attacks have."""

    @property
    def confidence(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def search_steps(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def initial_const(self) -> float: ...


def check(attack: HasConstantSearch) -> None:
    """The settings that both attacks have. Raises InputError for one out of range."""
    checks.number("confidence", attack.confidence, low=0)
    checks.count("steps", attack.steps)
    checks.count("search_steps", attack.search_steps)
    checks.number("learning_rate", attack.learning_rate, low=0, above=True)
    checks.number("initial_const", attack.initial_const, low=0, above=True)


def start(item: AttackItem, initial_const: Array | float, search_steps: int) -> ConstantSearch:
    """The search before its first evaluation."""
    const = jnp.asarray(initial_const, jnp.float32)
    zero = jnp.int32(0)
    false = jnp.array(False)
    return ConstantSearch(
        const=const,
        lower=jnp.float32(0),
        upper=jnp.float32(NO_UPPER),
        step=zero,
        iteration=zero,
        previous=jnp.float32(1e6),
        found_in_step=false,
        found=false,
        best=item.image,
        best_distance=jnp.float32(NO_UPPER),
        best_const=const,
        consts=jnp.full(search_steps, jnp.nan, jnp.float32),
        iterations=jnp.zeros(search_steps, jnp.int32),
    )


def observe(
    search: ConstantSearch,
    *,
    loss: Array,
    success: Array,
    distance: Array,
    image: Array,
    steps: int,
    abort_early: bool,
) -> tuple[ConstantSearch, Array]:
    """Take in one candidate; returns the search and whether this ended a binary-search step (the next then begins).

    As released: every steps // 10 iterations, from the first on, the step ends if the loss is above 0.9999 of the last check's;
    that check comes before the candidate is judged, so the candidate at the stop is not. The check is each image's own: the
    release's needs all of its batch, which is the same at its batch size of 1.
    """
    stop = jnp.array(False)
    if abort_early:
        due = search.iteration % max(1, steps // 10) == 0
        stop = due & (loss > STALLED * search.previous)
        search = search._replace(previous=jnp.where(due & ~stop, loss, search.previous))
    success = success & ~stop
    better = success & (distance < search.best_distance)
    search = search._replace(
        iteration=search.iteration + 1,
        found_in_step=search.found_in_step | success,
        found=search.found | success,
        best=jnp.where(better, image, search.best),
        best_distance=jnp.where(better, distance, search.best_distance),
        best_const=jnp.where(better, search.const, search.best_const),
    )
    ended = stop | (search.iteration == steps)
    return select(ended, _next_const(search), search), ended


def _next_const(search: ConstantSearch) -> ConstantSearch:
    """Success lowers the upper bound, failure raises the lower one; c becomes their mean, or ten times c without an upper bound.

    Also as released: from ten binary-search steps on, the last step repeats the upper bound.
    """
    success = search.found_in_step
    const = search.const
    search_steps = search.consts.shape[0]
    upper = jnp.where(success, jnp.minimum(search.upper, const), search.upper)
    lower = jnp.where(success, search.lower, jnp.maximum(search.lower, const))
    bounded = upper < NO_UPPER / 10
    following = jnp.where(bounded, (lower + upper) / 2, jnp.where(success, const, const * 10))
    if search_steps >= 10:
        following = jnp.where(search.step + 1 == search_steps - 1, upper, following)
    return search._replace(
        const=following,
        lower=lower,
        upper=upper,
        step=search.step + 1,
        iteration=jnp.int32(0),
        previous=jnp.float32(1e6),
        found_in_step=jnp.array(False),
        consts=search.consts.at[search.step].set(const),
        iterations=search.iterations.at[search.step].set(search.iteration),
    )


def done(search: ConstantSearch) -> Array:
    return search.step >= search.consts.shape[0]


def outcome(search: ConstantSearch, *, forwards_per_iteration: int) -> AttackOutcome:
    """What the attack leaves: details "best_const" (), "const" and "iterations" (search_steps,)."""
    total = jnp.sum(search.iterations)
    details = {
        "best_const": search.best_const,
        "const": search.consts,
        "iterations": search.iterations,
    }
    return AttackOutcome(search.best, search.found, total, forwards_per_iteration * total, details)
