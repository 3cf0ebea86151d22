"""summary.json: what a run found, for other programs. docs/run_folder.md lists its keys, which
stay.

A number that is missing is null; one that is infinite is the text "inf" or "-inf".
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jaxadv.analysis.families import family
from jaxadv.report import tables
from jaxadv.report.findings import panel_means
from jaxadv.report.headline import headline
from jaxadv.report.measures import Measure, chief
from jaxadv.report.ranking import Order, Rank, chosen, ranks
from jaxadv.report.views import Views
from jaxadv.support.files import write_atomically

NAME, FORMAT = "summary.json", 1
_LAW = ("intercept", "slope", "slope_low", "slope_high", "r_squared", "models")
_HOW = ("attack", "target_kind", "setting")


def write(views: Views, path: str | os.PathLike) -> None:
    """Write the summary of a run to ``path``, whole or not at all."""
    text = json.dumps(plain(summary(views)), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(Path(path), f"{text}\n".encode())


def summary(views: Views) -> dict[str, Any]:
    """The summary as a dict, numbers as they are."""
    counted = tables.countable(views.made)
    first, spread = chief(views.measures), panel_means(views.made.transfer)
    order = chosen(first, counted.robustness)
    comparison = views.study["comparison"]
    ranked = ranks(order, comparison) if order else {}
    manifest = views.manifest
    told = headline(counted, order, ranked, comparison, spread, first)
    return {
        "format": FORMAT,
        "run": views.name,
        "date": manifest.get("date"),
        "commit": manifest.get("commit"),
        "versions": manifest.get("versions"),
        "machine": manifest.get("machine"),
        "seconds": manifest.get("seconds"),
        "settings": manifest.get("settings"),
        "data": manifest.get("data"),
        "counts": views.made.counts,
        "findings": [finding._asdict() for finding in told],
        "order": _order(order),
        "models": [_model(name, counted.accuracy, ranked.get(name)) for name in views.models],
        "measures": [_measure(measure) for measure in views.measures],
        "success": _success(counted.robustness),
        "transfer": _transfer(spread),
        "warnings": views.faults,
    }


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return None
        return number if math.isfinite(number) else "inf" if number > 0 else "-inf"
    return value if value is None else str(value)


def _order(order: Order | None) -> dict[str, Any] | None:
    if order is None:
        return None
    how = dict(zip((*_HOW, "distance"), order.key, strict=True))
    return {"name": order.name, **how, "larger_is_more_robust": order.larger}


def _model(name: str, accuracy: pd.DataFrame, rank: Rank | None) -> dict[str, Any]:
    rows = accuracy[accuracy["model"] == name]
    told = None
    if len(rows):
        row = rows.iloc[0]
        names = ("top1_percent", "top1_percent_low", "top1_percent_high", "top5_percent", "images")
        told = {column: row[column] for column in names}
    place = rank._asdict() if rank else dict.fromkeys(Rank._fields)
    return {"name": name, "family": family(name), "accuracy": told, "rank": place}


def _measure(measure: Measure) -> dict[str, Any]:
    points = measure.all_points[["model", "mean", "low", "high", "n", "failures"]]
    return {
        "attack": measure.attack,
        "target_kind": measure.target_kind,
        "setting": measure.setting,
        "distance": measure.length,
        "values": points.to_dict("records"),
        "law": {name: measure.law[name] for name in _LAW} if measure.law else None,
        "frontier": measure.frontier,
    }


def _success(robustness: pd.DataFrame) -> list[dict[str, Any]]:
    names = {
        "success_rate": "rate",
        "success_rate_low": "low",
        "success_rate_high": "high",
    }
    columns = ["model", *names, "n", "failures", "near_ties"]
    found = []
    for key, rows in robustness.groupby(list(_HOW), sort=False):
        values = rows[columns].rename(columns=names).to_dict("records")
        found.append(dict(zip(_HOW, map(str, key), strict=True)) | {"values": values})
    return found


def _transfer(spread: pd.DataFrame) -> list[dict[Any, Any]]:
    return spread.rename(columns={"best": "best_source"}).to_dict("records")


def read(path: str | os.PathLike) -> dict[str, Any]:
    """A summary that `write` wrote; empty where there is none, or one of another format."""
    try:
        value = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) and value.get("format") == FORMAT else {}
