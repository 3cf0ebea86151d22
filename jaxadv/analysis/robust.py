"""Robust accuracy at a budget, whole curves of it, and how near an attack comes to the best that is
known. NumPy, float64.

A distance is that of the nearest image that fools: 0 for an image that is wrong when clean,
infinite for one that no attack fooled.
"""

from typing import NamedTuple

import numpy as np

from jaxadv.analysis.intervals import rate_interval

ROUNDING = 1e-6
"""Share of a budget by which a distance in float32 may exceed it and still be within."""


class Curve(NamedTuple):
    """Robust accuracy against the budget: constant from each budget to the next."""

    eps: np.ndarray  # (P,), rising, the first 0: from here on
    robust: np.ndarray  # (P,) share of the images whose distance is larger
    low: np.ndarray  # (P,) this and the next: ends of the 95 % interval of each share (Wilson)
    high: np.ndarray


def robust_at(distances: np.ndarray, eps: float) -> int:
    """How many images no distance within ``eps`` fools. distances: (N,)."""
    return int((np.asarray(distances, np.float64) > eps * (1 + ROUNDING)).sum())


def curve(distances: np.ndarray) -> Curve:
    """The curve of the distances (N,) of all images, those that are wrong when clean among them."""
    distances = np.asarray(distances, np.float64)
    steps = np.unique(np.concatenate([[0.0], distances[np.isfinite(distances)]]))
    fooled = np.searchsorted(np.sort(distances), steps, side="right")
    robust = len(distances) - fooled
    low, high = rate_interval(robust, np.full(len(steps), len(distances)))
    share = robust / len(distances) if len(distances) else np.full(len(steps), np.nan)
    return Curve(steps, share, low, high)


def optimality(distances: np.ndarray, best: np.ndarray) -> float:
    """AttackBench's local optimality (Cina et al. 2025) of an attack: 1 for the best known
    distances.

    It is 1 - (A - B) / (W - B). A and B are the areas under the attack's curve and under that of
    the best distances, up to the largest of those; W is that of no attack. So it is 0 for an attack
    that fools nobody. The areas are exact; AttackBench's program takes the trapezoidal rule for
    them. Images that are wrong when clean add the same to all areas, and are left out.

    Args:
        distances: (N,) of the attack, in the norm that it makes small.
        best: (N,) the least distances known of the same images, at most those.

    Returns:
        At most 1; NaN where no image has a finite best.
    """
    distances, best = (np.asarray(each, np.float64) for each in (distances, best))
    known = best[np.isfinite(best)]
    if not len(known):
        return np.nan
    widest = known.max()
    area, least = (np.minimum(each, widest).sum() for each in (distances, best))
    worst = widest * len(best)
    return 1.0 if area == least else float(1 - (area - least) / (worst - least))
