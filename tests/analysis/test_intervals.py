"""What the intervals cover, on synthetic data of known rate, mean or difference.

2000 trials each: where the true coverage is 95 %, what is measured has a standard deviation of 0.5
%.
"""

import numpy as np
import pytest
from scipy import stats

from jaxadv.analysis import mean_intervals, paired_intervals, paired_rate_interval, rate_interval

TRIALS = 2000


def rate_coverage(rates, n, seed=3):
    low, high = rate_interval(np.random.default_rng(seed).binomial(n, rates), n)
    return np.mean((low <= rates) & (rates <= high))


@pytest.mark.parametrize("n", [24, 200, 1000])
@pytest.mark.parametrize(
    "band", [(0.0, 0.05), (0.0, 0.1), (0.9, 1.0), (0.95, 1.0), (0.1, 0.9), (0.0, 1.0)]
)
def test_rates_of_a_band_are_covered(band, n):
    rates = np.random.default_rng(2).uniform(*band, TRIALS)
    assert 0.93 <= rate_coverage(rates, n) <= 0.97


@pytest.mark.parametrize(
    "n, rate",
    [
        (24, 0.3),
        (24, 0.7),
        (24, 0.2),
        (24, 0.8),
        (24, 0.03),
        (24, 0.97),
        (1000, 0.005),
        (1000, 0.995),
    ],
)
def test_single_rates_are_covered_where_counts_allow_it(n, rate):
    assert 0.93 <= rate_coverage(np.full(TRIALS, rate), n) <= 0.97


def test_no_interval_covers_all_rates_at_24():
    """Why bands: at a rate of 0.02 each set of neighbouring counts has a probability below 93 % or
    above 97 %.
    """
    total = stats.binom.cdf(np.arange(-1, 25), 24, 0.02)
    reachable = (total[None] - total[:, None])[np.triu_indices(26, 1)]
    assert not np.any((reachable >= 0.93) & (reachable <= 0.97))


def test_rate_interval_against_published_values_and_at_the_ends():
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3: 81 of 263, 15 of 148, 0
    # of 20, 1 of 29.
    low, high = rate_interval([81, 15, 0, 1], [263, 148, 20, 29])
    np.testing.assert_allclose(low, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    np.testing.assert_allclose(high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)
    low, high = rate_interval(24, [24, 0])
    assert high[0] == 1.0 and 0.8 < low[0] < 0.9 and np.isnan([low[1], high[1]]).all()


BISECTION = 0.0025
POPULATIONS = {  # (drawn values, true mean)
    "lognormal 0.3": lambda draw, size: (draw.lognormal(0, 0.3, size), np.exp(0.3**2 / 2)),
    "lognormal 0.5": lambda draw, size: (draw.lognormal(0, 0.5, size), np.exp(0.5**2 / 2)),
    "exponential": lambda draw, size: (draw.exponential(size=size), 1.0),
    "normal": lambda draw, size: (draw.normal(5, 1, size), 5.0),
    "uniform": lambda draw, size: (draw.random(size), 0.5),
    # rounded up to a step: P(ceil(X) > k) = P(X > k), so the mean is the step times the sum of
    # these
    "bisected": lambda draw, size: (
        np.ceil(draw.lognormal(np.log(0.02), 0.6, size) / BISECTION) * BISECTION,
        BISECTION * stats.lognorm.sf(BISECTION * np.arange(2000), 0.6, scale=0.02).sum(),
    ),
}


@pytest.mark.parametrize("n", [24, 200])
@pytest.mark.parametrize("population", POPULATIONS)
def test_means_are_covered(population, n):
    values, mean = POPULATIONS[population](np.random.default_rng(1), (n, TRIALS))
    low, high = mean_intervals(values)
    assert 0.93 <= np.mean((low <= mean) & (mean <= high)) <= 0.97


def test_mean_intervals_depend_on_the_values_alone():
    values = np.random.default_rng(0).lognormal(size=(40, 3))
    values[5:, 1] = np.nan
    values[1:, 2] = np.nan
    low, high = mean_intervals(values)
    assert np.isnan([low[2], high[2]]).all() and (low[:2] < high[:2]).all()
    for column in range(2):
        present = values[::-1, [column]][~np.isnan(values[::-1, column])]
        mean_intervals(np.ones((7, 1)))
        again = mean_intervals(present)
        assert again[0][0] == pytest.approx(low[column], rel=1e-12) and again[1][
            0
        ] == pytest.approx(high[column], rel=1e-12)
    scaled = mean_intervals(1000 * values)
    np.testing.assert_allclose(scaled, [1000 * low, 1000 * high], rtol=1e-9)
    assert mean_intervals(values, seed=1)[0][0] != low[0]


def test_mean_intervals_of_equal_or_missing_values():
    values = np.array(
        [[0.3, 1.0, np.inf, np.nan], [0.3, 2.0, 1.0, np.nan], [0.3, 2.0, 1.0, np.nan]]
    )
    low, high = mean_intervals(values)
    assert low[0] == high[0] == pytest.approx(0.3)
    assert np.isfinite([low[1], high[1]]).all() and low[1] < 5 / 3 < high[1]
    assert np.isnan([low[2:], high[2:]]).all()
    assert [len(end) for end in mean_intervals(np.empty((0, 2)))] == [2, 2]


@pytest.mark.parametrize("n", [24, 200])
def test_paired_differences_are_covered(n):
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(n, TRIALS))  # what makes an image hard for both models
    first, second = (
        factor * np.exp(0.5 * (shared + draw.normal(size=(n, TRIALS)))) for factor in (1.0, 1.2)
    )
    differences = np.where(draw.random((n, TRIALS)) < 0.25, np.nan, first - second)
    mean, low, high = paired_intervals(differences)
    true = -0.2 * np.exp(0.25)  # each has the mean factor * exp(0.5 ** 2 * 2 / 2)
    assert 0.93 <= np.mean((low <= true) & (true <= high)) <= 0.97
    np.testing.assert_allclose(mean, np.nanmean(differences, axis=0))


@pytest.mark.parametrize("n, least", [(24, 0.93), (200, 0.93)])
def test_paired_rates_are_covered(n, least):
    draw = np.random.default_rng(1)
    first, shared = draw.random(TRIALS), draw.random((n, TRIALS))
    second = np.clip(first + draw.normal(0, 0.2, TRIALS), 0, 1)
    fooled = shared < first
    other = np.where(draw.random((n, TRIALS)) < 0.5, shared, draw.random((n, TRIALS))) < second
    low, high = paired_rate_interval(
        (fooled & ~other).sum(axis=0), (other & ~fooled).sum(axis=0), n
    )
    assert least <= np.mean((low <= first - second) & (first - second <= high)) <= 0.985


def test_paired_rates_by_hand_and_at_the_ends():
    # 12 and 4 of 40 images: (13 - 5) / 42 -+ 1.959964 sqrt((18 / 42 - (8 / 42) ** 2) / 42)
    np.testing.assert_allclose(
        paired_rate_interval(12, 4, 40), [8 / 42 - 0.189430, 8 / 42 + 0.189430], atol=1e-5
    )
    low, high = paired_rate_interval(0, 0, 20)
    assert low < 0 < high and low == -high  # no disagreement seen is not none


def test_paired_intervals_leave_out_what_one_lacks():
    gaps = np.array(
        [[0.1, np.nan, np.inf, 2.0], [0.3, 0.5, np.nan, 2.0], [0.2, np.nan, np.nan, 2.0]]
    )
    mean, low, high = paired_intervals(gaps)
    assert mean[0] == pytest.approx(0.2) and low[0] < 0.2 < high[0]
    assert np.isnan([mean[1:3], low[1:3], high[1:3]]).all()  # fewer than two images
    assert low[3] == high[3] == mean[3] == 2.0
    many = np.random.default_rng(0).normal(1, 2, (5000, 1))
    mean, low, high = paired_intervals(many)
    known = stats.t.interval(0.95, 4999, many.mean(), stats.sem(many[:, 0]))
    np.testing.assert_allclose([low[0], high[0]], known, rtol=1e-6)
    assert [len(end) for end in paired_intervals(np.empty((0, 2)))] == [2, 2, 2] and np.isnan(
        paired_intervals(np.ones((1, 1)))[1]
    ).all()
