"""Correlations of two measurements, explained variance, and the symmetry of a matrix.

NumPy, float64.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

PERMUTATIONS = 2000
"""The number of random permutations for a p-value."""


class Correlation(NamedTuple):
    """Pearson's and Spearman's correlation of ``n`` pairs. NaN for fewer than 3 pairs, or if one
    variable is constant.

    ``low`` and ``high`` are the ends of the interval of Pearson's correlation by Fisher's z.
    """

    pearson: float
    low: float
    high: float
    spearman: float
    n: int


def correlation(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Correlation:
    """The correlations of two variables. Pairs that are not finite are left out.

    Args:
        first: (N,).
        second: (N,).
        level: the level of the interval, in (0, 1). It needs 4 pairs and assumes normal variables.

    Returns:
        The correlations.
    """
    x = np.asarray(first, np.float64)
    y = np.asarray(second, np.float64)
    used = np.isfinite(x) & np.isfinite(y)
    x = x[used]
    y = y[used]
    n = int(used.sum())
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, np.nan, np.nan, np.nan, n)
    pearson = _pearson(x, y)
    spearman = _pearson(ranks(x), ranks(y))
    half = special.ndtri(0.5 + level / 2) / np.sqrt(n - 3) if n > 3 else np.nan
    with np.errstate(divide="ignore"):
        low, high = np.tanh(np.arctanh(pearson) + np.array([-half, half]))
    return Correlation(float(pearson), float(low), float(high), float(spearman), n)


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    first = first - first.mean()
    second = second - second.mean()
    return float(np.clip(first @ second / np.sqrt((first @ first) * (second @ second)), -1, 1))


def ranks(values: np.ndarray) -> np.ndarray:
    """The ranks of values: 1 for the smallest. Equal values share their mean rank.

    Args:
        values: (N,).

    Returns:
        (N,) float64.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


class Explained(NamedTuple):
    """The share of variance that a linear model explains, ``r_squared``, over ``n`` values.

    ``by_chance`` is the mean share that the same number of random terms would explain. ``p_value``
    is the share of permutations of the values that the model explains equally well. All are NaN if
    the values are constant, or too few for the terms.
    """

    r_squared: float
    by_chance: float
    p_value: float
    n: int


def explained(values: np.ndarray, terms: np.ndarray, seed: int = 0) -> Explained:
    """The variance of values that a linear model explains, by least squares.

    Args:
        values: (N,). Rows that are not finite are left out.
        terms: (N, K). A constant is added.
        seed: the seed of the permutations.

    Returns:
        The shares of variance.
    """
    values = np.asarray(values, np.float64)
    terms = np.asarray(terms, np.float64)
    used = np.isfinite(values) & np.isfinite(terms).all(axis=1)
    values = values[used]
    terms = terms[used]
    n = int(used.sum())
    if n < 3:
        return Explained(np.nan, np.nan, np.nan, n)
    values = values - values.mean()
    terms = terms - terms.mean(axis=0)
    directions, sizes, _ = np.linalg.svd(terms, full_matrices=False)
    directions = directions[:, sizes > 1e-9 * max(sizes.max(initial=0), 1e-300)]
    rank = directions.shape[1]
    total = values @ values
    if not 0 < rank < n - 1 or total == 0:
        return Explained(np.nan, np.nan, np.nan, n)
    shuffled = np.random.default_rng([seed, n]).permuted(np.tile(values, (PERMUTATIONS, 1)), axis=1)
    reached = ((shuffled @ directions) ** 2).sum(axis=1) / total
    share = ((values @ directions) ** 2).sum() / total
    p_value = (1 + (reached >= share - 1e-12).sum()) / (1 + PERMUTATIONS)
    return Explained(float(share), rank / (n - 1), float(p_value), n)


class Symmetry(NamedTuple):
    """The symmetry of a matrix M of rates over ``pairs`` pairs of models.

    ``correlation`` is that of its cells with the cells of its transpose. ``difference`` is the mean
    of |M[i, j] - M[j, i]|. ``by_chance`` is the mean difference that equal rates in both directions
    would give.
    """

    correlation: float
    difference: float
    by_chance: float
    pairs: int


def symmetry(rates: np.ndarray, counts: np.ndarray) -> Symmetry:
    """The symmetry of a matrix of rates.

    Args:
        rates: (M, M), shares in [0, 1]. The diagonal and NaN do not count.
        counts: (M, M), the number of images of each rate.

    Returns:
        The symmetry; NaN without pairs.
    """
    rates = np.asarray(rates, np.float64)
    counts = np.asarray(counts, np.float64)
    above = np.triu(np.ones(rates.shape, bool), 1) & np.isfinite(rates) & np.isfinite(rates.T)
    there = rates[above]
    back = rates.T[above]
    n_there = counts[above]
    n_back = counts.T[above]
    if not len(there):
        return Symmetry(np.nan, np.nan, np.nan, 0)
    pooled = (there * n_there + back * n_back) / (n_there + n_back)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n_there + 1 / n_back))
    both = correlation(np.concatenate([there, back]), np.concatenate([back, there]))
    return Symmetry(
        both.pearson,
        float(abs(there - back).mean()),
        float(np.sqrt(2 / np.pi) * spread.mean()),
        len(there),
    )
