"""Success rate against each attack's swept parameter, a line a model, a panel a family."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis.families import LOOKS, family, grouped, present
from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.figures.canvas import LINE, PAPER, mark, new_figure, settle, wrapped
from jaxadv.report.names import anchor, parameter_title
from jaxadv.report.settings import RunSettings

_STROKES = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
)  # within a family
_LETTERS = 10.5  # of the title, in points
_MOST_PANELS = 8  # of one figure
_POINT = [
    *("model", "target_kind", "setting", "n"),
    *("success_rate", "success_rate_low", "success_rate_high"),
]


class Sweep(NamedTuple):
    """One attack with one of its parameters at several values."""

    attack: str
    parameter: str  # "eps", "steps", "confidence"
    # what else is fixed, e.g. "random target · steps=10"; model, value, success_rate with its
    # ends, n, target_kind and setting
    panels: list[tuple[str, pd.DataFrame]]

    @property
    def stem(self) -> str:
        return f"sweep_{self.attack}_{self.parameter}"


def swept(robustness: pd.DataFrame, settings: RunSettings) -> list[Sweep]:
    """Every parameter that an attack was given at two values at least, in the order of the
    table.
    """
    found: dict[tuple[str, str], list] = {}
    for key, rows in robustness.groupby(["attack", "target_kind"], sort=False):
        attack, kind = map(str, key)
        for name, lines in settings.lines(attack, rows["setting"]).items():
            for line in lines:
                along = rows[rows["setting"].isin(line.labels)]
                values = along["setting"].map(dict(zip(line.labels, line.values, strict=True)))
                points = (
                    along[[name for name in _POINT if name in along]]
                    .assign(value=values)
                    .sort_values("value", kind="stable")
                )
                title = " · ".join(filter(None, [KINDS.get(kind, kind), line.rest]))
                found.setdefault((attack, name), []).append((title, points))
    return [Sweep(attack, name, panels) for (attack, name), panels in found.items()]


def sweep_figure(sweep: Sweep):
    """A row of panels for each kind of target and fixed setting, a column for each family: its
    models before all others in grey.
    """
    from matplotlib.collections import LineCollection

    panels = sweep.panels[:_MOST_PANELS]
    models = grouped(list(dict.fromkeys(model for _, line in panels for model in line["model"])))
    families = present(models)
    most = max(sum(family(model) == name for model in models) for name in families)
    width = max(1.6 * len(families) + 0.7, 3.6)
    title = f"{catalog.title(sweep.attack)}: success against {parameter_title(sweep.parameter)}"
    lines_of_title = wrapped(title, 0.97 * width, _LETTERS)
    height = 1.95 * len(panels) + 0.17 * (most + len(lines_of_title) - 1) + 0.7
    figure = new_figure(width, height)
    grid = figure.subplots(len(panels), len(families), squeeze=False, sharex="row", sharey=True)
    strokes = {model: _stroke(models, model) for model in models}
    for row, (title, line) in zip(grid, panels, strict=True):
        values = sorted(line["value"].unique())
        of_model = {model: line[line["model"] == model] for model in models}
        lines = {
            model: (own["value"], 100 * own["success_rate"]) for model, own in of_model.items()
        }
        for axes, name in zip(row, families, strict=True):
            members = [model for model in models if family(model) == name]
            others = [np.column_stack(lines[model]) for model in models if model not in members]
            axes.add_collection(
                LineCollection(others, color=LINE, linewidth=0.8, zorder=1, clip_on=False)
            )
            for model in members:
                drawn = (
                    len(lines[model][0]) > 0
                )  # or else only named, and where nothing is there is nothing to make room for
                axes.plot(
                    *lines[model], clip_on=False, label=model, in_layout=drawn, **strokes[model]
                )
                _say(axes, sweep, of_model[model], strokes[model])
            _frame(axes, values)
        row[0].set_ylabel(f"{title.replace(' · ', chr(10))}\nsuccess rate, %", fontsize=8)
    for axes, name in zip(grid[0], families, strict=True):
        axes.set_title(name, fontsize=9)
    for axes in grid[-1]:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            fontsize=6.8,
            handlelength=3.2,
            borderaxespad=0,
            labelspacing=0.3,
        )
    figure.suptitle(
        "\n".join(lines_of_title),
        x=0.01,
        ha="left",
        fontsize=_LETTERS,
        fontweight="bold",
    )
    settle(figure)
    return figure


def _say(axes, sweep: Sweep, points: pd.DataFrame, stroke: dict) -> None:
    """Over each point of a line a marker of its own, which says its numbers, if they have n and
    interval.
    """
    if not set(_POINT) <= set(points):
        return
    name = parameter_title(sweep.parameter)
    for row in points.to_dict("records"):
        if np.isnan(row["success_rate"]):
            continue
        [point] = axes.plot(
            row["value"], 100 * row["success_rate"], clip_on=False, in_layout=False, **stroke
        )
        low, high = (100 * row[f"success_rate_{end}"] for end in ("low", "high"))
        says = f"{row['model']}, {name} {row['value']:g}: success {100 * row['success_rate']:.1f} %"
        says += f" [{low:.1f}, {high:.1f}], n {row['n']}"
        how = (sweep.attack, row["target_kind"], row["setting"], row["model"])
        mark(point, says, anchor("row", *map(str, how)))


def _frame(axes, values):
    axes.set_ylim(-3, 103)
    if min(values) > 0 and max(values) / min(values) > 12:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(_nothing())
    shown = values if len(values) <= 4 else values[:: -(-len(values) // 4)]
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.tick_params(labelsize=7)


def _nothing():
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _stroke(models: list[str], model: str) -> dict:
    """A family's colour and marker; within it, each member another kind of line."""
    name = family(model)
    look = LOOKS[name]
    member = [other for other in models if family(other) == name].index(model)
    size = 6.5 if look.marker == "*" else 4.5
    return {
        "color": look.colour,
        "marker": look.marker,
        "linestyle": _STROKES[member % len(_STROKES)],
        "linewidth": 1.2,
        "markersize": size,
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.4,
        "zorder": 3,
    }
