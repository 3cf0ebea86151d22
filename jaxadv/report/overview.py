"""The main table of the page: a row a model, its accuracy and each measure of its robustness."""

from html import escape

import numpy as np
import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.cells import between, framed, sortable
from jaxadv.report.findings import interval
from jaxadv.report.measures import Measure
from jaxadv.report.settings import budgets
from jaxadv.report.views import Views


def overview(views: Views, chief: list[Measure]) -> str:
    """Intervals in brackets, n and failures below; "" for a run with neither accuracy nor robustness."""
    if not views.models or not (
        len(views.made.accuracy) or len(views.made.robustness) or len(views.made.clever)
    ):
        return ""
    columns = [("model", "", _names)]
    if len(views.made.accuracy):
        columns.append(
            ("top-1", "clean images", lambda model: _accuracy(views.made.accuracy, model))
        )
    for attack, rows in budgets(views.made.robustness):
        first = rows[rows["target_kind"] == rows["target_kind"].iloc[0]]
        last = first[first["setting"] == first["setting"].iloc[-1]]
        what = f"success, {KINDS.get(last['target_kind'].iloc[0], last['target_kind'].iloc[0])}, {last['setting'].iloc[0]}"
        columns.append(
            (catalog.title(attack), what, lambda model, last=last: _success(last, model))
        )
    for measure in chief:
        if measure.attack == "clever" and measure.setting != "2":
            continue
        what = f"{measure.what}, {KINDS.get(measure.target_kind, measure.target_kind)}"
        columns.append((measure.short, what, lambda model, measure=measure: _mean(measure, model)))
    head = "".join(
        f'<th scope="col" class="{"" if number else "text"}" data-c="{number}">{escape(name)}<small>{escape(what)}</small></th>'
        for number, (name, what, _) in enumerate(columns)
    )
    lines = "".join(
        f"<tr>{''.join(cell(model) for _, _, cell in columns)}</tr>" for model in views.models
    )
    lead = (
        "<p>Success: smaller is more robust. Distances and scores: larger is. In brackets 95 % intervals; below, n and failed attempts. "
        "A heading sorts.</p>"
    )
    return lead + framed(f"<thead><tr>{head}</tr></thead>", f"<tbody>{lines}</tbody>", "overview")


def _names(model: str) -> str:
    return f'<th scope="row">{escape(model)}</th>'


def _cell(rows: pd.DataFrame, model: str, value: str, text, note) -> str:
    row = rows[rows["model"] == model]
    if row.empty or not np.isfinite(row.iloc[0][value]):
        below = f"<small>{note(row.iloc[0])}</small>" if len(row) else ""
        endless = len(row) and np.isposinf(row.iloc[0][value])
        return f'<td data-v="{"1e999" if endless else ""}">{"∞" if endless else "–"}{below}</td>'
    row = row.iloc[0]
    return f"<td {sortable(row[value])}>{text(row)}<small>{note(row)}</small></td>"


def _accuracy(table: pd.DataFrame, model: str) -> str:
    name = "top1_percent"
    return _cell(
        table,
        model,
        name,
        lambda row: f"{row[name]:.1f} %{between(name, row)}",
        lambda row: f"n {row['images']}",
    )


def _success(rows: pd.DataFrame, model: str) -> str:
    return _cell(
        rows,
        model,
        "success_rate",
        lambda row: f"{100 * row['success_rate']:.0f} %{_whole(row)}",
        lambda row: f"n {row['n']}, {row['failures']} failed",
    )


def _whole(row: pd.Series) -> str:
    return f" <small>[{100 * row['success_rate_low']:.0f}, {100 * row['success_rate_high']:.0f}]</small>"


def _mean(measure: Measure, model: str) -> str:
    counted = "n {n}" if measure.attack == "clever" else "n {n}, {failures} failed"
    return _cell(
        measure.all_points,
        model,
        "mean",
        lambda row: (
            interval(row["mean"], row["low"], row["high"])
            .replace("[", "<small>[")
            .replace("]", "]</small>")
        ),
        lambda row: counted.format(n=row["n"], failures=row["failures"]),
    )
