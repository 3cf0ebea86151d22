"""Correlations, explained variance and symmetry on data of known answer."""

import numpy as np
import pytest
from scipy import stats

from jaxadv.analysis import correlation, explained, ranks, symmetry

DRAW = np.random.default_rng(5)


def test_correlations_are_scipy_s():
    first, second = DRAW.normal(size=(2, 30)).round(1)
    second += first
    found = correlation(np.append(first, [np.nan, 1.0]), np.append(second, [1.0, np.inf]))
    known = stats.pearsonr(first, second)
    interval = known.confidence_interval(0.95)
    expected = [
        known.statistic,
        interval.low,
        interval.high,
        stats.spearmanr(first, second).statistic,
        30,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert (
        np.isnan(correlation([1, 1, 1], [1, 2, 3])[:4]).all() and correlation([1, 2], [1, 2]).n == 2
    )
    exact = correlation([1, 2, 3, 4], [2, 4, 6, 8])
    assert exact.pearson == exact.spearman == exact.high == 1.0


def test_what_explains_the_variance():
    family = np.repeat(np.eye(6), 3, axis=0)
    values = family @ [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    all_of_it = explained(values, family)
    assert (
        all_of_it.r_squared == pytest.approx(1)
        and all_of_it.by_chance == pytest.approx(5 / 17)
        and all_of_it.p_value < 0.01
    )
    size = DRAW.normal(size=(18, 1))
    straight = explained(3 + 2 * size[:, 0] + 0.5 * DRAW.normal(size=18), size)
    assert (
        straight.p_value < 0.01
        and straight.by_chance == pytest.approx(1 / 17)
        and straight.r_squared > 0.8
    )
    assert np.isnan(
        explained(values, np.eye(18))[:3]
    ).all()  # as many terms as values explain anything
    assert np.isnan(explained(np.ones(5), size[:5])[:3]).all() and np.isnan(
        explained([1.0, 2.0], [[1.0], [2.0]]).r_squared
    )


def test_meaningless_families_explain_what_chance_does():
    family = np.repeat(np.eye(6), 3, axis=0)
    found = [explained(DRAW.normal(size=18), family) for _ in range(300)]
    assert np.mean([fit.r_squared for fit in found]) == pytest.approx(5 / 17, abs=0.03)
    assert np.mean([fit.p_value < 0.05 for fit in found]) < 0.09


def test_symmetric_and_asymmetric_matrices():
    rates = np.array([[0.9, 0.2, 0.6], [0.2, 0.9, 0.4], [0.6, 0.4, 0.9]])
    counts = np.full((3, 3), 100)
    same = symmetry(rates, counts)
    assert (same.correlation, same.difference, same.pairs) == (pytest.approx(1.0), 0.0, 3)
    turned = np.array([[np.nan, 0.8, 0.9], [0.2, np.nan, 0.7], [0.1, 0.3, np.nan]])
    opposite = symmetry(turned, counts)
    assert opposite.correlation < -0.9 and opposite.difference == pytest.approx(
        (0.6 + 0.8 + 0.4) / 3
    )
    assert opposite.by_chance == pytest.approx(np.sqrt(2 / np.pi * 0.25 * 2 / 100))
    holed = symmetry(np.where(rates == 0.2, np.nan, rates), counts)
    assert holed.pairs == 2 and np.isnan(
        symmetry(np.full((2, 2), np.nan), counts[:2, :2]).difference
    )


def test_a_symmetric_matrix_counted_with_noise_differs_by_chance_alone():
    true = DRAW.uniform(0.1, 0.9, (60, 60))
    counted = DRAW.binomial(40, (true + true.T) / 2) / 40
    found = symmetry(counted, np.full((60, 60), 40))
    assert found.difference == pytest.approx(found.by_chance, rel=0.08)
