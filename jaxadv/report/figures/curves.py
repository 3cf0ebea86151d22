"""Robust accuracy against the budget, a line a model with its interval, a panel a family."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis.families import LOOKS, family, grouped, present
from jaxadv.report.figures.canvas import LINE, PAPER, new_figure, settle
from jaxadv.support.norms import DISTANCES

_STROKES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
"""Within a family."""


class Curves(NamedTuple):
    """The curves of all models in one norm."""

    norm: str  # "linf"
    points: pd.DataFrame  # rows of `jaxadv.report.robust.CURVES`
    budgets: (
        pd.DataFrame
    )  # lines of the table robust_accuracy in that norm, of attacks with a budget

    @property
    def stem(self) -> str:
        return f"robustness_curves_{self.norm}"

    @property
    def title(self) -> str:
        return f"Robust accuracy against the budget in {DISTANCES[self.norm]}"

    @property
    def caption(self) -> str:
        n = sorted({int(count) for count in self.points["images"]})
        told = f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
        text = (
            "Share of all images for which no search of the run found an adversarial image "
            f"within the budget ({DISTANCES[self.norm]}, "
            f"pixel range 1); images that are wrong when clean count as found; n {told} a model; "
            "shaded: 95 % intervals (Wilson); a panel a family, the other models in grey."
        )
        return text + " Points: attacks with that budget." * bool(len(self.budgets))


def every(curves: pd.DataFrame, accuracy: pd.DataFrame) -> list[Curves]:
    """One for each norm of the tables robustness_curves and robust_accuracy."""
    found = []
    for norm, points in curves.groupby("distance", sort=False):
        own = accuracy[(accuracy["norm"] == norm) & accuracy["within_100"].notna()]
        found.append(Curves(str(norm), points, own))
    return found


def curves_figure(curves: Curves):
    """A panel a family, two in a row."""
    from matplotlib.collections import LineCollection

    models = grouped(list(dict.fromkeys(curves.points["model"])))
    families = present(models)
    steps = {model: curves.points[curves.points["model"] == model] for model in models}
    widest = _widest(list(steps.values()))
    lines = {model: _line(points, widest) for model, points in steps.items()}
    rows = -(-len(families) // 2)
    figure = new_figure(7.6 if len(families) > 1 else 4.6, 2.5 * rows + 0.5)
    grid = figure.subplots(rows, min(2, len(families)), squeeze=False, sharex=True, sharey=True)
    for axes, name in zip(grid.flat, families, strict=False):
        members = [model for model in models if family(model) == name]
        others = [np.column_stack(lines[model][:2]) for model in models if model not in members]
        axes.add_collection(LineCollection(others, color=LINE, linewidth=0.8, zorder=1))
        for number, model in enumerate(members):
            eps, share, low, high = lines[model]
            axes.fill_between(eps, low, high, color=LOOKS[name].colour, alpha=0.1, linewidth=0)
            style = {"linestyle": _STROKES[number % len(_STROKES)], "linewidth": 1.3}
            axes.plot(eps, share, color=LOOKS[name].colour, label=model, zorder=3, **style)
            own = curves.budgets[curves.budgets["model"] == model]
            axes.plot(
                own["eps"],
                100 * own["robust_accuracy"],
                linestyle="none",
                marker=LOOKS[name].marker,
                markersize=4.5,
                color=LOOKS[name].colour,
                markeredgecolor=PAPER,
                markeredgewidth=0.4,
                zorder=4,
            )
        axes.set_xlim(0, widest)
        axes.set_ylim(-3, 103)
        axes.set_title(name, fontsize=9)
        legend = axes.legend(fontsize=6.8, handlelength=3.2, labelspacing=0.3, loc="upper right")
        legend.set_in_layout(False)  # long names take no room from the curves
    for axes in list(grid.flat)[len(families) :]:
        axes.set_visible(False)
    figure.supxlabel(f"budget, {DISTANCES[curves.norm]}, pixel range 1", fontsize=8.5)
    figure.supylabel("robust accuracy, %", fontsize=8.5)
    settle(figure)
    return figure


def _widest(steps: list[pd.DataFrame]) -> float:
    """Where the last of the curves has come to a twentieth of the images, or ends."""
    ends = [
        float(points["eps"][points["robust_accuracy"] > 0.05].max()) * 1.05
        for points in steps
        if (points["robust_accuracy"] > 0.05).any()
    ]
    return max((end for end in ends if end > 0), default=1.0)


def _line(points: pd.DataFrame, widest: float) -> tuple[np.ndarray, ...]:
    """The corners of a curve and of its interval, in percent, up to ``widest``."""
    eps = points["eps"].to_numpy(float)
    kept = eps <= widest
    along = np.append(np.repeat(eps[kept], 2)[1:], widest)
    names = ("robust_accuracy", "robust_accuracy_low", "robust_accuracy_high")
    ends = [100 * np.repeat(points[name].to_numpy(float)[kept], 2) for name in names]
    return along, *ends
