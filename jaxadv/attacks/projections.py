"""Projections of one image's perturbation, exact to rounding.

None sorts, which is slow on a processor. The multiplier of a piecewise linear equation is found by
Newton's steps; the bracket is halved where a step would leave it. A threshold is a value of the
image, and its bits are found one by one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

STEPS = {np.dtype("float32"): 40, np.dtype("float64"): 70}
"""Steps of `_multiplier` at most. About ten are usual."""
NEGLIGIBLE = 1e-8
"""Share of the largest weight below which a weight counts as zero, in the norms 1 and 2."""


def length(values: Array, norm: float) -> Array:
    """The norm of all values of an array, (): norm is 0 (number of nonzero values), 1, 2 or inf."""
    if norm == 0:
        return jnp.sum(values != 0).astype(values.dtype)
    if norm == 1:
        return jnp.sum(jnp.abs(values))
    if norm == 2:
        return jnp.sqrt(jnp.sum(values * values))
    return jnp.max(jnp.abs(values))


def unit(gradient: Array) -> Array:
    """The gradient over its L2 norm; zeros stay zeros. It is scaled first: no square vanishes."""
    gradient = jnp.nan_to_num(gradient)
    largest = jnp.max(jnp.abs(gradient))
    scaled = gradient / jnp.where(largest > 0, largest, jnp.ones_like(largest))
    size = length(scaled, 2)
    return scaled / jnp.where(size > 0, size, jnp.ones_like(size))


def onto_l1_ball(values: Array, radius: Array) -> Array:
    """The nearest point with ||d||_1 <= radius (Duchi et al. 2008), by soft thresholding."""
    size = jnp.abs(values)

    def excess(multiplier: Array) -> tuple[Array, Array]:
        left = size - multiplier
        return jnp.sum(jnp.maximum(left, 0)) - radius, jnp.sum(left > 0)

    multiplier = _multiplier(excess, jnp.max(size))
    shrunk = jnp.sign(values) * jnp.maximum(size - multiplier, 0)
    return jnp.where(jnp.sum(size) <= radius, values, shrunk)


def onto_l1_ball_in_box(values: Array, image: Array, radius: Array) -> Array:
    """The nearest d to ``values`` with ||d||_1 <= radius and image + d in [0, 1].

    Croce & Hein 2021, section 3.1.
    """
    size = jnp.abs(values)
    room = jnp.where(values > 0, 1 - image, image)
    capped = jnp.minimum(size, room)

    def excess(multiplier: Array) -> tuple[Array, Array]:
        left = size - multiplier
        moving = (left > 0) & (left < room)
        return jnp.sum(jnp.clip(left, 0, room)) - radius, jnp.sum(moving)

    multiplier = _multiplier(excess, jnp.max(size))
    shrunk = jnp.clip(size - multiplier, 0, room)
    return jnp.sign(values) * jnp.where(jnp.sum(capped) <= radius, capped, shrunk)


def onto_l0_ball(values: Array, count: Array) -> Array:
    """The ``count`` largest values, ties kept, and one at least. The others become zero.

    count: () int32.
    """
    size = jnp.abs(values)
    return jnp.where(
        size >= kth_largest(size, jnp.maximum(count, 1)), values, jnp.zeros_like(values)
    )


def kth_largest(values: Array, rank: Array) -> Array:
    """The ``rank``-th largest of nonnegative values, (). rank: () int32, from 1."""
    return _largest_threshold(values, lambda kept: jnp.sum(kept) >= rank)


def to_hyperplane(point: Array, normal: Array, excess: Array, norm: float) -> Array:
    """The smallest d with normal . d = -excess and point + d in [0, 1] (FAB, section 3.1).

    Where the box is too small for that, d goes to the corner that comes nearest.

    Args:
        point: (H, W, 3) in [0, 1].
        normal: (H, W, 3), of the hyperplane.
        excess: (), normal . point minus the hyperplane's offset.
        norm: of d, 1, 2 or inf. In 1 and 2 weights below NEGLIGIBLE of the largest count as zero.
            The reference's limit is 1e-8 itself. A network whose logits are divided by a large
            number would then have no weights left.
    """
    scale = jnp.max(jnp.abs(normal))
    scale = jnp.where(scale > 0, scale, jnp.ones_like(scale))
    towards = jnp.where(excess < 0, -normal, normal) / scale
    need = jnp.abs(excess) / scale
    weight = jnp.abs(towards)
    if norm != np.inf:
        weight = jnp.where(weight > NEGLIGIBLE, weight, jnp.zeros_like(weight))
    room = jnp.where(towards > 0, point, jnp.where(towards < 0, 1 - point, jnp.zeros_like(point)))
    move = {1: _steepest_first, 2: _in_proportion, np.inf: _evenly}[norm](weight, room, need)
    return -jnp.sign(towards) * jnp.where(jnp.sum(weight * room) <= need, room, move)


def _evenly(weight: Array, room: Array, need: Array) -> Array:
    """min(multiplier, room) with sum weight . move = need."""

    def excess(multiplier: Array) -> tuple[Array, Array]:
        return need - jnp.sum(weight * jnp.minimum(multiplier, room)), jnp.sum(
            jnp.where(room > multiplier, weight, jnp.zeros_like(weight))
        )

    return jnp.minimum(_multiplier(excess, jnp.max(room)), room)


def _in_proportion(weight: Array, room: Array, need: Array) -> Array:
    """min(multiplier * weight, room) with sum weight . move = need."""
    square = weight * weight

    def excess(multiplier: Array) -> tuple[Array, Array]:
        grown = multiplier * weight
        slope = jnp.sum(jnp.where(grown < room, square, jnp.zeros_like(square)))
        return need - jnp.sum(weight * jnp.minimum(grown, room)), slope

    high = jnp.max(
        jnp.where(
            weight > 0,
            room / jnp.where(weight > 0, weight, jnp.ones_like(weight)),
            jnp.zeros_like(weight),
        )
    )
    return jnp.minimum(_multiplier(excess, high) * weight, room)


def _steepest_first(weight: Array, room: Array, need: Array) -> Array:
    """The largest weights go all the way; those at the threshold share what is left."""
    gain = weight * room
    threshold = _largest_threshold(
        weight, lambda kept: jnp.sum(jnp.where(kept, gain, jnp.zeros_like(gain))) >= need
    )
    above, at = weight > threshold, weight == threshold
    zeros = jnp.zeros_like(gain)
    left, there = need - jnp.sum(jnp.where(above, gain, zeros)), jnp.sum(jnp.where(at, gain, zeros))
    share = jnp.clip(left / jnp.where(there > 0, there, jnp.ones_like(there)), 0, 1)
    return jnp.where(above, room, jnp.where(at, share * room, zeros))


def _multiplier(excess: Callable[[Array], tuple[Array, Array]], high: Array) -> Array:
    """The zero of a piecewise linear function that falls from 0 to ``high``.

    excess: gives the function's value and the size of its slope.
    """

    def narrow(state: tuple[Array, ...]) -> tuple[Array, ...]:
        step, low, high, present, _ = state
        value, slope = excess(present)
        low, high = jnp.where(value > 0, present, low), jnp.where(value > 0, high, present)
        slope = slope.astype(present.dtype)
        following = present + value / jnp.where(slope > 0, slope, jnp.ones_like(slope))
        inside = (slope > 0) & (following > low) & (following < high)
        settled = (value == 0) | (following == present)
        following = jnp.where(
            settled, present, jnp.where(inside, following, low + (high - low) / 2)
        )
        return step + 1, low, high, following, settled | (following == present)

    def goes_on(state: tuple[Array, ...]) -> Array:
        return ~state[-1] & (state[0] < STEPS[high.dtype])

    zero = jnp.zeros_like(high)
    return jax.lax.while_loop(goes_on, narrow, (jnp.int32(0), zero, high, zero, jnp.array(False)))[
        3
    ]


def _largest_threshold(values: Array, enough: Callable[[Array], Array]) -> Array:
    """The largest t such that the values of at least t are ``enough``; 0 if all are not.

    The values are not negative. Such numbers are ordered as their bits are, so the bits of t are
    found from the highest on.
    """
    bits = {4: jnp.int32, 8: jnp.int64}[values.dtype.itemsize]
    whole = jax.lax.bitcast_convert_type(values, bits)

    def decide(number: Array, threshold: Array) -> Array:
        tried = threshold | (jnp.ones((), bits) << (highest - number).astype(bits))
        return jnp.where(enough(whole >= tried), tried, threshold)

    highest = 8 * values.dtype.itemsize - 2  # below the sign
    threshold = jax.lax.fori_loop(0, highest + 1, decide, jnp.zeros((), bits))
    return jax.lax.bitcast_convert_type(threshold, values.dtype)
