"""What became of answers, image by image, in another precision."""

import numpy as np
import pandas as pd

from jaxadv.core import oracle

SEED = 1215
DRAWS = 2000


def rounding(
    exact: oracle.Answer, rough: oracle.Answer, labels: np.ndarray, targets: np.ndarray
) -> dict:
    """Errors of the margin between two classes, in logit units, and of the gradient, relative.

    Args:
        exact, rough: answers of N images, the gradients of that margin.
        labels, targets: (N,) the two classes.
    """
    rows = np.arange(len(labels))
    margins = [
        answer.logits[rows, labels] - answer.logits[rows, targets] for answer in (exact, rough)
    ]
    error = np.abs(margins[1] - margins[0])
    axes, right, near = (1, 2, 3), np.asarray(exact.gradient), np.asarray(rough.gradient)
    apart = np.sqrt(np.square(near - right).sum(axes) / np.square(right).sum(axes))
    return {
        "margin_error": float(np.median(error)),
        "largest_margin_error": float(error.max()),
        "gradient_error": float(np.median(apart)),
    }


def compare(reference: pd.DataFrame, rows: pd.DataFrame, norm: str) -> dict:
    """What became of the answers.

    Args:
        reference, rows: the same images, with columns image, success, revoked, ``norm`` and path.
        norm: of the distance (of the score) that is compared, where both have succeeded.

    Returns:
        Counts; the median of the relative changes with its 95 percent interval (low, high); the median
        of their sizes; the share of images with the same values of the searched setting.
    """
    pairs = reference.merge(rows, on="image", suffixes=("_before", ""), validate="one_to_one")
    before, after = pairs["success_before"].astype(bool), pairs["success"].astype(bool)
    both = pairs[before & after]
    old, new = both[f"{norm}_before"].to_numpy(float), both[norm].to_numpy(float)
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
    """Where the median lies with 95 percent, by drawing the images again; NaN of none."""
    if not len(values):
        return np.nan, np.nan
    draws = np.random.default_rng(SEED).choice(values, (DRAWS, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)
