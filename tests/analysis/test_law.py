"""The frontier and the law against hand work and SciPy, and how often the law's intervals cover a
known one.
"""

import numpy as np
import pytest
from scipy import stats

from jaxadv.analysis import fit_law, pareto_frontier

TRIALS = 1000


def test_frontier():
    error = np.array([0.1, 0.2, 0.3, 0.2, 0.1, 0.4, 0.05])
    robustness = np.array([1.0, 2.0, 1.5, 2.0, 0.5, 3.0, np.nan])
    assert pareto_frontier(error, robustness).tolist() == [
        True,
        True,
        False,
        True,
        False,
        True,
        False,
    ]


def test_law_against_scipy_and_by_hand():
    error, robustness = np.array([0.05, 0.1, 0.2, 0.3, 0.6]), np.array([0.4, 0.55, 0.5, 0.8, 0.75])
    law, known = fit_law(error, robustness), stats.linregress(np.log(error), robustness)
    half, at_one = (
        stats.t.ppf(0.975, 3) * known.stderr,
        stats.t.ppf(0.975, 3) * known.intercept_stderr,
    )
    a, b = known.intercept, known.slope
    expected = [a, a - at_one, a + at_one, b, b - half, b + half, known.rvalue**2, 5]
    np.testing.assert_allclose(law, expected, rtol=1e-10)
    exact = fit_law(
        [1.0, np.exp(-1), np.exp(-2), 0.0, 0.5], [0.06, 0.031, 0.002, 9.0, np.nan]
    )  # 0.06 + 0.029 ln(error)
    np.testing.assert_allclose(exact, [0.06, 0.06, 0.06, 0.029, 0.029, 0.029, 1.0, 3], rtol=1e-9)
    two = fit_law([0.1, 0.2], [1.0, 2.0])
    assert two.slope == pytest.approx(1 / np.log(2)) and np.isnan(two.slope_low) and two.n == 2
    assert (
        fit_law([0.1, 0.1], [1.0, 2.0]).n == 2
        and np.isnan(fit_law([0.1, 0.1], [1.0, 2.0])[:7]).all()
    )
    assert np.isnan(fit_law([0.1, 0.2, 0.4], [1.0, 1.0, 1.0]).r_squared)


def test_a_known_law_is_covered():
    draw = np.random.default_rng(0)
    a, b, covered, on_frontier = 0.06, 0.03, np.zeros(2), np.zeros(2)
    for _ in range(TRIALS):
        error = np.exp(draw.uniform(np.log(0.17), np.log(0.6), 18))
        robustness = a + b * np.log(error) + 0.1 * b * np.log(0.6 / 0.17) * draw.normal(size=18)
        for count, chosen in (
            (covered, np.full(18, True)),
            (on_frontier, pareto_frontier(error, robustness)),
        ):
            law = fit_law(error[chosen], robustness[chosen])
            count += (
                law.intercept_low <= a <= law.intercept_high,
                law.slope_low <= b <= law.slope_high,
            )
    assert (covered / TRIALS >= 0.93).all() and (
        covered / TRIALS <= 0.97
    ).all()  # a standard deviation is 0.7 %
    # The frontier picks models that scatter upwards: its intervals are too narrow, as `fit_law`
    # says.
    assert on_frontier / TRIALS == pytest.approx([0.81, 0.86], abs=0.03)
