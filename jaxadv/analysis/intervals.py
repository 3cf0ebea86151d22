"""Intervals of rates, means and differences.

NumPy, float64. tests/analysis measures their coverage.
"""

from functools import lru_cache

import numpy as np
from scipy import special

RESAMPLES = 2000
"""The number of resamples of a bootstrap."""
LARGE = 4000
"""The number of values from which Student's t replaces the bootstrap, which is then slow and hardly
better.
"""


def rate_interval(successes, n, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval (1927) of a rate.

    Counts are discrete, so no interval covers 95 % at each rate. At n = 24, for 9 % of the rates,
    such as 0.02 and 0.07, no interval covers 93 to 97 %. The exact coverage of 95 % intervals at n
    = 24 is: the share of rates with a coverage of 93 to 97 %, and the mean coverage in % over the
    rates 0 to 0.05, 0 to 0.1 and 0 to 1:
      Wilson           82 % | 94.8 95.4 95.3
      Jeffreys         78 % | 97.1 97.1 95.1
      mid-P            73 % | 98.1 98.0 96.0
      Clopper-Pearson  32 % | 98.9 98.8 97.5
    Wilson's lowest coverage is 84.0 %, at a rate of 0.018.

    Args:
        successes: counts of successes, of any shape.
        n: counts of trials. It broadcasts with ``successes``.
        level: the level of the interval, in (0, 1).

    Returns:
        The lower and the upper ends, in [0, 1]. NaN where ``n`` is 0, or below ``successes``.
    """
    z = special.ndtri(0.5 + level / 2)
    successes, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(n, np.float64))
    n = np.where((n > 0) & (n >= successes), n, np.nan)
    centre = (successes + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(successes * (1 - successes / n) + z**2 / 4) / (n + z**2)
    low = np.where(successes == 0, 0 * n, centre - half)
    high = np.where(successes == n, n / n, centre + half)  # exact at the ends
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def mean_intervals(
    values: np.ndarray, level: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of the means of columns, by a studentised bootstrap over the rows (Efron 1979,
    1982).

    A result does not depend on the order of the rows, on other columns or on earlier calls. Columns
    are sorted, and resamples depend only on ``seed`` and the number of values.

    Two changes keep the bootstrap usable with few or repeated values. The variance of a resample is
    mixed with that of the sample, which has the weight of half an observation. Otherwise a resample
    of equal values would divide by zero. The width is multiplied by n / (n - 1).

    The coverage of the 95 % interval was measured at n = 24. The values are lognormal with sigma
    0.3, 0.5, 0.7 and 1; exponential; normal; uniform; lognormal with sigma 0.6, rounded up to the
    steps of a bisection. In % of 20,000 trials:
      this one     94.8 94.3 93.8 92.1 | 94.9 | 95.2 | 96.6 | 94.1
    and in % of 2000 trials:
      percentile   91.5 90.4 88.6 85.1 | 91.0 | 93.2 | 93.9 | 89.7
      BCa          91.8 90.8 90.0 87.0 | 91.7 | 93.0 | 94.9 | 90.5
      Student's t  93.7 92.3 90.1 85.9 | 92.8 | 95.2 | 95.4 | 91.2
      studentised  93.8 93.5 92.7 90.6 | 94.3 | 95.0 | 96.0 | 93.0   (of the logarithm or the root:
      the same within 0.5)
    No method is precise for very few values. At n = 5 this one covers 96, 94, 93 and 88 % for the
    four lognormals. From LARGE values on the interval is Student's t, which then covers 95, 95, 96
    and 95 %.

    Args:
        values: (N, C). NaN values are left out of their column.
        level: the level of the interval, in (0, 1).
        seed: the seed of the resamples.

    Returns:
        The lower and the upper ends, each (C,). NaN if a column has fewer than 2 values, or an
        infinite one.
    """
    values = np.asarray(values, np.float64)
    low, high = np.full((2, values.shape[1]), np.nan)
    present = ~np.isnan(values)
    usable = (present.sum(axis=0) >= 2) & ~np.isinf(values).any(axis=0)
    for n in np.unique(present.sum(axis=0)[usable]):
        columns = np.flatnonzero(usable & (present.sum(axis=0) == n))
        sample = np.sort(values[:, columns], axis=0)[:n]  # NaN sorts last
        low[columns], high[columns] = _studentised(sample, level, seed)
    return low, high


def _studentised(sample: np.ndarray, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The intervals of columns (n, C) without NaN."""
    n = len(sample)
    mean = sample.mean(axis=0)
    spread = sample.std(axis=0)
    varied = sample[0] < sample[-1]
    unit = np.where(varied, spread, 1.0)
    deviations = np.where(varied, (sample - mean) / unit, 0.0)  # variance 1
    if n < LARGE:
        columns = deviations.shape[1]
        sums = _resamples(n, seed) @ np.hstack([deviations, deviations**2])
        lower, upper = _ends(sums[:, :columns], sums[:, columns:], n, n, level)
    else:
        upper = special.stdtrit(n - 1, 0.5 + level / 2) / np.sqrt(n - 1)
        lower = -upper
    scale = np.where(varied, spread, 0.0)
    return mean - upper * scale, mean - lower * scale


def _ends(
    sums: np.ndarray, squares: np.ndarray, counts, n, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """The quantiles of the studentised means of resamples: lower and upper ends (C,).

    Sums, squares and counts are (RESAMPLES, C), of n (C,) values with mean 0 and variance 1.
    """
    shift = sums / counts
    variance = np.maximum(squares / counts - shift**2, 0)
    shift /= np.sqrt((counts * variance + 0.5) / (counts + 0.5))
    lower, upper = np.quantile(shift, [0.5 - level / 2, 0.5 + level / 2], axis=0) * n / (n - 1)
    return lower, upper


@lru_cache(maxsize=4)
def _resamples(n: int, seed: int) -> np.ndarray:
    """How often each of n rows is in each resample (RESAMPLES, n): multinomial weights."""
    draw = np.random.default_rng([seed, n])
    weights = np.empty((RESAMPLES, n))
    at_once = 50  # so many fit the processor's cache
    first = n * np.arange(at_once)[:, None]
    for start in range(0, RESAMPLES, at_once):
        drawn = first + draw.integers(n, size=(at_once, n), dtype=np.uint16)
        weights[start : start + at_once] = np.bincount(
            drawn.ravel(), minlength=at_once * n
        ).reshape(at_once, n)
    return weights


def paired_intervals(
    differences: np.ndarray, level: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of differences between two models on the same images, with intervals.

    It is the bootstrap of `mean_intervals`, but whole images are resampled, once for all columns.
    The coverage of the 95 % interval is 93.4 % at n = 24 and 94.2 % at n = 200. It was measured in
    2000 trials with pairs of correlated lognormals, of which a quarter was missing.

    Args:
        differences: (N, C), a row for each image and a column for each pair of models. NaN if one
            of the two failed.
        level: the level of the interval, in (0, 1).
        seed: the seed of the resamples.

    Returns:
        The means, the lower and the upper ends, each (C,). NaN if a column has fewer than 2 values.
    """
    differences = np.asarray(differences, np.float64)
    present = np.isfinite(differences)
    n = np.where(present.sum(axis=0) < 2, np.nan, present.sum(axis=0))
    if np.isnan(n).all():
        return n, n, n
    differences = np.where(present, differences, 0.0)
    mean = differences.sum(axis=0) / n
    spread = np.sqrt(np.where(present, (differences - mean) ** 2, 0.0).sum(axis=0) / n)
    if len(differences) >= LARGE:
        upper = special.stdtrit(n - 1, 0.5 + level / 2) / np.sqrt(n - 1)
        lower = -upper
    else:
        deviations = np.where(
            present, (differences - mean) / np.where(spread > 0, spread, 1.0), 0.0
        )
        weights = _resamples(len(differences), seed)
        columns = differences.shape[1]
        sums = weights @ np.hstack([deviations, deviations**2, present])
        counts = np.maximum(sums[:, 2 * columns :], 1)
        lower, upper = _ends(sums[:, :columns], sums[:, columns : 2 * columns], counts, n, level)
    return mean, mean - upper * spread, mean - lower * spread


def paired_rate_interval(
    first_only, second_only, n, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Bonett and Price's interval (2012) of the difference of two rates on the same images: first
    minus second.

    The coverage of the 95 % interval is 97.8 % at n = 24 and 95.2 % at n = 200, in 2000 trials of
    correlated attempts at random rates. The bootstrap of the differences -1, 0 and 1 covers 91.0
    and 95.2 %. It fails if disagreement is rare. Without any disagreement its interval is a point.

    Args:
        first_only: the number of images on which only the first succeeded.
        second_only: the number of images on which only the second succeeded.
        n: the number of images.
        level: the level of the interval, in (0, 1).

    Returns:
        The lower and the upper ends, in [-1, 1].
    """
    first_only, second_only, n = (
        np.asarray(count, np.float64) for count in (first_only, second_only, n)
    )
    first = (first_only + 1) / (n + 2)
    second = (second_only + 1) / (n + 2)
    half = special.ndtri(0.5 + level / 2) * np.sqrt(
        (first + second - (first - second) ** 2) / (n + 2)
    )
    return np.maximum(first - second - half, -1), np.minimum(first - second + half, 1)
