"""What DDN, FMN, PDPGD and ALMA share: a walk of fixed length that keeps the nearest success.

They start at the image. A step evaluates one gradient. The point is judged, and kept if it fools
and is nearer than all before. Then it is moved. So the point after the last step is never judged.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks.projections import length
from jaxadv.core.probe import AttackItem, AttackOutcome, Phase, Schedule

STEP = Phase("step", True)


class Nearest(NamedTuple):
    """The nearest success so far."""

    image: Array  # (H, W, 3), the clean image before any
    distance: Array  # (), in the attack's norm; before any what a success must be nearer than
    found: Array  # () bool
    step: Array  # () int32, steps taken


def schedule(steps: int) -> Schedule:
    """So many gradients."""
    return Schedule((), (STEP,), steps)


def start(item: AttackItem, distance: Array | float) -> Nearest:
    """Before the first step. distance: () what a success must be nearer than."""
    return Nearest(
        item.image, jnp.asarray(distance, item.image.dtype), jnp.array(False), jnp.int32(0)
    )


def farthest(image: Array, norm: float) -> Array:
    """The norm of the longest perturbation within the box, ()."""
    return length(jnp.maximum(image, 1 - image), norm)


def keep(nearest: Nearest, *, image: Array, distance: Array, fooled: Array) -> Nearest:
    """The record after one more step."""
    nearer = fooled & (distance < nearest.distance)
    return Nearest(
        jnp.where(nearer, image, nearest.image),
        jnp.where(nearer, distance, nearest.distance),
        nearest.found | nearer,
        nearest.step + 1,
    )


def outcome(nearest: Nearest) -> AttackOutcome:
    """The nearest success, or the clean image.

    details: "distance" (), in the attack's norm, NaN without a success.
    """
    distance = jnp.where(nearest.found, nearest.distance, jnp.nan)
    return AttackOutcome(
        nearest.image, nearest.found, nearest.step, jnp.int32(0), {"distance": distance}
    )


def away(item: AttackItem) -> Array:
    """(), +1 for an untargeted attack, -1 for a targeted one: the sign of the margin to lower."""
    return jnp.where(item.targeted, -1, 1).astype(item.image.dtype)


def into_box(image: Array, delta: Array) -> Array:
    """The perturbation whose image is clipped to [0, 1]."""
    return jnp.clip(image + delta, 0, 1) - image


def cosine(steps: int, step: Array, dtype: np.dtype) -> Array:
    """(1 + cos(pi i / S)) / 2 at step i of S, (): it falls from 1 to 0."""
    return jnp.asarray([(1 + math.cos(math.pi * i / steps)) / 2 for i in range(steps)], dtype)[step]


def decay(steps: int, step: Array, dtype: np.dtype) -> Array:
    """0.01^(i / S) at step i of S, ()."""
    return jnp.asarray([0.01 ** (i / steps) for i in range(steps)], dtype)[step]
