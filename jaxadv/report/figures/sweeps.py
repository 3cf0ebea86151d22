"""Success rate against each attack's swept parameter, a line a model."""

from typing import NamedTuple

import pandas as pd

from jaxadv.report.families import LOOKS, family, grouped
from jaxadv.report.figures.canvas import PAPER, new_figure, settle
from jaxadv.report.names import ATTACK_NAMES, PARAMETER_NAMES, TARGET_NAMES, parameters

_STROKES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))  # within a family
_COLUMNS = 3
_MOST_PANELS = 12  # of one figure


class Sweep(NamedTuple):
    """One attack with one of its parameters at several values."""

    attack: str
    parameter: str  # "eps", "steps", "confidence"
    panels: list[tuple[str, pd.DataFrame]]  # what else is fixed, e.g. "random target · steps=10"; model, value, success_rate

    @property
    def stem(self) -> str:
        return f"sweep_{self.attack}_{self.parameter}"


def swept(robustness: pd.DataFrame) -> list[Sweep]:
    """Every parameter that an attack was given at two values at least, in the order of the table."""
    found: dict[tuple[str, str], list] = {}
    for (attack, kind), rows in robustness.groupby(["attack", "target_kind"], sort=False):
        settings = {setting: parameters(setting) for setting in rows["setting"].unique()}
        names = dict.fromkeys(name for values in settings.values() for name in values)
        for name in names:
            rests = {setting: _rest(values, name) for setting, values in settings.items() if _number(values.get(name)) is not None}
            for rest in dict.fromkeys(rests.values()):
                along = rows[rows["setting"].map(rests).eq(rest)]
                if along["setting"].nunique() < 2:
                    continue
                line = along[["model", "success_rate"]].assign(value=[_number(settings[setting][name]) for setting in along["setting"]])
                title = " · ".join(filter(None, [TARGET_NAMES.get(kind, kind), rest]))
                found.setdefault((attack, name), []).append((title, line.sort_values("value", kind="stable")))
    return [Sweep(attack, name, panels) for (attack, name), panels in found.items()]


def _rest(values: dict[str, str], name: str) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items() if key != name)


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def sweep_figure(sweep: Sweep):
    """Panels side by side, one for each kind of target and fixed setting, with one key of all models."""
    from matplotlib.lines import Line2D

    panels = sweep.panels[:_MOST_PANELS]
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    models = grouped(list(dict.fromkeys(model for _, line in panels for model in line["model"])))
    key_columns = min(len(models), 5 if columns > 1 else 3)
    key_height = 0.19 * -(-len(models) // key_columns) + 0.1
    figure = new_figure(max(3.6 * columns, 5.4), 2.9 * rows + key_height)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    strokes = {model: _stroke(models, model) for model in models}
    for axes, (title, line) in zip(grid.flat, panels, strict=False):
        for model in models:
            of_model = line[line["model"] == model]
            axes.plot(of_model["value"], 100 * of_model["success_rate"], clip_on=False, zorder=3, **strokes[model])
        _frame(axes, title, sorted(line["value"].unique()), sweep.parameter)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("success rate, %")
    figure.suptitle(ATTACK_NAMES.get(sweep.attack, sweep.attack), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    handles = [Line2D([], [], label=model, **strokes[model]) for model in models]
    figure.legend(handles=handles, loc="outside lower center", ncols=key_columns, columnspacing=1.2, handlelength=2.8, fontsize=7.5)
    settle(figure)
    return figure


def _frame(axes, title, values, parameter):
    axes.set_title(title, fontsize=9, fontweight="normal")
    axes.set_ylim(-3, 103)
    if min(values) > 0 and max(values) / min(values) > 12:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(_nothing())
    shown = values if len(values) <= 7 else values[:: -(-len(values) // 7)]
    axes.set_xticks(shown, [f"{value:g}" for value in shown])
    axes.set_xlabel(PARAMETER_NAMES.get(parameter, parameter))


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
    }
