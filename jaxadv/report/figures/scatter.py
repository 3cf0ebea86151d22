"""Robustness against accuracy, a point a model, with the law fitted to the models on the Pareto
frontier.
"""

import numpy as np
import pandas as pd

from jaxadv.analysis.families import INK, LOOKS, family, present
from jaxadv.report.figures.canvas import PAPER, SOFT, mark, new_figure, settle
from jaxadv.report.figures.labels import place
from jaxadv.report.findings import interval
from jaxadv.report.measures import Measure
from jaxadv.report.names import anchor

_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)  # errors
_FINE_TICKS = tuple(
    np.arange(0.05, 1, 0.05).round(2)
)  # where models are so alike that few of the others are in sight
_MARKER = 7.0  # points


def scatter(measure: Measure):
    """The figure of one measure: accuracy to the right, error on a log axis, so that robustness = a
    + b ln(error) is a line.

    Bars are 95 % intervals of the mean, cut where they would squeeze the points together. A model
    without an error is drawn at half an error.
    """
    return scatters([measure])


def scatters(measures: list[Measure]):
    """Such panels side by side, with one key: the study's Fig. 2 has I-FGSM, C&W and CLEVER."""
    figure = new_figure((7.6 if len(measures) == 1 else 5.6 * len(measures)), 5.3)
    panels = []
    for axes, measure in zip(
        figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True
    ):
        points = measure.points[measure.points["error"].notna()].reset_index(drop=True)
        error, mean = points["error"].to_numpy(float), points["mean"].to_numpy(float)
        shown = np.maximum(error, 0.5 / points["images"].to_numpy(float))
        frontier = points["model"].isin(measure.frontier).to_numpy()
        _frame(axes, shown, points, measure)
        _law(axes, error[frontier], measure, narrow=len(measures) > 1)
        _points(axes, points, shown, frontier, measure, below=16 if len(measures) == 1 else 27)
        panels.append((axes, points["model"], shown, mean, points))
    everything = pd.concat([points for *_, points in panels], ignore_index=True)
    _key(figure, everything, np.array([any(measure.frontier for measure in measures)]))
    settle(figure)
    for panel in panels:
        _names(*panel)
    return figure


def _frame(axes, shown, points, measure):
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    axes.set_xscale("log")
    low, high = (shown.min(), shown.max()) if len(shown) else (0.01, 0.1)
    room = max((high / low) ** 0.12, 1.25)
    axes.set_xlim(
        min(high * room, 1.0 if high < 1 else 1.1), low / room
    )  # accuracy grows to the right
    ticks, fine = (
        [tick for tick in among if low / room <= tick <= high * room]
        for among in (_TICKS, _FINE_TICKS)
    )
    ticks = ticks if len(ticks) > 2 else max(ticks, fine, key=len)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda tick, _: f"{100 * (1 - tick):.4g} %")
    axes.xaxis.set_minor_formatter(NullFormatter())
    least, most = points["mean"].min(), points["mean"].max()
    spread = (
        most - least or abs(most) or 1.0
    )  # a bar may go beyond the means by this, and is cut there
    bottom = np.nanmax([np.nanmin([least, points["low"].min()]), least - spread])
    top = np.nanmin([np.nanmax([most, points["high"].max()]), most + spread])
    margin = 0.12 * (top - bottom or spread)
    axes.set_ylim(bottom - margin, top + margin)
    axes.set_title(measure.title)
    axes.set_xlabel("top-1 accuracy (spaced by the logarithm of the error)")
    axes.set_ylabel(f"{measure.what}, pixel range 1 (larger: more robust)")


def _law(axes, error, measure, *, narrow):
    """The fitted line across the frontier, and its formula."""
    law = measure.law
    if law is None:
        return
    if np.isnan(law["slope"]):
        text = "no law: too few models on the frontier"
    else:
        ends = np.array([error[error > 0].min(), error.max()])
        axes.plot(
            ends,
            law["intercept"] + law["slope"] * np.log(ends),
            color=INK,
            linewidth=1.4,
            zorder=2,
            dashes=(5, 2),
            label="_law",
        )
        if law["models"] < 3:
            text = f"line through the {law['models']} models on the frontier: too few to test a law"
        else:
            text = _formula(law, measure, ",\n" if narrow else ", ")
    corner = {
        "xycoords": "axes fraction",
        "xytext": (5, -3),
        "textcoords": "offset points",
        "va": "top",
    }
    corner["bbox"] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
    axes.annotate(text, (0, 1), **corner, color=SOFT, fontsize=8, label="_formula")


def _formula(law: dict, measure: Measure, separator: str) -> str:
    sign = "+" if law["slope"] >= 0 else "−"
    ends = (
        (law["slope_low"], law["slope_high"])
        if law["slope"] >= 0
        else (-law["slope_high"], -law["slope_low"])
    )
    return (
        f"{measure.distance} = {law['intercept']:.3g} {sign} {abs(law['slope']):.2g} "
        f"[{ends[0]:.2g}, {ends[1]:.2g}] · ln(error){separator}"
        f"fitted to the {law['models']} models on the frontier, R² = {law['r_squared']:.2f}"
    )


def _points(axes, points, shown, frontier, measure, *, below):
    """below: how far down the top of the frame, where the formula is, a bar that is cut is told, in
    points.
    """
    for number, model in enumerate(points["model"]):
        look = LOOKS[family(model)]
        low, high = points["low"].iloc[number], points["high"].iloc[number]
        if np.isfinite([low, high]).all():
            bottom, top = axes.get_ylim()
            if high > top:
                up = {"va": "top", "ha": "left", "fontsize": 6.5, "color": SOFT, "label": "_cut"}
                axes.annotate(
                    f"↑ {high:.2g}",
                    (shown[number], top),
                    xytext=(3, -below),
                    textcoords="offset points",
                    **up,
                )
            low, high = max(low, bottom), min(high, top)
            axes.plot(
                [shown[number]] * 2,
                [low, high],
                color=look.colour,
                alpha=0.6,
                linewidth=1.1,
                zorder=1.5,
                solid_capstyle="butt",
            )
        edge = (
            {"markeredgecolor": INK, "markeredgewidth": 1.3}
            if frontier[number]
            else {"markeredgecolor": PAPER, "markeredgewidth": 0.6}
        )
        [point] = axes.plot(
            shown[number],
            points["mean"].iloc[number],
            look.marker,
            color=look.colour,
            markersize=_size(look.marker),
            zorder=3,
            **edge,
        )
        mark(point, _says(points.iloc[number], measure), anchor("model", model))


def _says(row: pd.Series, measure: Measure) -> str:
    """E.g. "vgg_16: mean L2 0.660 [0.612, 0.714], n 16, 0 failed; top-1 99.0 % of 500"."""
    counted = f"n {row['n']}"
    if measure.attack != "clever":
        counted += f", {row['failures']} failed"
    value = interval(row["mean"], row["low"], row["high"])
    accuracy = f"top-1 {100 * (1 - row['error']):.1f} % of {row['images']:.0f}"
    return f"{row['model']}: {measure.what} {value}, {counted}; {accuracy}"


def _size(marker: str) -> float:
    """A star is small for its size."""
    return _MARKER * (1.5 if marker == "*" else 1.0)


def _key(figure, points, frontier):
    """Families, and what the marks mean, below the axes, where they can cover nothing."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=marker,
            color=colour,
            markersize=_size(marker),
            markeredgecolor=PAPER,
            label=name,
        )
        for name, (colour, marker) in ((name, LOOKS[name]) for name in present(points["model"]))
    ]
    if frontier.any():
        handles += [
            Line2D(
                [],
                [],
                linestyle="",
                marker="o",
                color=PAPER,
                markeredgecolor=INK,
                markeredgewidth=1.3,
                markersize=_MARKER,
                label="on the frontier",
            ),
            Line2D([], [], color=INK, linewidth=1.4, dashes=(5, 2), label="law"),
        ]
    if points[["low", "high"]].notna().all(axis=1).any():
        handles.append(Line2D([], [], color=SOFT, alpha=0.6, linewidth=1.1, label="95 % interval"))
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(len(handles), 6),
            columnspacing=1.4,
            handletextpad=0.5,
        )


def _names(axes, models, shown, mean, points):
    """Each model's name beside its point; a name that fits nowhere is left out."""
    figure = axes.figure
    renderer = figure.canvas.get_renderer()
    to_points = 72 / figure.dpi
    texts = [
        axes.text(0, 0, model, fontsize=7.5, color=INK, zorder=4, label="_name") for model in models
    ]
    sizes = [
        (box.width * to_points, box.height * to_points)
        for box in (text.get_window_extent(renderer) for text in texts)
    ]
    at = axes.transData.transform(np.column_stack([shown, mean])) * to_points
    frame = axes.get_window_extent(renderer).extents * to_points
    avoid, weights = _obstacles(axes, renderer, shown, points)
    corners = place(
        at, sizes, bounds=frame, radius=_MARKER / 2 + 1, avoid=avoid * to_points, weights=weights
    )
    to_data = axes.transData.inverted()
    for text, corner, size, point in zip(texts, corners, sizes, at, strict=True):
        if np.isnan(corner).any():
            text.remove()
            continue
        text.set_position(to_data.transform(corner / to_points))
        text.set_verticalalignment("bottom")
        nearest = np.clip(point, corner, corner + size)
        away = nearest - point
        length = np.hypot(*away)
        if length > _MARKER:
            start = point + away / length * (_MARKER / 2 + 1)
            ends = to_data.transform(np.array([start, nearest]) / to_points)
            axes.plot(*ends.T, color=SOFT, linewidth=0.6, zorder=1)
    for text in axes.texts:
        text.set_clip_on(False)


def _obstacles(axes, renderer, shown, points) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (K, 4) in pixels of what a name should rather not cover, and how much so: the formula,
    the law's line, bars (a little).
    """
    formulas = [text for text in axes.texts if text.get_label() in ("_formula", "_cut")]
    boxes = [[*text.get_window_extent(renderer).padded(4).extents, 5.0] for text in formulas]
    for number in range(len(points)):
        low, high = points["low"].iloc[number], points["high"].iloc[number]
        if np.isfinite([low, high]).all():
            (left, bottom), (_, top) = axes.transData.transform(
                [(shown[number], low), (shown[number], high)]
            )
            boxes.append([left - 2, bottom, left + 2, top, 0.5])
    for line in axes.lines:
        if line.get_label() == "_law":
            ends = axes.transData.transform(line.get_xydata())
            along = ends[0] + np.linspace(0, 1, 60)[:, None] * (ends[1] - ends[0])
            corners = np.sort(np.stack([along[:-1], along[1:]]), axis=0)
            boxes += [
                [*low, *high, 3.0] for low, high in zip(corners[0] - 2, corners[1] + 2, strict=True)
            ]
    boxes = np.array(boxes, float).reshape(-1, 5)
    return boxes[:, :4], boxes[:, 4]
