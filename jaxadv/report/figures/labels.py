"""Where the names of points go, so that none covers another, a point, or the frame."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_REACHES = np.array(
    [0.0, 3, 8, 15, 24, 36, 50, 68, 90, 120, 160, 210]
)  # between a point's edge and its name
_ROUNDS = 4


def place(
    points, sizes, *, bounds, radius: float, avoid=(), weights: ArrayLike = 1.0, gap: float = 2.0
) -> np.ndarray:
    """Lower left corners (N, 2) of the boxes of N names; NaN for a name that fits nowhere.

    Each name in turn, the most crowded first, takes the cheapest place that is left. A place is
    cheap near its point, off the boxes to avoid, and if its leader crosses no other name. A few
    more rounds follow.

    Args:
        points: (N, 2), what is named. All lengths are in one unit.
        sizes: (N, 2), widths and heights of the boxes.
        bounds: (left, bottom, right, top) of the frame.
        radius: of the marks at the points, which no box covers.
        avoid: (K, 4), boxes that are covered only if nothing else is left.
        weights: (K,), the cost of covering them.
        gap: the least distance of two boxes.
    """
    points, sizes = (
        np.asarray(points, float).reshape(-1, 2),
        np.asarray(sizes, float).reshape(-1, 2),
    )
    avoid = np.asarray(avoid, float).reshape(-1, 4)
    costs = np.broadcast_to(weights, len(avoid))
    marks = np.concatenate([points - radius, points + radius], axis=1)
    frame = _Frame(bounds, radius, marks, avoid, costs, gap)
    corners = np.full(points.shape, np.nan)
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    crowded = np.argsort(-(1 / (distances + 1)).sum(1), kind="stable")
    for _ in range(_ROUNDS):
        before = corners.copy()
        for number in crowded:
            others = np.delete(corners, number, axis=0)
            there = ~np.isnan(others[:, 0])
            taken = np.concatenate([others, others + np.delete(sizes, number, axis=0)], axis=1)[
                there
            ]
            leaders = np.stack(
                [np.delete(points, number, axis=0)[there], taken.reshape(-1, 2, 2).mean(1)], axis=1
            )
            corners[number] = _best(
                points[number], sizes[number], frame, taken=taken, leaders=leaders
            )
        if np.array_equal(before, corners, equal_nan=True):
            break
    return corners


class _Frame(NamedTuple):
    """What all names have in common; see `place`."""

    bounds: Sequence[float]
    radius: float
    marks: np.ndarray  # (N, 4), boxes of the points
    avoid: np.ndarray  # (K, 4)
    weights: np.ndarray  # (K,)
    gap: float


def _best(
    point: np.ndarray, size: np.ndarray, frame: _Frame, *, taken: np.ndarray, leaders: np.ndarray
) -> np.ndarray:
    """The cheapest free corner for one name, or NaN. taken (T, 4), leaders (T, 2, 2): boxes and
    lines of names that have a place.
    """
    marks, avoid, gap = frame.marks, frame.avoid, frame.gap
    direction = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
    # As far along each direction as makes the box just touch the mark, then further out.
    touch = np.min(
        np.where(
            abs(direction) > 1e-9,
            (size / 2 + frame.radius) / np.maximum(abs(direction), 1e-9),
            np.inf,
        ),
        axis=1,
    )
    reach = (touch[:, None] + _REACHES).ravel()
    centres = point + np.repeat(direction, len(_REACHES), axis=0) * reach[:, None]
    boxes = np.concatenate([centres - size / 2, centres + size / 2], axis=1)
    inside = (boxes[:, :2] >= np.array(frame.bounds[:2]) + gap).all(1) & (
        boxes[:, 2:] <= np.array(frame.bounds[2:]) - gap
    ).all(1)
    wide = boxes + np.array([-gap, -gap, gap, gap])
    free = (
        inside
        & ~overlap(wide, taken).astype(bool).any(1)
        & ~overlap(boxes, marks).astype(bool).any(1)
    )
    if not free.any():
        return np.full(2, np.nan)
    boxes, centres = boxes[free], centres[free]
    cost = np.tile(_REACHES, len(_ANGLES))[free].copy()
    cost += (
        3.0 * (overlap(boxes, avoid) @ frame.weights) / size[1]
    )  # the length of what is covered, about
    own = np.stack([np.broadcast_to(point, centres.shape), centres], axis=1)
    cost += (
        60.0 * _cross(own, taken).sum(1)
        + 60.0 * _cross(leaders, boxes).sum(0)
        + 40.0 * _cross(own, marks, past=point).sum(1)
    )
    return boxes[np.argmin(cost), :2]


def overlap(boxes, others) -> np.ndarray:
    """Areas (B, O) that boxes (B, 4) and others (O, 4), as (left, bottom, right, top), have in
    common.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.prod(np.maximum(high - low, 0), axis=2)


def _cross(lines, boxes, past=None) -> np.ndarray:
    """Whether lines (L, 2, 2) run through boxes (B, 4), (L, B); boxes around ``past`` do not count."""
    begin, way = lines[:, None, 0], lines[:, None, 1] - lines[:, None, 0]
    way = np.where(way == 0, 1e-9, way)  # a line that is parallel to an axis
    # Each axis lets a line into a box and out of it, as shares of its way.
    first, second = (boxes[None, :, :2] - begin) / way, (boxes[None, :, 2:] - begin) / way
    enters = np.minimum(first, second).max(2)
    leaves = np.maximum(first, second).min(2)
    met = np.maximum(enters, 0) < np.minimum(leaves, 1)
    if past is not None:
        met &= ~((past > boxes[:, :2]) & (past < boxes[:, 2:])).all(1)
    return met
