"""What the Square attack puts into its windows (Andriushchenko et al. 2020, sections 3.3 and 3.4).

Sides and places are data, so windows are masks over the whole image.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks.projections import length

CHANGES = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The last iterations at which a window covers p_init of the pixels, p_init / 2, p_init / 4, ..."""
USUAL = 10000
"""The number of iterations that this schedule is for."""


def sides(
    size: int, queries: int, p_init: float, *, odd: bool, rescale: bool
) -> list[tuple[int, int]]:
    """(the first iteration from 0, the side of the window from there on), for square images.

    Args:
        size: of the images, in pixels.
        queries: iterations.
        p_init: share of the pixels that the first window covers.
        odd: whether the window has a middle: the side is then odd and 3 at least.
        rescale: whether the schedule is stretched from its 10,000 iterations to ``queries``.
    """
    schedule: list[tuple[int, int]] = []
    for iteration in range(queries):
        usual = int(iteration / queries * USUAL) if rescale else iteration
        share = p_init / 2 ** sum(usual > last for last in CHANGES)
        side = max(round(math.sqrt(share * size * size)), 3 if odd else 1)
        side = min(side + 1 if odd and side % 2 == 0 else side, size)
        if not schedule or schedule[-1][1] != side:
            schedule.append((iteration, side))
    return schedule


def place(uniform: Array, side: Array, size: int) -> Array:
    """The first row or column of a window, () int32, from a number in [0, 1).

    As in the reference's code the last possible place is never taken.
    """
    return jnp.floor(uniform * (size - side).astype(uniform.dtype)).astype(jnp.int32)


def window(row: Array, column: Array, side: Array, size: int) -> tuple[Array, Array, Array]:
    """Of each pixel its row and column within a window, and whether it is in it, each (H, W)."""
    every = jnp.arange(size)
    rows = jnp.broadcast_to((every - row)[:, None], (size, size))
    columns = jnp.broadcast_to((every - column)[None, :], (size, size))
    return rows, columns, (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)


def peaks(
    rows: Array, columns: Array, side: Array, turned: Array, size: int, norm: float = 2
) -> Array:
    """A positive peak beside a negative one, of norm 1 in all, (H, W); 0 outside the window.

    Section 3.4, equation 2, with rows for columns where ``turned``. rows, columns: of `window`.
    norm: 2 or 1.
    """
    rows, columns = jnp.where(turned, columns, rows), jnp.where(turned, rows, columns)
    half = side // 2
    upper = _peak(rows, columns, half, side, size, norm)
    lower = _peak(rows - half, columns, side - half, side, size, norm)
    both = upper - lower
    return both / length(both, norm)


def _peak(
    rows: Array, columns: Array, height: Array, width: Array, size: int, norm: float
) -> Array:
    """Nested rectangles with heights 1, 1/4, 1/9, ... around a middle, of norm 1, or zeros.

    In L1 the heights are the squares of these.
    A pixel at distance m from the middle is in the rectangles from the m-th on.
    """
    heights = 1 / np.arange(1.0, size + 2) ** (4 if norm == 1 else 2)
    sums = np.concatenate([[0.0], np.cumsum(heights)])
    # By number of the last rectangle and distance, subtracted in double precision.
    tails = jnp.asarray((sums[1 : size // 2 + 2, None] - sums[None, : size + 1]), jnp.float32)
    last = jnp.maximum(height // 2, width // 2)
    distance = jnp.maximum(jnp.abs(rows - height // 2), jnp.abs(columns - width // 2))
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    value = tails[last, jnp.minimum(distance, size)]
    value = jnp.where(inside, value, jnp.zeros_like(value))
    whole = length(value, norm)
    return value / jnp.where(whole > 0, whole, jnp.ones_like(whole))
