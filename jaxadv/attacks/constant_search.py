"""The search that C&W and EAD share: bisection over the constant c, and for each c iterations until
the loss stalls.
"""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
from jax import Array

from jaxadv.core.probe import AttackItem, AttackOutcome, select
from jaxadv.support import checks

NO_UPPER = 1e10  # the release's value for "no upper bound yet"
STALLED = (
    0.9999  # abort early if the loss is above this share of the loss a tenth of the iterations ago
)


class ConstantSearch(NamedTuple):
    """The state of the search, and the best success so far."""

    const: Array  # () float32, the current c
    lower: Array  # () float32, the lower bound of c
    upper: Array  # () float32, the upper bound of c
    step: Array  # () int32, finished steps of the binary search
    iteration: Array  # () int32, in the current step
    previous: Array  # () float32, loss at the last stall check
    found_in_step: Array  # () bool, whether the current step has a success
    found: Array  # () bool, whether any step has a success
    # (H, W, 3) float32, the success with the least distance; the clean image before the first
    best: Array
    best_distance: Array  # () float32, by the attack's distance measure
    best_const: Array  # () float32, the c of the best success; the initial c before the first
    consts: Array  # (search_steps,) float32, c of every step
    iterations: Array  # (search_steps,) int32, iterations run in every step


class HasConstantSearch(Protocol):
    """The settings that C&W and EAD have in common."""

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
    """Check the common settings.

    Args:
        attack: the settings.

    Raises:
        InputError: if one is out of range.
    """
    checks.number("confidence", attack.confidence, low=0)
    checks.count("steps", attack.steps)
    checks.count("search_steps", attack.search_steps)
    checks.number("learning_rate", attack.learning_rate, low=0, above=True)
    checks.number("initial_const", attack.initial_const, low=0, above=True)


def start(item: AttackItem, initial_const: Array | float, search_steps: int) -> ConstantSearch:
    """The search before its first evaluation.

    Args:
        item: the item with the clean image.
        initial_const: the first c, positive.
        search_steps: the number of values of c.

    Returns:
        The state of the search.
    """
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
    """Record one candidate.

    As in the release, a stall check runs every steps // 10 iterations, beginning with the first. A
    binary-search step ends if the loss is above 0.9999 of the loss at the last check. The check
    runs before the candidate is judged, so the candidate at a stop does not count. Here each image
    has a separate check. The release checks a whole batch, which is the same at its batch size of
    1.

    Args:
        search: the state of the search.
        loss: () float32, the loss of the candidate.
        success: () bool, whether the candidate fools the model.
        distance: () float32, by the attack's distance measure.
        image: (H, W, 3) float32 in [0, 1], the candidate.
        steps: iterations for each c.
        abort_early: whether the stall check runs.

    Returns:
        The new state, and whether the binary-search step has ended. The state is then at the start
        of the next step.
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
    """Choose the next c.

    A success lowers the upper bound, and a failure raises the lower bound. The next c is their
    mean; without an upper bound it is ten times c. As in the release, with ten or more
    binary-search steps the last step repeats the upper bound.
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
    """() bool, whether all values of c are finished."""
    return search.step >= search.consts.shape[0]


def outcome(search: ConstantSearch, *, forwards_per_iteration: int) -> AttackOutcome:
    """The outcome of the attack.

    Args:
        search: the final state.
        forwards_per_iteration: evaluations of logits alone in an iteration.

    Returns:
        The outcome, with the details "best_const" (), "const" (search_steps,) and "iterations"
        (search_steps,).
    """
    total = jnp.sum(search.iterations)
    details = {
        "best_const": search.best_const,
        "const": search.consts,
        "iterations": search.iterations,
    }
    return AttackOutcome(search.best, search.found, total, forwards_per_iteration * total, details)
