"""The Square attack: random search with square windows, by logits alone.

Andriushchenko et al. 2020, algorithm 1; in L1 Croce & Hein 2021, section 4.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks import windows
from jaxadv.attacks.projections import length, onto_l1_ball_in_box
from jaxadv.core import draws, oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackNeeds,
    AttackOutcome,
    Phase,
    Question,
    Schedule,
    fools,
    settings,
)
from jaxadv.support import checks

NORMS = (1, 2, np.inf)
QUESTION = Phase("question", False)
TILES = 5
"""Tiles in a row of the start in L1 and L2."""
TINY, INSIDE = 1e-12, 1 - 1e-6
"""The second: share of eps that a perturbation in L1 has, so that rounding keeps it within."""


class _State(NamedTuple):
    key: Array  # (2,) uint32, of this item
    point: Array  # (H, W, 3), the best so far
    candidate: Array  # (H, W, 3), what is asked about
    margin: Array  # (), at the best point, of the label, or minus that of the target
    asked: Array  # () int32, questions that are answered
    fooled: Array  # () bool


@settings(data=("eps",), static=("norm", "queries", "p_init", "rescale"))
@dataclass(frozen=True)
class Square:
    """Lower the label's margin within distance eps of the image and within the box; a fixed budget.

    Args:
        eps: radius of the ball, in pixel units of range 1.
        norm: of the ball: inf, 2 or 1.
        queries: iterations at most, each a pass of the logits, after that of the start. The first
            image that fools ends them.
        p_init: share of the pixels that the first windows cover.
        rescale: whether the windows shrink over ``queries`` iterations as they would over 10,000.
            AutoAttack's do not: they shrink by the number of the iteration alone.

    Each image has windows of its own. The reference's are shared by the images of a batch.
    The image that is left is the one of the least margin. details: "margin" (), of that image.
    """

    eps: float
    norm: float = np.inf
    queries: int = 5000
    p_init: float = 0.8
    rescale: bool = True

    @property
    def searches(self) -> bool:
        return False

    @property
    def needs(self) -> AttackNeeds:
        return AttackNeeds(draw=True)

    @property
    def schedule(self) -> Schedule:
        return Schedule((), (QUESTION,), None, most=self.queries + 1)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.number("eps", self.eps, low=0, above=True)
        checks.choice("norm", self.norm, NORMS)
        checks.count("queries", self.queries)
        checks.number("p_init", self.p_init, low=0, high=1, above=True)
        checks.choice("rescale", self.rescale, (True, False))

    def init(self, item: AttackItem) -> _State:
        if item.draw is None:
            raise TypeError("this item has no draw, which Square needs")
        key = draws.key(item.draw.seed, item.draw.image_id)
        first = draws.fold(key, jnp.int32(0))
        start = self._stripes(item, first) if self.norm == np.inf else self._tiles(item, first)
        worst = jnp.full((), jnp.inf, item.image.dtype)
        return _State(key, item.image, start, worst, jnp.int32(0), jnp.array(False))

    def ask(self, item: AttackItem, state: _State, phase: Phase, num_classes: int) -> Question:
        return state.candidate, oracle.linear(jnp.zeros(num_classes, jnp.float32))

    def tell(self, item: AttackItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        margin = oracle.margin(answer.logits, item.label)
        margin = jnp.where(item.targeted, -margin, margin)
        is_better = (state.asked == 0) | (margin < state.margin) | (margin <= 0)
        point = jnp.where(is_better, state.candidate, state.point)
        side, key = self._side(item, state.asked), draws.fold(state.key, state.asked + 1)
        move = self._move_in_linf if self.norm == np.inf else self._move_mass
        return _State(
            key=state.key,
            point=point,
            candidate=move(item, point, side, key),
            margin=jnp.where(is_better, margin, state.margin),
            asked=state.asked + 1,
            fooled=fools(answer.logits, item),
        )

    def done(self, state: _State) -> Array:
        return state.fooled | (state.asked > self.queries)

    def result(self, item: AttackItem, state: _State) -> AttackOutcome:
        details = {"margin": state.margin}
        return AttackOutcome(state.point, jnp.array(True), jnp.int32(0), state.asked, details)

    def _side(self, item: AttackItem, iteration: Array) -> Array:
        """Of the windows of an iteration, () int32."""
        schedule = windows.sides(
            item.image.shape[0],
            self.queries,
            self.p_init,
            odd=self.norm != np.inf,
            rescale=self.rescale,
        )
        firsts, sides = (jnp.array(column, jnp.int32) for column in zip(*schedule, strict=True))
        return sides[jnp.sum(iteration >= firsts) - 1]

    def _stripes(self, item: AttackItem, key: Array) -> Array:
        """The start in the infinity norm: a sign for each column and channel."""
        _, width, channels = item.image.shape
        signs = draws.signs(key, width * channels).reshape(1, width, channels)
        return jnp.clip(item.image + self.eps * signs.astype(item.image.dtype), 0, 1)

    def _tiles(self, item: AttackItem, key: Array) -> Array:
        """The start in L1 and L2: a pair of peaks in each of 5 x 5 tiles, with a sign for each
        channel.
        """
        size, _, channels = item.image.shape
        tiles, side = min(TILES, size), max(size // TILES, 1)
        drawn = draws.uniform_numbers(key, tiles * tiles * (1 + channels)).reshape(tiles**2, -1)
        delta = jnp.zeros_like(item.image)
        margin = (size - tiles * side) // 2
        for number in range(tiles * tiles):
            row, column = (jnp.int32(margin + place * side) for place in divmod(number, tiles))
            rows, columns, _ = windows.window(row, column, jnp.int32(side), size)
            turned, signs = drawn[number, 0] < 0.5, _signs(drawn[number, 1:])
            pair = windows.peaks(rows, columns, jnp.int32(side), turned, size, self.norm)
            delta = delta + (pair[:, :, None] * signs[None, None]).astype(delta.dtype)
        return self._scaled(item, delta)

    def _move_in_linf(self, item: AttackItem, point: Array, side: Array, key: Array) -> Array:
        """A window where each channel goes to one end of its range."""
        size, _, channels = item.image.shape
        drawn = draws.uniform_numbers(key, 2 + channels)
        row, column = (windows.place(number, side, size) for number in drawn[:2])
        _, _, inside = windows.window(row, column, side, size)
        change = (2 * self.eps * _signs(drawn[2:])[None, None]).astype(point.dtype)
        moved = jnp.where(inside[:, :, None], point + change, point)
        return jnp.clip(jnp.clip(moved, item.image - self.eps, item.image + self.eps), 0, 1)

    def _move_mass(self, item: AttackItem, point: Array, side: Array, key: Array) -> Array:
        """Move what there is in one window into another, with a pair of peaks and what is left."""
        size, _, channels = item.image.shape
        drawn = draws.uniform_numbers(key, 5 + channels)
        places = [windows.place(number, side, size) for number in drawn[:4]]
        rows, columns, here = windows.window(places[0], places[1], side, size)
        _, _, there = windows.window(places[2], places[3], side, size)
        here, there = here[:, :, None], there[:, :, None]
        pair = windows.peaks(rows, columns, side, drawn[4] < 0.5, size, self.norm)[:, :, None]

        delta = point - item.image
        spare = (
            self.eps**2 - jnp.sum(delta * delta) if self.norm == 2 else self.eps - length(delta, 1)
        )
        each = 1 / channels if self.norm == 2 else channels  # in L1 too much, and then projected
        taken = jnp.maximum(spare, 0) * each
        taken = taken + self._sizes(jnp.where(here | there, delta, jnp.zeros_like(delta)))
        old = jnp.where(here, delta, jnp.zeros_like(delta))
        signs = _signs(drawn[5:])[None, None]
        new = (pair * signs).astype(delta.dtype) + old / (TINY + self._root(self._sizes(old)))
        new = new / (TINY + self._root(self._sizes(new))) * self._root(taken)
        emptied = jnp.where(there, jnp.zeros_like(delta), delta)
        return self._scaled(item, jnp.where(here, new, emptied))

    def _scaled(self, item: AttackItem, delta: Array) -> Array:
        """The image with the perturbation scaled to norm eps, in L1 projected, within the box."""
        if self.norm == 1:
            radius = jnp.asarray(self.eps * INSIDE, delta.dtype)
            return jnp.clip(item.image + onto_l1_ball_in_box(delta, item.image, radius), 0, 1)
        return jnp.clip(item.image + self.eps * delta / (length(delta, 2) + TINY), 0, 1)

    def _sizes(self, values: Array) -> Array:
        """Of each channel the sum of squares, in L1 of sizes, (1, 1, C)."""
        sizes = jnp.abs(values) if self.norm == 1 else values * values
        return jnp.sum(sizes, axis=(0, 1), keepdims=True)

    def _root(self, sizes: Array) -> Array:
        """The norms that belong to `_sizes`."""
        return sizes if self.norm == 1 else jnp.sqrt(sizes)


def _signs(uniform: Array) -> Array:
    """+1 or -1, from numbers in [0, 1)."""
    return jnp.where(uniform < 0.5, jnp.float32(-1), jnp.float32(1))
