"""All models of all runs in one order, for each measure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jaxadv.report.measures import Measure, chief
from jaxadv.report.ranking import alike
from jaxadv.report.settings import budgets
from jaxadv.report.study.samples import Key
from jaxadv.report.tables import Tables

if TYPE_CHECKING:
    from jaxadv.report.compare import Compared

COLUMNS = [
    *("attack", "target_kind", "setting", "distance", "place", "run", "model"),
    *("value", "value_low", "value_high", "n", "failures", "top1_percent"),
]


def leaderboard(runs: Sequence["Compared"], first: Key | None) -> pd.DataFrame:
    """A row for each measure, run and model, the most robust first; equal values share a place.

    Args:
        runs: in order.
        first: the measure that comes first, by attack, target kind, setting and distance.

    Returns:
        The chief distances and scores of each run, and the success of its fixed budgets. Of success
        the smallest is the most robust.
    """
    tables = [table for one in runs for table in _of_run(one)]
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    every = pd.concat(tables, ignore_index=True)
    keys = ["attack", "target_kind", "setting", "distance"]
    groups = {key: rows for key, rows in every.groupby(keys, sort=False)}
    ordered = sorted(groups, key=lambda key: key != first)  # stable
    return pd.concat([_placed(groups[key]) for key in ordered], ignore_index=True)[COLUMNS]


def _of_run(one: "Compared") -> list[pd.DataFrame]:
    found = [_of_measure(measure) for measure in chief(one.measures)]
    found += list(_of_budgets(one.made))
    accuracy = (
        one.made.accuracy.set_index("model")["top1_percent"] if len(one.made.accuracy) else None
    )
    return [
        rows.assign(
            run=one.name,
            top1_percent=np.nan if accuracy is None else accuracy.reindex(rows["model"]).to_numpy(),
        )
        for rows in found
    ]


def _of_measure(measure: Measure) -> pd.DataFrame:
    points = measure.points.rename(
        columns={"mean": "value", "low": "value_low", "high": "value_high"}
    )
    return points[["model", "value", "value_low", "value_high", "n", "failures"]].assign(
        attack=measure.attack,
        target_kind=measure.target_kind,
        setting="" if measure.attack == "clever" else measure.setting,
        distance=measure.length,
    )


def _of_budgets(made: Tables):
    names = {
        "success_rate": "value",
        "success_rate_low": "value_low",
        "success_rate_high": "value_high",
    }
    columns = ["model", "attack", "target_kind", "setting", *names, "n", "failures"]
    for _, of_attack in budgets(made.robustness):
        for _, rows in of_attack.groupby("target_kind", sort=False):
            last = rows[rows["setting"] == rows["setting"].iloc[-1]]
            yield last[columns].rename(columns=names).assign(distance="success")


def _placed(rows: pd.DataFrame) -> pd.DataFrame:
    """One measure in order, with places."""
    sign = -1 if rows["distance"].iloc[0] == "success" else 1
    rows = rows[rows["value"].notna()].reset_index(drop=True)
    groups = alike(sign * rows["value"])
    order = [number for group in groups for number in group]
    places, place = {}, 1
    for group in groups:
        places |= dict.fromkeys(group, place)
        place += len(group)
    return rows.assign(place=[places[number] for number in range(len(rows))]).iloc[order]
