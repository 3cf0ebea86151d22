"""What each image says: the values that measures of robustness are means of, so that models can be
compared on the same images.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.report.measures import Measure, chief
from jaxadv.report.settings import budgets
from jaxadv.report.tables import Panel
from jaxadv.store.run import Run

Key = tuple[str, str, str, str]
"""Attack, target kind, setting and distance."""


class Sample(NamedTuple):
    """One measure, image by image."""

    attack: str  # or "clever"
    target_kind: str
    setting: str  # "" for CLEVER
    distance: str  # l1, l2, linf; "success" for an attack of a fixed budget
    # (images, models): distance, score, or 0 and 1; inf: the attack failed; NaN: not attacked, or
    # invalid
    values: pd.DataFrame

    @property
    def key(self) -> list[str]:
        return [self.attack, self.target_kind, self.setting, self.distance]

    @property
    def is_distance(self) -> bool:
        return self.attack != "clever" and self.distance != "success"


def samples(run: Run, robustness: pd.DataFrame, found: list[Measure]) -> list[Sample]:
    """Of the chief measures, and of the last setting of each attack of a fixed budget.

    Rows are read part by part.
    """
    keys: list[Key] = []
    for measure in chief(found):
        setting = "" if measure.attack == "clever" else measure.setting
        keys.append((measure.attack, measure.target_kind, setting, measure.length))
    for attack, of_attack in budgets(robustness):
        for kind, rows in of_attack.groupby("target_kind", sort=False):
            keys.append((attack, str(kind), str(rows["setting"].iloc[-1]), "success"))
    order = [measure.all_points["model"] for measure in found] + [robustness["model"]]
    return collect(run, keys, list(dict.fromkeys(name for names in order for name in names)))


def collect(run: Run, keys: Iterable[Key], models: list[str]) -> list[Sample]:
    """The samples of some measures, each by its `Sample.key`. Rows are read part by part.

    Args:
        run: whose rows are read.
        keys: attack, target kind, setting and distance of each.
        models: the order of the columns.

    Returns:
        Those that have any rows: all may be invalid.
    """
    pieces: dict[Key, list[pd.DataFrame]] = {key: [] for key in keys}
    how = list(Panel._fields)
    lengths = {key[3] for key in pieces if key[0] != "clever"} - {"success"}
    wanted: dict[tuple[str, str, str], list[Key]] = {}
    for key in pieces:
        wanted.setdefault(key[:3], []).append(key)
    for part in run.parts(
        "examples", ["model", *how, "image_id", "success", "invalid", *sorted(lengths)]
    ):
        for panel, rows in part[~part["invalid"]].groupby(how, sort=False, observed=True):
            attack, kind, setting = map(str, panel)
            for key in wanted.get((attack, kind, setting), ()):
                values = (
                    rows["success"].astype(float)
                    if key[3] == "success"
                    else rows[key[3]].where(rows["success"], np.inf)
                )
                pieces[key].append(_piece(rows, values))
    if any(key[0] == "clever" for key in pieces):
        for part in run.parts("clever", ["model", "image_id", "target_kind", "norm", "score"]):
            for key, rows in part.groupby(["target_kind", "norm"], sort=False, observed=True):
                kind, norm = map(str, key)
                if ("clever", kind, "", f"l{norm}") in pieces:
                    pieces["clever", kind, "", f"l{norm}"].append(_piece(rows, rows["score"]))
    return [
        Sample(*key, _square(rows, models)) for key, rows in pieces.items() if any(map(len, rows))
    ]


def common_images(run: Run) -> set[int]:
    """The images that every model of the run classifies right."""
    right, wrong = set(), set()
    for rows in run.parts("clean", ["image_id", "label", "predicted"]):
        correct = rows["label"] == rows["predicted"]
        right.update(rows["image_id"][correct])
        wrong.update(rows["image_id"][~correct])
    return right - wrong


def mean(values: pd.DataFrame) -> pd.Series:
    """Over successes, as the study counts: of each model, NaN without any."""
    return values.where(np.isfinite(values)).mean()


def _piece(rows: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": rows["model"].astype(str),
            "image_id": rows["image_id"],
            "value": values.astype(float),
        }
    )


def _square(pieces: list[pd.DataFrame], models: list[str]) -> pd.DataFrame:
    """(images, models), images in order. Of several attempts on an image the first."""
    rows = pd.concat(pieces).drop_duplicates(["image_id", "model"])
    square = rows.pivot(index="image_id", columns="model", values="value").sort_index()
    return square[[name for name in models if name in square]]
