"""Robust accuracy, curves and optimality on distances whose answers are worked out by hand."""

import numpy as np
import pytest

from jaxadv.analysis import rate_interval
from jaxadv.analysis.robust import curve, optimality, robust_at

DISTANCES = np.array([0.0, 0.1, 0.1, 0.4, np.inf])


def test_robust_at_a_budget():
    """A distance that is the budget fools; one that exceeds it by float32's rounding does too."""
    assert [robust_at(DISTANCES, eps) for eps in (0.0, 0.05, 0.1, 0.3, 0.4, 9.0)] == [
        4,
        4,
        2,
        2,
        1,
        1,
    ]
    assert robust_at(np.array([np.float32(8 / 255)]), 8 / 255) == 0


def test_curve_steps_down_at_each_distance():
    found = curve(DISTANCES)
    np.testing.assert_allclose(found.eps, [0, 0.1, 0.4])
    np.testing.assert_allclose(found.robust, [0.8, 0.4, 0.2])
    low, high = rate_interval(np.array([4, 2, 1]), 5)
    np.testing.assert_array_equal(found.low, low)
    np.testing.assert_array_equal(found.high, high)
    assert (np.diff(found.robust) <= 0).all()
    for eps, share in zip(found.eps, found.robust, strict=True):
        assert robust_at(DISTANCES, eps) == share * 5


def test_optimality_by_hand():
    """Best 1 and 3, so the curves end at 3: areas are 1 + 3 = 4 (best) and 6 (no attack). 2 and 3:
    5, so 1 - 1 / 2.
    """
    best = np.array([1.0, 3.0])
    assert optimality(best, best) == 1
    assert optimality(np.array([2.0, 3.0]), best) == pytest.approx(0.5)
    assert optimality(np.array([np.inf, np.inf]), best) == 0
    assert optimality(np.array([np.inf, 3.0]), best) == 0
    assert (
        optimality(np.array([1.0, 50.0]), best) == 1
    )  # beyond the largest of the best all is alike
    assert np.isnan(optimality(np.array([np.inf]), np.array([np.inf])))
    assert optimality(np.array([2.0, 2.0]), np.array([2.0, 2.0])) == 1


def test_images_that_are_wrong_when_clean_change_no_optimality():
    """AttackBench has them at distance 0 and its clean accuracy in the formula: the same number."""
    draw = np.random.default_rng(0)
    best = draw.lognormal(size=40)
    own = best * draw.uniform(1, 2, 40)
    wrong = 10
    every_best, every = (np.concatenate([np.zeros(wrong), each]) for each in (best, own))
    widest, n = best.max(), len(every)
    area, least = (np.minimum(each, widest).mean() for each in (every, every_best))
    as_defined = 1 - (area - least) / ((1 - wrong / n) * widest - least)
    assert optimality(own, best) == pytest.approx(as_defined)
