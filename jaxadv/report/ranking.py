"""The order of the models by one measure: ranks with ties, and what differences on the same images
settle.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.core.targets import KINDS
from jaxadv.report.columns import three_digits
from jaxadv.report.measures import Measure
from jaxadv.report.names import panel_name
from jaxadv.report.settings import budgets

_FIRST = ("cw",)
"""The attacks whose measure orders the models of a run that has it, as in the study's figures."""


class Order(NamedTuple):
    """What the models of a run are ordered by."""

    name: str  # "C&W L2, random target"
    what: str  # "mean L2", or "success"
    key: tuple[str, str, str, str]  # attack, target kind, setting, distance in the comparison
    larger: bool  # whether more robust models have larger values
    points: pd.DataFrame  # model, value, low, high, n; only models that have a value


class Rank(NamedTuple):
    """The place of one model, 1 for the most robust."""

    place: int
    tied: bool  # whether another model has the same place
    best: int  # the best and the worst place that settled differences leave open
    worst: int

    @property
    def text(self) -> str:
        """E.g. "2=" for a tie."""
        return f"{self.place}{'=' * self.tied}"


def chosen(chief: Sequence[Measure], robustness: pd.DataFrame) -> Order | None:
    """The order of a run's models.

    Args:
        chief: of `jaxadv.report.measures.chief`.
        robustness: the table of attempts.

    Returns:
        The first that two models have: C&W's mean distance, another search's, the success of an
        attack with a fixed budget, the CLEVER score. None if there is none.
    """
    searches = [measure for measure in chief if measure.attack != "clever"]
    searches.sort(key=lambda measure: measure.attack not in _FIRST)
    scores = [measure for measure in chief if measure.attack == "clever"]
    scores.sort(key=lambda measure: measure.setting != "2")
    found = [
        *map(_of_measure, searches),
        *_of_budgets(robustness),
        *map(_of_measure, scores),
    ]
    return next((order for order in found if len(order.points) > 1), None)


def _of_measure(measure: Measure) -> Order:
    setting = "" if measure.attack == "clever" else measure.setting
    key = (measure.attack, measure.target_kind, setting, measure.length)
    kind = KINDS.get(measure.target_kind, measure.target_kind)
    points = measure.points.rename(columns={"mean": "value"})
    return Order(f"{measure.short}, {kind}", measure.what, key, True, points)


def _of_budgets(robustness: pd.DataFrame) -> Iterable[Order]:
    for attack, rows in budgets(robustness):
        rows = rows[rows["target_kind"] == rows["target_kind"].iloc[0]]
        rows = rows[(rows["setting"] == rows["setting"].iloc[-1]) & rows["success_rate"].notna()]
        if rows.empty:
            continue
        kind, setting = str(rows["target_kind"].iloc[0]), str(rows["setting"].iloc[0])
        points = rows[["model", "n", "failures"]].assign(
            value=rows["success_rate"],
            low=rows["success_rate_low"],
            high=rows["success_rate_high"],
        )
        name = panel_name(attack, kind, setting).replace(" · ", ", ")
        key = (attack, kind, setting, "success")
        yield Order(name, "success", key, False, points.reset_index(drop=True))


def shown(order: Order, value: float) -> str:
    """A value of the order as the page prints it. Models with the same text are tied."""
    return three_digits(value) if order.larger else f"{100 * value:.1f} %"


def alike(values: Iterable[float], text=three_digits) -> list[list[int]]:
    """The numbers of the values that print alike, together, from the largest value to the smallest.

    Printing keeps order, so that no value of one group lies between those of another.
    """
    groups: dict[str, list[int]] = {}
    values = list(values)
    for number in sorted(range(len(values)), key=lambda number: -values[number]):
        groups.setdefault(text(values[number]), []).append(number)
    return list(groups.values())


def ranks(order: Order, comparison: pd.DataFrame) -> dict[str, Rank]:
    """The rank of each model that has a value.

    Args:
        order: of `chosen`.
        comparison: the table of `jaxadv.report.study.models`, of all measures.

    Returns:
        Ranks by model. A model's best place is one more than the number of models that are surely
        more robust on the images of both; its worst place leaves as many behind as are surely less
        robust. Both include its own place.
    """
    models = list(order.points["model"])
    better: dict[str, int] = dict.fromkeys(models, 0)
    worse = dict(better)
    compared = pairs(order, comparison)[["model", "other", "low", "high"]]
    for model, other, low, high in compared.to_numpy().tolist():
        ahead, behind = (model, other) if low > 0 else (other, model)
        if (low > 0 or high < 0) and ahead in better and behind in better:
            better[behind] += 1
            worse[ahead] += 1
    values = order.points["value"] if order.larger else -order.points["value"]
    found, place = {}, 1
    sign = 1 if order.larger else -1
    for group in alike(values, lambda value: shown(order, sign * value)):
        for number in group:
            name, last = models[number], place + len(group) - 1
            best, worst = 1 + better[name], len(models) - worse[name]
            found[name] = Rank(place, len(group) > 1, min(best, place), max(worst, last))
        place += len(group)
    return found


def pairs(order: Order, comparison: pd.DataFrame) -> pd.DataFrame:
    """The differences of the order's measure: model, other, common, value, low, high.

    Above 0 the first model is the more robust, on the images of both.
    """
    keys = ["attack", "target_kind", "setting", "distance"]
    if comparison.empty:
        return pd.DataFrame(columns=["model", "other", "common", "value", "low", "high"])
    rows = comparison[
        np.logical_and.reduce([comparison[k] == v for k, v in zip(keys, order.key, strict=True)])
    ]
    ends = ["difference", "difference_low", "difference_high"]
    value, low, high = (rows[name] for name in ends)
    if not order.larger:
        value, low, high = -value, -high, -low
    return rows[["model", "other", "common"]].assign(value=value, low=low, high=high)


def difference(order: Order, comparison: pd.DataFrame, first: str, second: str) -> dict | None:
    """How far one model is ahead of another on the images of both: common, value, low, high.

    None if they have no images in common.
    """
    table = pairs(order, comparison)
    there = table[(table["model"] == first) & (table["other"] == second)]
    if len(there):
        row = there.iloc[0]
        told = {
            "common": row["common"],
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
        }
    else:
        back = table[(table["model"] == second) & (table["other"] == first)]
        if back.empty:
            return None
        row = back.iloc[0]
        told = {
            "common": row["common"],
            "value": -row["value"],
            "low": -row["high"],
            "high": -row["low"],
        }
    return told if np.isfinite(told["value"]) else None
