"""Robust accuracy over all images, least distances and how near each attack comes to them: tables
and curves from rows.

An adversarial image of a targeted attempt has a wrong class too, so it counts among the least
distances of untargeted ones.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis import rate_interval
from jaxadv.analysis.robust import Curve, curve, optimality, robust_at
from jaxadv.attacks import catalog
from jaxadv.report import tables
from jaxadv.report.attempted import (
    NORMS,
    Budget,
    Group,
    budget_of,
    collect,
    counted,
    least,
    searched_norm,
)
from jaxadv.report.settings import RunSettings
from jaxadv.store.run import Run

USUAL = {
    "linf": (1 / 255, 2 / 255, 4 / 255, 8 / 255),
    "l2": (0.25, 0.5, 1.0, 2.0),
    "l1": (5.0, 10.0, 12.0),
    "l0": (10.0, 50.0, 100.0),
}
"""Budgets at which curves are read where a run has no attack with a budget."""
WITHIN = (100, 1000)
"""Evaluations within which successes are counted."""
POINTS = 200
"""Of a curve in its table, at most."""


class Robust(NamedTuple):
    """See the columns' meanings in `jaxadv.report.columns`."""

    robust_accuracy: pd.DataFrame
    optimality: pd.DataFrame
    curves: pd.DataFrame
    notes: list[str]  # sentences about what the numbers may hide

    def tables(self) -> dict[str, pd.DataFrame]:
        """By the names of their files."""
        return {
            "robust_accuracy": self.robust_accuracy,
            "optimality": self.optimality,
            "robustness_curves": self.curves,
        }


def compute(run: Run, order: Sequence[str] = ()) -> Robust:
    """Of the rows of a run. order: of models. Raises InputError for rows that cannot be read."""
    groups, settings = collect(run)
    clean = run.read("clean", ["model", "image_id", "label", "predicted"])
    images = {str(model): rows for model, rows in clean.groupby("model", sort=False)}
    every = [model for model in order if model in images]
    every += [model for model in images if model not in every]
    records: dict[str, list[dict[str, Any]]] = {"accuracy": [], "optimality": [], "curves": []}
    notes: list[str] = []
    for model in every:
        own = [group for group in groups if group.model == model]
        searched = least([group for group in own if searched_norm(settings, group)])
        records["accuracy"] += _budgets(own, settings, images[model], searched)
        records["optimality"] += _optimalities(own, settings)
        records["curves"] += _curves(model, settings, own, images[model], searched)
        notes += _notes(model, own)
    accuracy = tables.arranged(
        pd.DataFrame(records["accuracy"], columns=ACCURACY),
        ["norm", "attack", "setting", "eps", "model"],
        every,
        settings,
    )
    near = tables.arranged(
        pd.DataFrame(records["optimality"], columns=OPTIMALITY),
        ["target_kind", "distance", "attack", "setting", "model"],
        every,
        settings,
    )
    return Robust(accuracy, near, pd.DataFrame(records["curves"], columns=CURVES), notes)


ACCURACY = [
    *("model", "attack", "setting", "norm", "eps", "images", "correct", "robust"),
    *("robust_accuracy", "robust_accuracy_low", "robust_accuracy_high"),
    *("searched_accuracy", "below_minimum", "missed", "broken_by"),
    *("gradients_mean", "forwards_mean", *(f"within_{count}" for count in WITHIN)),
]


def _budgets(
    groups: Sequence[Group], settings: RunSettings, clean: pd.DataFrame, searched: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    """A line for each untargeted attack and budget."""
    untargeted = [group for group in groups if group.kind == "untargeted"]
    bounded = [
        (group, budget)
        for group in untargeted
        if (budget := budget_of(settings, group.attack, group.setting))
    ]
    for group, budget in bounded:
        yield _line(group, budget, ~group.rows["success"].to_numpy(), clean, searched) | _spent(
            group, budgeted=True
        )
    for group in untargeted:
        norm = searched_norm(settings, group)
        if norm is None:
            continue
        asked = {budget.eps for _, budget in bounded if budget.norm == norm} or set(USUAL[norm])
        for eps in sorted(asked):
            stands = ~(group.rows[norm].to_numpy(np.float64) <= eps * (1 + 1e-6))
            yield _line(group, Budget(norm, eps), stands, clean, searched) | _spent(
                group, budgeted=False
            )


def _line(
    group: Group,
    budget: Budget,
    stands: np.ndarray,
    clean: pd.DataFrame,
    searched: pd.DataFrame,
) -> dict[str, Any]:
    """Robust accuracy. stands: (N,) bool, of the attempts of the group."""
    ids = group.rows["image_id"].to_numpy()
    images, robust = counted(clean, group.attacked), int(stands.sum())
    low, high = rate_interval(robust, images.number)
    line = {
        **{"model": group.model, "attack": group.attack, "setting": group.setting},
        **{"norm": budget.norm, "eps": budget.eps, "images": images.number},
        **{"correct": images.correct, "robust": robust},
        "robust_accuracy": robust / images.number if images.number else np.nan,
        **{"robust_accuracy_low": float(low), "robust_accuracy_high": float(high)},
    }
    if not pd.Index(ids).isin(searched.index).all():
        return line | {"searched_accuracy": np.nan, "below_minimum": np.nan, "missed": np.nan}
    nearest = searched[budget.norm].reindex(ids).to_numpy(np.float64)
    holds = nearest > budget.eps * (1 + 1e-6)
    return line | {
        "searched_accuracy": robust_at(nearest, budget.eps) / images.number,
        "below_minimum": int((~stands & holds).sum()),
        "missed": int((stands & ~holds).sum()),
    }


def _spent(group: Group, *, budgeted: bool) -> dict[str, Any]:
    """Evaluations, and who broke what. budgeted: whether an attempt ends with its success."""
    rows = group.rows
    spent = (rows["gradients"] + rows["forwards"]).to_numpy()
    names = rows.loc[rows["success"], "broken_by"].astype(str)
    counts = names[names != ""].value_counts().sort_index()
    return {
        "broken_by": ", ".join(f"{name} {count}" for name, count in counts.items() if count),
        "gradients_mean": rows["gradients"].mean(),
        "forwards_mean": rows["forwards"].mean(),
        **{
            f"within_{count}": ((spent <= count) & rows["success"]).mean() if budgeted else np.nan
            for count in WITHIN
        },
    }


OPTIMALITY = [
    *("model", "attack", "setting", "target_kind", "distance", "n", "successes"),
    *("optimality", "distance_median", "best_median", "ratio_median"),
    *("gradients_mean", "forwards_mean"),
]


def _optimalities(groups: Sequence[Group], settings: RunSettings) -> Iterator[dict[str, Any]]:
    """A line for each search of one model."""
    searches = [(group, norm) for group in groups if (norm := searched_norm(settings, group))]
    if not searches:
        return
    anybody = least(groups)
    of_target = pd.concat(
        [
            group.rows[["image_id", "target", *NORMS]]
            for group in groups
            if group.kind != "untargeted"
        ]
        or [groups[0].rows[["image_id", "target", *NORMS]].iloc[:0]]
    )
    of_target = of_target.groupby(["image_id", "target"])[list(NORMS)].min()
    for group, norm in searches:
        rows = group.rows
        if group.kind == "untargeted":
            best = anybody[norm].reindex(rows["image_id"])
        else:
            best = of_target[norm].reindex(pd.MultiIndex.from_frame(rows[["image_id", "target"]]))
        own, known = rows[norm].to_numpy(np.float64), best.to_numpy(np.float64)
        success = rows["success"].to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = own[success] / known[success]
        yield {
            **{"model": group.model, "attack": group.attack, "setting": group.setting},
            **{"target_kind": group.kind, "distance": norm, "n": len(rows)},
            "successes": int(success.sum()),
            "optimality": optimality(own, known),
            "distance_median": _median(own),
            "best_median": _median(known),
            "ratio_median": _median(ratios[np.isfinite(ratios)]),
            "gradients_mean": rows["gradients"].mean(),
            "forwards_mean": rows["forwards"].mean(),
        }


def _median(values: np.ndarray) -> float:
    """The lower one of two in the middle, so that a half that is infinite takes nothing with it."""
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else np.nan


CURVES = [
    *("model", "distance", "images", "eps"),
    *("robust_accuracy", "robust_accuracy_low", "robust_accuracy_high"),
]


def _curves(
    model: str,
    settings: RunSettings,
    groups: Sequence[Group],
    clean: pd.DataFrame,
    searched: pd.DataFrame,
) -> Iterator[dict[str, Any]]:
    """The points of a model's curve in each norm in which some attack has looked for the least
    distance.
    """
    asked = {searched_norm(settings, group) for group in groups}
    ids = [group.attacked for group in groups if searched_norm(settings, group)]
    if not ids:
        return
    images = counted(clean, np.unique(np.concatenate(ids)))
    wrong = np.zeros(max(0, images.number - len(searched)))
    for norm in NORMS:
        if norm not in asked:
            continue
        found: Curve = curve(np.concatenate([wrong, searched[norm].to_numpy(np.float64)]))
        last = len(found.eps) - 1
        for place in np.unique(np.linspace(0, last, min(POINTS, last + 1)).round().astype(int)):
            eps, share, low, high = (float(values[place]) for values in found)
            yield {
                **{"model": model, "distance": norm, "images": images.number, "eps": eps},
                **{"robust_accuracy": share, "robust_accuracy_low": low},
                "robust_accuracy_high": high,
            }


def _notes(model: str, groups: Sequence[Group]) -> Iterator[str]:
    """Whether Square, which needs no gradients, broke what attacks with gradients did not."""
    for group in groups:
        late = int((group.rows["broken_by"] == "square").sum())
        if late:
            yield (
                f"Square, which looks at logits alone, broke {late} images of {model} "
                f"that {catalog.title(group.attack)}'s attacks with gradients did not "
                f"({group.setting}): its gradients may be masked, and searches by gradients too "
                "kind"
            )
