"""The extreme-value fit of CLEVER: from batch maxima of gradient norms to a local Lipschitz
constant (NumPy, float64).

The maxima S of a sampled, bounded quantity follow a reverse Weibull law: P(S <= s) = exp(-((a_W -
s) / b_W) ** c_W) for s < a_W. Its right end point a_W estimates the true maximum, the Lipschitz
constant (Weng et al., ICLR 2018, section 3.2 and algorithm 1). The released code fits -S with
SciPy's `weibull_min` from seven initial shapes, and keeps the fit with the largest
Kolmogorov-Smirnov p-value. The method "released" gives that code's results with SciPy 1.0 and 1.1
of 2018. Current SciPy differs in the initial location and scale, in the p-value, and on degenerate
samples.

A fit depends neither on the order of the samples, which are sorted first, nor on the other rows.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from model_ports.errors import InputError, unknown

METHODS = ("released", "mle", "max")
INITIAL_SHAPES = (0.1, 1.0, 5.0, 10.0, 20.0, 50.0, 100.0)
MINIMUM_P_VALUE = 0.001  # if no fit reaches it, the sample has no acceptable fit
SCALE_PENALTY = 0.01
# The penalty of SciPy's likelihood for each point outside the support.
OUTSIDE_PENALTY = 100.0 * np.log(np.finfo(np.float64).max)

PARAMETERS = 3  # shape, location, scale
TOLERANCE = 1e-4  # of SciPy's `fmin`, for the parameters and for the function value
LIMIT = 200 * PARAMETERS  # of SciPy's `fmin`, for iterations and for function evaluations
BLOCK_ELEMENTS = 1 << 16  # samples in one block, so that temporary arrays fit the processor's cache

_Objective: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(parameters (Q, 3), indices of their problems (Q,)) -> values (Q,)."""


class WeibullFit(NamedTuple):
    """The best fit of each row, arrays (N,) float64.

    For a row without a fit all fields except `lipschitz` are NaN.
    """

    shape: np.ndarray
    """c_W > 0"""
    location: np.ndarray
    """a_W, the right end point, in the unit of the maxima. SciPy's ``loc`` for -S is -a_W"""
    scale: np.ndarray
    """b_W > 0, in the unit of the maxima"""
    ks: np.ndarray
    """Kolmogorov-Smirnov statistic of the maxima against the fit, in [0, 1]"""
    p_value: np.ndarray
    """the p-value of that statistic, at least 0.001"""
    lipschitz: np.ndarray
    """the estimate: `location`, or the largest maximum if no fit is acceptable"""


class _Candidates(NamedTuple):
    """The fits from all initial shapes, arrays (N, 7), in the unit of the maxima."""

    shape: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    ks: np.ndarray
    p_value: np.ndarray


def fit_reverse_weibull(maxima: ArrayLike, *, method: str = "released") -> WeibullFit:
    """Fit a reverse Weibull law to each row of batch maxima. Its right end point is the Lipschitz
    estimate.

    The method "released" is maximum likelihood on data rescaled to [0, 1]. It adds 0.01 * scale **
    2 to the negative log-likelihood. The release means to regularise the shape but uses the scale.
    The method "mle" has no such term; it may diverge (L of 1e7) on light-tailed samples. The method
    "max" fits nothing and takes the largest maximum.

    A row without an acceptable fit gives its largest maximum. Such a row has equal maxima, or a
    best p-value that is NaN or below 0.001. The estimate can be below the largest maximum, since a
    point outside the support has a finite penalty.

    Args:
        maxima: (N, batches), finite, at least 0, with at least two batches.
        method: "released", "mle" or "max".

    Returns:
        The fit of each row.

    Raises:
        InputError: if the maxima have another shape or value, or the method is unknown.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    samples = np.sort(_checked(maxima), axis=1)
    shape, location, scale, ks, p_value = (np.full(len(samples), np.nan) for _ in range(5))
    fit = WeibullFit(shape, location, scale, ks, p_value, lipschitz=samples[:, -1].copy())
    spread = np.flatnonzero(samples[:, 0] < samples[:, -1])
    if method == "max" or not len(spread):
        return fit
    candidates = _fit_from_every_start(
        samples[spread], SCALE_PENALTY if method == "released" else 0.0
    )
    p_value = np.where(np.isnan(candidates.p_value), -np.inf, candidates.p_value)
    best = p_value.argmax(axis=1)  # the first among equals, as nanargmax
    accepted = p_value.max(axis=1) >= MINIMUM_P_VALUE
    for field, values in zip(_Candidates._fields, candidates, strict=True):
        getattr(fit, field)[spread[accepted]] = values[accepted, best[accepted]]
    fit.lipschitz[spread[accepted]] = fit.location[spread[accepted]]
    return fit


def _checked(value: ArrayLike) -> np.ndarray:
    """The maxima as a float64 array, or InputError."""
    try:
        maxima = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"maxima do not form an array of numbers ({error}); give an array (N, batches)"
        ) from error
    if maxima.ndim != 2 or maxima.shape[1] < 2:
        raise InputError(
            f"maxima have shape {maxima.shape}; they must be (N, batches) with at least 2 batches: "
            "pass a single set as maxima[None]"
        )
    wrong = ~(np.isfinite(maxima) & (maxima >= 0))
    if wrong.any():
        row, batch = np.argwhere(wrong)[0]
        raise InputError(
            f"maxima[{row}, {batch}] is {maxima[row, batch]}; maxima of norms are finite and >= 0 "
            f"({wrong.any(axis=1).sum()} of {len(maxima)} rows are wrong): leave these rows out"
        )
    return maxima


def _fit_from_every_start(samples: np.ndarray, penalty: float) -> _Candidates:
    """Fit sorted ``samples`` (N, batches) from each initial shape. No row may be constant."""
    largest = samples[:, -1:]
    width = samples[:, -1:] - samples[:, :1]
    data = np.ascontiguousarray(
        ((largest - samples) / width)[:, ::-1]
    )  # -S rescaled to [0, 1], ascending
    rows = np.repeat(np.arange(len(data)), len(INITIAL_SHAPES))
    location, scale = _initial_location_and_scale(data)
    start = np.stack([np.tile(INITIAL_SHAPES, len(data)), location[rows], scale[rows]], axis=1)

    def objective(parameters: np.ndarray, problems: np.ndarray) -> np.ndarray:
        return _negative_log_likelihood(parameters, data, rows[problems], penalty)

    with np.errstate(all="ignore"):
        best = minimise(objective, start).reshape(len(data), len(INITIAL_SHAPES), PARAMETERS)
        shape = best[..., 0]
        location = largest - width * best[..., 1]
        scale = width * best[..., 2]
        ks = np.empty(shape.shape)
        for block in _blocks(len(data), samples.shape[1] * len(INITIAL_SHAPES)):
            ks[block] = _ks_statistic(samples[block], shape[block], location[block], scale[block])
        return _Candidates(shape, location, scale, ks, _ks_p_value(ks, samples.shape[1]))


def _blocks(rows: int, elements_per_row: int) -> Iterator[slice]:
    """Slices that together cover ``rows``, each of about BLOCK_ELEMENTS elements."""
    step = max(1, BLOCK_ELEMENTS // elements_per_row)
    return (slice(first, first + step) for first in range(0, rows, step))


def _initial_location_and_scale(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The initial location and scale of SciPy 1.0, each (M,), for ascending data (M, batches).

    They are the moment estimates at shape 1 for any initial shape. If these do not support all
    data, the location is a tenth of the range below the data and the scale is 1.
    """
    scale = np.sqrt(data.var(axis=1))
    location = data.mean(axis=1) - scale
    holds = location < data[:, 0]
    outside = data[:, 0] - 0.1 * (data[:, -1] - data[:, 0])
    return np.where(holds, location, outside), np.where(holds, scale, 1.0)


def _negative_log_likelihood(
    parameters: np.ndarray, data: np.ndarray, rows: np.ndarray, penalty: float
) -> np.ndarray:
    """Negative Weibull log-likelihood + penalty * scale ** 2, (P,), of parameters (P, 3) on
    data[rows] (P, batches).

    It is infinite for a shape or scale that is not positive. A point outside the support does not
    enter the sum and costs OUTSIDE_PENALTY. So does a point whose log-density is not finite
    (SciPy's `_penalized_nnlf`).
    """
    valid = np.flatnonzero((parameters[:, 0] > 0) & (parameters[:, 2] > 0))
    value = np.full(len(parameters), np.inf)
    batches = data.shape[1]
    for block in _blocks(len(valid), batches):
        chosen = valid[block]
        shape, location, scale = parameters[chosen].T[:, :, None]
        x = data[rows[chosen]]
        x -= location
        x /= scale
        outside = np.zeros(len(x))
        cut = np.flatnonzero(
            ~(x[:, 0] > 0)
        )  # data ascend, so in all other rows every point is inside the support
        if len(cut):
            part = x[cut]
            outside[cut] = np.count_nonzero(~(part > 0), axis=1)
            x[cut] = np.where(part > 0, part, 1.0)  # log 0 and power 1, which is subtracted below
        log_x = np.log(x, out=x)
        log_sum = log_x.sum(axis=1)
        log_x *= shape
        power_sum = np.exp(log_x, out=log_x).sum(axis=1) - outside
        shape = shape[:, 0]
        likelihood = (
            (batches - outside) * np.log(shape)
            + (shape - 1) * log_sum
            - power_sum
            - outside * OUTSIDE_PENALTY
        )
        infinite = np.flatnonzero(~np.isfinite(likelihood))
        if len(infinite):
            likelihood[infinite] = _penalised_likelihood(
                parameters[chosen[infinite]], data[rows[chosen[infinite]]]
            )
        value[chosen] = batches * np.log(scale[:, 0]) - likelihood + penalty * scale[:, 0] ** 2
    return value


def _penalised_likelihood(parameters: np.ndarray, data: np.ndarray) -> np.ndarray:
    """The sum of all finite log-densities, minus OUTSIDE_PENALTY for each other point, (P,)."""
    shape, location, scale = parameters.T[:, :, None]
    x = (data - location) / scale
    log_x = np.log(x)
    log_density = np.log(shape) + (shape - 1) * log_x - np.exp(shape * log_x)
    counted = np.isfinite(log_density)
    return np.where(counted, log_density, 0.0).sum(axis=1) - OUTSIDE_PENALTY * np.count_nonzero(
        ~counted, axis=1
    )


def minimise(objective: _Objective, start: np.ndarray) -> np.ndarray:
    """Nelder-Mead on P independent problems at once. Each takes the same steps as in SciPy's
    `fmin`.

    The coefficients are the usual ones: reflection 1, expansion 2, contraction and shrinkage 1/2.
    The first simplex adds 5 % along each axis, or 0.00025 to a coordinate of 0. The limits are
    checked between iterations only, as in SciPy of 2018.

    Args:
        objective: a function from parameters (Q, 3) and the indices of their problems (Q,) to
            values (Q,), which may be +inf.
        start: (P, 3), the initial parameters.

    Returns:
        (P, 3), the parameters at the minimum.
    """
    problems = np.arange(len(start))
    simplex = np.repeat(start[:, None, :], PARAMETERS + 1, axis=1)
    axes = np.arange(PARAMETERS)
    simplex[:, axes + 1, axes] = np.where(start != 0, 1.05 * start, 0.00025)
    value = np.stack(
        [objective(simplex[:, corner], problems) for corner in range(PARAMETERS + 1)], axis=1
    )
    simplex, value = _in_order(simplex, value)
    evaluations = np.full(len(start), PARAMETERS + 1)
    result = start.copy()
    iteration = 1
    while len(problems):
        result[problems] = simplex[:, 0]
        small = np.abs(simplex[:, 1:] - simplex[:, :1]).max(axis=(1, 2)) <= TOLERANCE
        with np.errstate(invalid="ignore"):  # inf - inf is NaN, which counts as not flat
            flat = np.abs(value[:, :1] - value[:, 1:]).max(axis=1) <= TOLERANCE
        going = ~(small & flat) & (evaluations < LIMIT) & (iteration < LIMIT)
        problems, simplex, value, evaluations = (
            each[going] for each in (problems, simplex, value, evaluations)
        )
        evaluations += _improve(objective, problems, simplex, value)
        simplex, value = _in_order(simplex, value)
        iteration += 1
    return result


def _in_order(simplex: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the corners of each simplex by ascending value. Equal corners keep their order."""
    order = np.argsort(value, axis=1, kind="stable")
    return np.take_along_axis(simplex, order[:, :, None], axis=1), np.take_along_axis(
        value, order, axis=1
    )


def _improve(
    objective: _Objective, problems: np.ndarray, simplex: np.ndarray, value: np.ndarray
) -> np.ndarray:
    """Run one iteration on ordered simplices (P, 4, 3) and values (P, 4), in place.

    Returns the evaluations used, (P,).
    """
    worst = simplex[:, -1]
    centre = (simplex[:, 0] + simplex[:, 1] + simplex[:, 2]) / PARAMETERS
    reflected = 2 * centre - worst
    f_reflected = objective(reflected, problems)

    expand = f_reflected < value[:, 0]
    second = expand | ~(f_reflected < value[:, -2])  # otherwise the reflected point is accepted
    outside = second & ~expand & (f_reflected < value[:, -1])
    trial = np.where(expand[:, None], 3 * centre - 2 * worst, 0.5 * centre + 0.5 * worst)
    trial = np.where(outside[:, None], 1.5 * centre - 0.5 * worst, trial)
    f_trial = np.full(len(problems), np.nan)
    f_trial[second] = objective(trial[second], problems[second])

    limit = np.where(expand | outside, f_reflected, value[:, -1])
    take_trial = np.where(
        outside, f_trial <= limit, f_trial < limit
    )  # False where there is no trial, since its value is NaN
    take_reflected = ~take_trial & (expand | ~second)
    shrink = np.flatnonzero(~take_trial & ~take_reflected)
    for taken, point, f_point in (
        (take_trial, trial, f_trial),
        (take_reflected, reflected, f_reflected),
    ):
        simplex[taken, -1] = point[taken]
        value[taken, -1] = f_point[taken]
    for corner in range(1, PARAMETERS + 1) if len(shrink) else ():
        best = simplex[shrink, 0]
        simplex[shrink, corner] = best + 0.5 * (simplex[shrink, corner] - best)
        value[shrink, corner] = objective(simplex[shrink, corner], problems[shrink])

    spent = 1 + second.astype(int)
    spent[shrink] += PARAMETERS
    return spent


def _ks_statistic(
    samples: np.ndarray, shape: np.ndarray, location: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Two-sided Kolmogorov-Smirnov statistics, (M, starts), of ascending samples (M, batches)
    against fits (M, starts).

    The statistic is NaN if shape or scale is not positive.
    """
    batches = samples.shape[1]
    x = (location[..., None] - samples[:, None, ::-1]) / scale[..., None]
    below = -np.expm1(-(np.maximum(x, 0.0) ** shape[..., None]))
    steps = np.arange(batches + 1) / batches
    statistic = np.maximum((steps[1:] - below).max(axis=-1), (below - steps[:-1]).max(axis=-1))
    return np.where((shape > 0) & (scale > 0), statistic, np.nan)


def _ks_p_value(statistic: np.ndarray, batches: int) -> np.ndarray:
    """The p-values of SciPy 1.0's mode `approx`, (M, starts).

    A large asymptotic p-value is used. Otherwise the p-value is twice the exact one-sided one. From
    2667 batches on it is always asymptotic. The exact law is slow and falls with the statistic. So
    in each row only the smallest statistic that needs the exact law gets a p-value. The others
    cannot win and get NaN. Where the two laws overlap, the order may reverse.
    """
    p_value = special.kolmogorov(statistic * np.sqrt(batches))
    exact = ~(p_value > 0.80 - batches * 0.3 / 1000)
    exact_statistic = np.where(exact, statistic, np.nan)
    contender = exact_statistic == np.fmin.reduce(exact_statistic, axis=1, keepdims=True)
    p_value[exact] = np.nan
    p_value[contender] = 2 * special.smirnov(batches, statistic[contender])
    return p_value
