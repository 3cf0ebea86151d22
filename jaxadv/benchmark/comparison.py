"""Compares results in another precision with those in the highest, image by image."""

import numpy as np
import pandas as pd

from jaxadv.core import oracle

SEED = 1215
DRAWS = 2000


def rounding(
    exact: oracle.Answer, rough: oracle.Answer, labels: np.ndarray, targets: np.ndarray
) -> dict:
    """Compare two answers of the oracle.

    Args:
        exact: the answers for N images in the highest precision. The gradients are those of the
            margin between the two classes.
        rough: the answers in another precision.
        labels: (N,) the first class of the margin.
        targets: (N,) the second class of the margin.

    Returns:
        The median and the largest error of the margin in logit units, and the median relative L2
        error of the gradient.
    """
    rows = np.arange(len(labels))
    margins = [
        answer.logits[rows, labels] - answer.logits[rows, targets] for answer in (exact, rough)
    ]
    error = np.abs(margins[1] - margins[0])
    right = np.asarray(exact.gradient)
    near = np.asarray(rough.gradient)
    axes = (1, 2, 3)
    apart = np.sqrt(np.square(near - right).sum(axes) / np.square(right).sum(axes))
    return {
        "margin_error": float(np.median(error)),
        "largest_margin_error": float(error.max()),
        "gradient_error": float(np.median(apart)),
    }


def compare(reference: pd.DataFrame, rows: pd.DataFrame, norm: str) -> dict:
    """Compare the results of an attack or of CLEVER.

    Args:
        reference: the results in the highest precision, with the columns image, success, revoked,
            ``norm`` and path.
        rows: the results in another precision, for the same images.
        norm: the column with the distance or the score.

    Returns:
        Counts of images. Of images where both succeeded: the median of the relative changes with
        its 95 percent interval (low, high), and the median of their sizes. Of all images: the share
        with the same values of the searched setting.
    """
    pairs = reference.merge(rows, on="image", suffixes=("_before", ""), validate="one_to_one")
    before = pairs["success_before"].astype(bool)
    after = pairs["success"].astype(bool)
    both = pairs[before & after]
    old = both[f"{norm}_before"].to_numpy(float)
    new = both[norm].to_numpy(float)
    change = (new / old - 1)[old > 0]
    low, high = _interval(change)
    return {
        "images": len(pairs),
        "successes": int(after.sum()),
        "changed": int((before != after).sum()),
        "lost": int((before & ~after).sum()),
        "revoked": int(pairs["revoked"].astype(bool).sum()),
        "median_change": float(np.median(change)) if len(change) else np.nan,
        "low": low,
        "high": high,
        "median_size": float(np.median(np.abs(change))) if len(change) else np.nan,
        "same_path": float((pairs["path_before"].fillna("") == pairs["path"].fillna("")).mean()),
    }


def _interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 percent bootstrap interval of the median; NaN without values."""
    if not len(values):
        return np.nan, np.nan
    draws = np.random.default_rng(SEED).choice(values, (DRAWS, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)
