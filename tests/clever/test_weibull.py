"""The extreme-value fit against recordings of the original, against SciPy's pieces, and where the
answer is known.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special, stats

from jaxadv.clever import weibull
from jaxadv.clever.weibull import WeibullFit, fit_reverse_weibull
from model_ports.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "clever"
RECORDED = json.loads((GOLDEN / "weibull_fits.json").read_text())
METHODS = ("released", "mle")
PENALTY = {"released": 0.01, "mle": 0.0}
FIELDS = ("shape", "location", "scale", "ks", "p_value")
# We differ from the recordings by rounding only (order of sums), but a simplex may then stop one
# step apart: within the tolerance of its stopping rule.
OPTIMISER = 1e-4


@pytest.fixture(scope="module")
def maxima():
    with np.load(GOLDEN / "weibull_maxima.npz") as file:
        return {name: file[name] for name in file.files}


def draw(rng, rows, batches, *, shape=4.0, location=5.0, scale=1.0):
    return location - scale * rng.exponential(size=(rows, batches)) ** (1 / shape)


def assert_same(fit, other):
    for field in WeibullFit._fields:
        np.testing.assert_array_equal(getattr(fit, field), getattr(other, field), err_msg=field)


# --- recordings of the original


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RECORDED)
def test_chosen_fit_is_the_recorded_one(maxima, name, method):
    recorded = RECORDED[name][method]
    fit = fit_reverse_weibull(maxima[name][None], method=method)
    np.testing.assert_allclose(fit.lipschitz, [recorded["lipschitz"]], rtol=OPTIMISER)
    if recorded["shape"] is None:
        assert fit.lipschitz[0] == maxima[name].max()
        assert all(np.isnan(getattr(fit, field)[0]) for field in FIELDS)
        return
    assert fit.lipschitz[0] == fit.location[0]
    for field in FIELDS:
        np.testing.assert_allclose(
            getattr(fit, field), [recorded[field]], rtol=OPTIMISER, err_msg=field
        )


def test_recordings_cover_fits_and_fall_backs():
    fell_back = [name for name, fits in RECORDED.items() if fits["released"]["shape"] is None]
    assert len(RECORDED) == 21 and len(fell_back) == 7
    assert {"degenerate_all_equal", "degenerate_two_values", "degenerate_one_outlier"} < set(
        fell_back
    )


@pytest.mark.few("released")
@pytest.mark.parametrize("method", METHODS)
def test_each_of_the_seven_starts_ends_where_it_did(maxima, method):
    compared = 0
    for name, fits in RECORDED.items():
        starts = np.array(fits[method]["starts"], dtype=np.float64)
        if np.isnan(starts[:, 1]).all() or (name, method) == ("degenerate_one_outlier", "mle"):
            continue  # all maxima equal: not fitted; diverged: noise (see the README there)
        found = weibull._fit_from_every_start(np.sort(maxima[name])[None], PENALTY[method])
        for row, recorded in enumerate(starts):
            # Below shape 1 the density is infinite at its end and the simplex stalls beside it, not
            # at an optimum: the same path, but rounding decides its last steps.
            tolerance = OPTIMISER if recorded[0] > 1 else 1e-2
            for field, value in zip(FIELDS[:4], recorded, strict=False):
                np.testing.assert_allclose(
                    getattr(found, field)[0, row],
                    value,
                    rtol=tolerance,
                    err_msg=f"{name} {field} from start {row}",
                )
            compared += 1
    assert compared == {"released": 17 * 7, "mle": 16 * 7}[method]


# --- where the answer is known


def location_deviation(shape, scale, batches):
    """Standard deviation of the location of the maximum likelihood fit, from the Fisher information
    (shape > 2).
    """
    x = -np.log((np.arange(10**6) + 0.5) / 10**6)  # quantiles of x ** shape, exponential
    power, x = x, x ** (1 / shape)
    score = np.stack(
        [
            (shape * x ** (shape - 1) - (shape - 1) / x) / scale,
            shape * (power - 1) / scale,
            1 / shape + (1 - power) * np.log(x),
        ]
    )
    return np.sqrt(np.linalg.inv(batches * score @ score.T / x.size)[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_known_end_point_is_recovered(method):
    # 3 deviations hold 99.7 % of a normal law, the median of 200 has a deviation of 0.09 of one; 95
    # % and 0.5 leave room for the bias and skew of 500 samples, and for the released penalty.
    fit = fit_reverse_weibull(draw(np.random.default_rng(0), 200, 500), method=method)
    error = (fit.lipschitz - 5) / location_deviation(4, 1, 500)
    assert (np.abs(error) < 3).mean() >= 0.95
    assert abs(np.median(error)) < 0.5
    assert abs(np.median(fit.shape) - 4) < 0.4 and abs(np.median(fit.scale) - 1) < 0.1


@pytest.mark.slow
def test_more_batches_come_closer():
    rng = np.random.default_rng(1)
    errors = [
        np.abs(fit_reverse_weibull(draw(rng, 20, n)).lipschitz - 5).mean() for n in (100, 10_000)
    ]
    assert errors[1] < errors[0] / 5  # the deviation falls by 10


def test_unit_does_not_matter():
    rows = draw(np.random.default_rng(2), 5, 60)
    fit, larger = (
        fit_reverse_weibull(rows),
        fit_reverse_weibull(1024 * rows),
    )  # a power of two: exact
    assert_same(
        larger,
        fit._replace(
            location=1024 * fit.location, scale=1024 * fit.scale, lipschitz=1024 * fit.lipschitz
        ),
    )


def test_released_penalty_pulls_a_light_tail_in():
    rows = draw(np.random.default_rng(3), 20, 500, shape=25.0, scale=2.0)
    assert (fit_reverse_weibull(rows).scale < fit_reverse_weibull(rows, method="mle").scale).all()


# --- invariances and degenerate rows


def mixed_rows():
    rng = np.random.default_rng(4)
    shapes = rng.uniform(0.7, 30, size=(30, 1))
    rows = np.maximum(draw(rng, 30, 50, shape=shapes, scale=0.5), 0)
    two_values = np.repeat([[2.0, 3.0]], 25, axis=1)
    return np.concatenate(
        [rows[:10], np.full((2, 50), 3.0), rows[10:], np.zeros((1, 50)), two_values]
    )


@pytest.mark.slow
def test_rows_do_not_see_each_other(monkeypatch):
    rows = mixed_rows()
    fit = fit_reverse_weibull(rows)
    alone = [fit_reverse_weibull(row[None]) for row in rows]
    assert_same(fit, WeibullFit(*map(np.concatenate, zip(*alone, strict=True))))
    order = np.random.default_rng(5).permutation(len(rows))
    assert_same(fit_reverse_weibull(rows[order]), WeibullFit(*(field[order] for field in fit)))
    monkeypatch.setattr(weibull, "BLOCK_ELEMENTS", 300)
    assert_same(fit_reverse_weibull(rows), fit)


def test_order_of_samples_does_not_matter():
    rows = mixed_rows()
    shuffled = np.random.default_rng(6).permuted(rows, axis=1)
    assert_same(fit_reverse_weibull(shuffled), fit_reverse_weibull(rows))


def test_equal_maxima_give_their_maximum():
    fit = fit_reverse_weibull(np.array([[3.0] * 10, [0.0] * 10]))
    np.testing.assert_array_equal(fit.lipschitz, [3.0, 0.0])
    assert np.isnan(fit.shape).all() and np.isnan(fit.p_value).all()


def test_max_fits_nothing():
    rows = mixed_rows()
    fit = fit_reverse_weibull(rows, method="max")
    np.testing.assert_array_equal(fit.lipschitz, rows.max(axis=1))
    assert all(np.isnan(getattr(fit, field)).all() for field in FIELDS)


def test_result_type_and_untouched_input():
    rows = draw(np.random.default_rng(7), 3, 20).astype(np.float32)
    kept = rows.copy()
    for method in weibull.METHODS:
        for field in fit_reverse_weibull(rows, method=method):
            assert field.dtype == np.float64 and field.shape == (3,)
        assert all(len(field) == 0 for field in fit_reverse_weibull(rows[:0], method=method))
    np.testing.assert_array_equal(rows, kept)


def test_largest_p_value_wins_first_of_equals_and_nan_never(monkeypatch):
    p_value = np.full((5, 7), np.nan)
    p_value[0, [1, 4, 6]] = 0.2, 0.7, 0.7
    p_value[1, 3] = 0.0009
    p_value[2, 5] = 0.001
    p_value[4, 0] = 0.5
    places = np.broadcast_to(np.arange(1.0, 8.0), (5, 7))
    candidates = weibull._Candidates(places, 10 * places, places, places, p_value)
    monkeypatch.setattr(weibull, "_fit_from_every_start", lambda samples, penalty: candidates)
    fit = fit_reverse_weibull(np.tile([0.0, 2.0], (5, 1)))
    np.testing.assert_array_equal(fit.shape, [5, np.nan, 6, np.nan, 1])
    np.testing.assert_array_equal(fit.lipschitz, [50, 2, 60, 2, 10])


# --- the pieces, against SciPy


def rosenbrock(p):
    return (
        100 * (p[..., 1] - p[..., 0] ** 2) ** 2
        + (1 - p[..., 0]) ** 2
        + (p[..., 2] - p[..., 0]) ** 2
    )


def walled(p):
    return np.where(p[..., 0] + p[..., 2] > 0.5, (np.abs(p) ** 1.5).sum(axis=-1), np.inf)


def stepped(p):
    return np.round(16 * np.abs(p - 0.3)).sum(axis=-1)  # plateaus: ties, contractions and shrinking


@pytest.mark.parametrize("function", [rosenbrock, walled, stepped])
def test_simplex_walks_as_fmin_does(function, monkeypatch):
    start = np.random.default_rng(8).normal(scale=3.0, size=(40, 3))
    start[:5, 1] = 0.0
    found = weibull.minimise(lambda parameters, problems: function(parameters), start)
    # NumPy of 2018 sorted so few numbers by insertion, which keeps the order of equals; today's
    # need not.
    monkeypatch.setattr(np, "argsort", partial(np.argsort, kind="stable"))
    compared = 0
    for row, first in enumerate(start):
        with np.errstate(invalid="ignore"):
            expected, *_, warning = optimize.fmin(
                function, first, xtol=1e-4, ftol=1e-4, disp=0, full_output=True
            )
        if warning == 0:  # today's fmin cuts an iteration short at its limit
            np.testing.assert_array_equal(found[row], expected, err_msg=str(row))
            compared += 1
    assert compared > 15  # starts beyond the wall only ever see infinity


def test_simplex_stops_at_the_limit():
    spent = np.zeros(3, int)

    def endless(parameters, problems):
        np.add.at(spent, problems, 1)
        falling, bowl, ever_worse = (
            -parameters.sum(axis=1),
            (parameters**2).sum(axis=1),
            1.0 * spent[problems],
        )
        return np.select([problems == 0, problems == 1], [falling, bowl], ever_worse)

    weibull.minimise(endless, np.ones((3, 3)))
    # Looked at between iterations. Ever worse: each takes a reflection, a contraction and three
    # shrunken corners.
    assert 600 <= spent[0] <= 601 and spent[1] < 200 and spent[2] == 4 + 5 * 120


def test_likelihood_is_that_of_weibull_min():
    rng = np.random.default_rng(9)
    data = np.sort(rng.random((4, 30)), axis=1)
    regular = [
        [2.0, -0.1, 1.0],
        [0.5, -0.5, 0.3],
        [40.0, -3.0, 4.0],
        [3.0, 0.4, 0.7],
        [700.0, -0.1, 0.05],
    ]
    parameters = np.array([*regular, [0.0, -1.0, 1.0], [2.0, -1.0, 0.0]])
    rows = np.array([0, 1, 2, 3, 0, 1, 2])
    with np.errstate(all="ignore"):
        found = weibull._negative_log_likelihood(parameters, data, rows, 0.01)
        for row, (shape, location, scale) in enumerate(parameters[:5]):
            density = stats.weibull_min.logpdf(data[rows[row]], shape, location, scale)
            finite = np.isfinite(density)
            expected = (
                -density[finite].sum()
                + 0.01 * scale**2
                + (~finite).sum() * 100 * np.log(np.finfo(float).max)
            )
            # SciPy's penalised likelihood charges the scale of the points left out as well.
            expected += (~finite).sum() * np.log(scale)
            np.testing.assert_allclose(found[row], expected, rtol=1e-12, err_msg=str(row))
    assert np.isposinf(found[5:]).all()
    assert 0 < np.count_nonzero(data[3] <= 0.4) < 30  # some points were outside
    assert ((data[0] + 0.1) / 0.05).max() > 10  # and some powers of 700 not finite


def test_start_is_scipys_of_2018():
    flat = np.linspace(
        0, 1, 50
    )  # mean - deviation lies inside the data: a tenth of the range below, scale 1
    tailed = np.sort(np.random.default_rng(10).exponential(size=50) ** 3)
    tailed = (tailed - tailed[0]) / (tailed[-1] - tailed[0])
    location, scale = weibull._initial_location_and_scale(np.stack([flat, tailed]))
    assert tailed.mean() - tailed.std() < 0
    np.testing.assert_allclose(location, [-0.1, tailed.mean() - tailed.std()], rtol=1e-14)
    np.testing.assert_allclose(scale, [1.0, tailed.std()], rtol=1e-14)


def test_statistic_is_that_of_kstest():
    samples = np.sort(draw(np.random.default_rng(11), 2, 40), axis=1)
    shape, location = np.array([[3.0, 4.0, 0.7], [2.0, -1.0, 9.0]]), np.array([[5.0, 5.5, 4.2]] * 2)
    scale = np.ones((2, 3))
    with np.errstate(all="ignore"):
        found = weibull._ks_statistic(samples, shape, location, scale)
    for row, start in np.ndindex(2, 3):
        if shape[row, start] > 0:
            law = (shape[row, start], -location[row, start], scale[row, start])
            expected = stats.kstest(-samples[row], "weibull_min", law).statistic
            assert found[row, start] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(found[1, 1])


@pytest.mark.parametrize("batches", [3, 50, 500, 2666, 2667])
def test_p_value_switches_as_in_2018(batches):
    statistic = np.linspace(0.3, min(2.6, np.sqrt(batches)), 60)[:, None] / np.sqrt(batches)
    found = weibull._ks_p_value(statistic, batches)[:, 0]
    asymptotic = stats.kstwobign.sf(statistic[:, 0] * np.sqrt(batches))
    exact = 2 * stats.ksone.sf(statistic[:, 0], batches)
    use = (batches > 2666) | (asymptotic > 0.8 - 0.0003 * batches)
    np.testing.assert_allclose(found, np.where(use, asymptotic, exact), rtol=1e-10)
    assert use.any() and (batches > 2666 or not use.all())


def test_p_value_in_a_row_keeps_the_largest():
    statistic = np.random.default_rng(12).uniform(0.6, 1.0, size=(200, 7)) / np.sqrt(500)
    statistic[0, 3] = np.nan
    each = weibull._ks_p_value(statistic.reshape(-1, 1), 500).reshape(200, 7)
    np.testing.assert_array_equal(
        np.nanmax(weibull._ks_p_value(statistic, 500), axis=1), np.nanmax(each, axis=1)
    )
    assert (special.kolmogorov(statistic * np.sqrt(500)) > 0.65).any(
        axis=1
    ).mean() < 1  # both laws occur


# --- bad input


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (np.ones(5), "shape (5,)"),
        (np.ones((2, 3, 4)), "shape (2, 3, 4)"),
        (np.ones((3, 1)), "at least 2 batches"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "maxima[1, 1] is nan"),
        (np.array([[1.0, np.inf]]), "is inf"),
        (np.array([[1.0, 2.0], [-0.5, 1.0]]), "maxima[1, 0] is -0.5"),
        ([[1.0, 2.0], [3.0]], "(N, batches)"),
        ([["a", "b"]], "(N, batches)"),
    ],
)
@pytest.mark.parametrize("method", weibull.METHODS)
def test_bad_maxima_end_in_one_line(bad, says, method):
    with pytest.raises(InputError) as caught:
        fit_reverse_weibull(bad, method=method)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_method_is_named():
    with pytest.raises(InputError, match="unknown method 'relased'; did you mean 'released'"):
        fit_reverse_weibull(np.ones((1, 2)), method="relased")
