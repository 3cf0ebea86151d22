"""CLEVER's fits: the reverse Weibull density over the histogram of what it was fitted to."""

import numpy as np
import pandas as pd

from jaxadv.analysis.families import INK, LOOKS, family
from jaxadv.core.targets import KINDS
from jaxadv.report.figures.canvas import LINE, SOFT, new_figure, settle
from jaxadv.report.tables import MINIMUM_P_VALUE
from jaxadv.support.norms import SCORE_TITLES


def density(values, *, shape: float, location: float, scale: float) -> np.ndarray:
    """The reverse Weibull density at ``values``: (c/b) ((a-s)/b)^(c-1) exp(-((a-s)/b)^c) below the
    end point a, 0 from there on.
    """
    below = np.maximum((location - np.asarray(values, float)) / scale, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(shape / scale) + (shape - 1) * np.log(below) - below**shape
    return np.where(below > 0, np.exp(logarithm), 0.0)


def weibull_figure(rows: pd.DataFrame):
    """rows of CLEVER, of one norm and kind of target: a row of panels a model."""
    models = list(dict.fromkeys(rows["model"]))
    columns = max(int((rows["model"] == model).sum()) for model in models)
    figure = new_figure(2.75 * columns + 0.3, 2.15 * len(models) + 0.75)
    grid = figure.subplots(len(models), columns, squeeze=False)
    for line, model in zip(grid, models, strict=True):
        of_model = rows[rows["model"] == model]
        for axes, (_, row) in zip(line, of_model.iterrows(), strict=False):
            _panel(axes, row)
        for axes in line[len(of_model) :]:
            axes.set_visible(False)
        line[0].set_ylabel(f"{model}\ndensity", color=INK)
    first = rows.iloc[0]
    for axes in grid[-1]:
        axes.set_xlabel("largest gradient norm of a batch", fontsize=8)
    norm, kind = (
        SCORE_TITLES.get(first["norm"], first["norm"]),
        KINDS.get(first["target_kind"], first["target_kind"]),
    )
    figure.suptitle(
        f"CLEVER {norm}, {kind}: fits of the batch maxima",
        x=0.01,
        ha="left",
        fontsize=10,
        fontweight="bold",
    )
    settle(figure)
    return figure


def _panel(axes, row):
    maxima = np.asarray(row["maxima"], float)
    maxima = maxima[np.isfinite(maxima)]
    where = f"image {row['image_id']}" + (f" → {row['target']}" if row["target"] >= 0 else "")
    if not len(maxima):
        axes.set_title(f"{where}\nno finite maxima", fontsize=7.8, fontweight="normal")
        return
    colour = LOOKS[family(row["model"])].colour
    spread = np.ptp(maxima) or 0.1 * abs(maxima).max() or 1.0
    bins = int(np.clip(np.sqrt(len(maxima)) * 1.5, 6, 40))
    heights, _, _ = axes.hist(
        maxima,
        bins=bins,
        range=(maxima.min(), maxima.min() + spread),
        density=True,
        color=colour,
        alpha=0.4,
    )
    parameters = [row["shape"], row["location"], row["scale"]]
    fitted = np.isfinite(parameters).all() and row["shape"] > 0 and row["scale"] > 0
    fitted = fitted and row["p_value"] >= MINIMUM_P_VALUE
    right = maxima.max() + 0.35 * spread
    if fitted:
        values = np.linspace(maxima.min() - 0.1 * spread, right, 300)
        curve = density(values, shape=row["shape"], location=row["location"], scale=row["scale"])
        axes.plot(values, curve, color=INK, linewidth=1.3)
        told = f"shape {row['shape']:.3g}, p = {_p_value(row['p_value'])}"
        heights = np.append(heights, np.minimum(curve, 2.5 * heights.max()))
    else:
        told = "no acceptable fit: the largest maximum is used"
    end = row["lipschitz"]
    if end <= right:
        axes.axvline(end, color=INK, linewidth=0.9, dashes=(2, 2))
    elif not np.isnan(end):
        axes.annotate(
            f"end point {end:.3g} →",
            (1, 0.97),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=7,
            color=SOFT,
        )
    axes.set_xlim(maxima.min() - 0.1 * spread, right)
    axes.set_ylim(0, 1.15 * heights.max())
    axes.set_title(f"{where}\n{told}", fontsize=7.8, fontweight="normal", linespacing=1.35)
    axes.grid(axis="y", color=LINE)
    axes.tick_params(labelsize=7)


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
