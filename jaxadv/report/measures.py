"""What a run says of each model's robustness in one number: mean distances of the searching
attacks, mean CLEVER scores.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.settings import NOTHING, RunSettings
from jaxadv.support.norms import DISTANCES, SCORE_TITLES

_KINDS = (
    "random",
    "untargeted",
    "least",
    "top2",
)  # which kind of target stands for an attack: the study's figures take random


class Measure(NamedTuple):
    """One measure of robustness, larger is more robust."""

    attack: str  # or "clever"
    target_kind: str
    setting: str  # of CLEVER: the norm
    length: str  # the distance that the attack makes small, or that the score bounds, e.g. "l2"
    is_studied: bool  # whether the setting has the study's norm, loss and rule
    # model, mean (NaN: no success; infinite: no gradient), low, high (95 %), n, failures,
    # error (a share), images
    all_points: pd.DataFrame

    law: (
        dict | None
    )  # the row of the table of laws, fitted to the frontier; None without accuracies
    frontier: list[str]  # the models on it

    @property
    def points(self) -> pd.DataFrame:
        """Those that have a finite mean."""
        return self.all_points[np.isfinite(self.all_points["mean"])].reset_index(drop=True)

    @property
    def distance(self) -> str:
        if self.attack == "clever":
            return SCORE_TITLES.get(self.setting, self.setting)
        return DISTANCES[self.length]

    @property
    def short(self) -> str:
        """E.g. "C&W L2", "CLEVER L∞"."""
        name = catalog.title(self.attack)
        return f"{name} {self.distance}" if self.attack == "clever" else name

    @property
    def what(self) -> str:
        """E.g. "mean L2"."""
        return f"mean {self.distance} score" if self.attack == "clever" else f"mean {self.distance}"

    @property
    def title(self) -> str:
        kind = KINDS.get(self.target_kind, self.target_kind)
        setting = "" if self.attack == "clever" else self.setting
        return " · ".join(filter(None, [self.short, kind, setting]))

    @property
    def figure_title(self) -> str:
        return f"{self.title}: robustness against accuracy"

    @property
    def stem(self) -> str:
        """For a file's name."""
        return "_".join(filter(None, [self.attack, self.target_kind, self.setting]))


def measures(
    accuracy: pd.DataFrame,
    robustness: pd.DataFrame,
    clever: pd.DataFrame,
    law: pd.DataFrame,
    settings: RunSettings = NOTHING,
) -> list[Measure]:
    """Every measure that the tables of a run hold, in their order."""
    error = (
        accuracy.set_index("model")[["error_percent", "images"]]
        if len(accuracy)
        else pd.DataFrame()
    )
    laws = {
        (row["attack"], row["target_kind"], row["setting"], row["distance"]): row
        for row in law[law["fitted"] == "frontier"].to_dict("records")
    }

    def measure(attack: str, kind: str, setting: str, length: str, points: pd.DataFrame) -> Measure:
        fit = laws.get((attack, kind, "" if attack == "clever" else setting, length))
        frontier = fit["frontier"].split(", ") if fit else []
        return Measure(
            attack,
            kind,
            setting,
            length,
            settings.is_studied(attack, setting),
            points,
            fit,
            frontier,
        )

    found = []
    for key, rows in robustness.groupby(["attack", "target_kind", "setting"], sort=False):
        attack, kind, setting = map(str, key)
        length = settings.minimises(attack, setting)
        if length:
            found.append(
                measure(attack, kind, setting, length, _points(rows, f"{length}_mean", error))
            )
    for key, rows in clever.groupby(["target_kind", "norm"], sort=False):
        kind, norm = map(str, key)
        found.append(
            measure(
                "clever",
                kind,
                norm,
                f"l{norm}",
                _points(rows.assign(failures=0), "score_mean", error),
            )
        )
    return found


def chief(found: list[Measure]) -> list[Measure]:
    """One for each searching attack and norm of CLEVER: random targets if there are, and the first
    setting, as studied if there is one.
    """
    best: dict[tuple, Measure] = {}
    for measure in found:
        key = (measure.attack, measure.setting if measure.attack == "clever" else "")
        if key not in best or _rank(measure) < _rank(best[key]):
            best[key] = measure
    return list(best.values())


def _rank(measure: Measure) -> tuple[int, bool]:
    kind = _KINDS.index(measure.target_kind) if measure.target_kind in _KINDS else len(_KINDS)
    return kind, not measure.is_studied


def _points(rows: pd.DataFrame, column: str, error: pd.DataFrame) -> pd.DataFrame:
    points = rows[["model", "n", "failures"]].assign(
        mean=rows[column], low=rows[f"{column}_low"], high=rows[f"{column}_high"]
    )
    known = (
        error.reindex(points["model"])
        if len(error)
        else pd.DataFrame(np.nan, range(len(points)), ["error_percent", "images"])
    )
    return points.assign(
        error=known["error_percent"].to_numpy() / 100, images=known["images"].to_numpy()
    ).reset_index(drop=True)
