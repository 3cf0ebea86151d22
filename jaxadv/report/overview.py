"""The main table of the page: a row a model, its rank, its accuracy and each measure of its
robustness.
"""

from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis.families import family
from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.cells import between, framed, sortable
from jaxadv.report.findings import interval
from jaxadv.report.measures import Measure
from jaxadv.report.names import anchor
from jaxadv.report.ranking import Order, Rank, ranks
from jaxadv.report.settings import budgets
from jaxadv.report.views import Views


class Column(NamedTuple):
    """One column of the table of models."""

    name: str
    what: str  # a second line of its heading
    kind: str  # class of its heading: "text" to the left
    cell: Callable[[str], str]  # the HTML of one model


def overview(views: Views, chief: list[Measure], order: Order | None) -> str:
    """The table of models, in the order of their ranks.

    Args:
        views: of the run.
        chief: of `jaxadv.report.measures.chief`.
        order: of `jaxadv.report.ranking.chosen`.

    Returns:
        HTML with intervals in brackets, n and failures below; "" for a run with neither accuracy
        nor robustness.
    """
    if not views.models or not (
        len(views.made.accuracy) or len(views.made.robustness) or len(views.made.clever)
    ):
        return ""
    ranked = ranks(order, views.study["comparison"]) if order else {}
    columns = [Column("model", "", "text", _names), Column("family", "", "text", _family)]
    if order:
        what = f"by {order.name.partition(',')[0]}"
        columns.append(Column("rank", what, "", lambda model: _rank(ranked.get(model))))
    columns += _columns(views, chief)
    head = "".join(
        f'<th scope="col" class="{one.kind}" '
        f'data-c="{number}">{escape(one.name)}<small>{escape(one.what)}</small></th>'
        for number, one in enumerate(columns)
    )
    last = len(views.models) + 1
    models = sorted(views.models, key=lambda name: ranked[name].place if name in ranked else last)
    lines = "".join(
        f'<tr id="{escape(anchor("model", model))}">{"".join(one.cell(model) for one in columns)}</tr>'
        for model in models
    )
    lead = (
        "<p>Distances and scores: larger is more robust. Success: smaller is. Brackets hold 95 % "
        "intervals. Below are n and failed attempts."
    )
    if order:
        ties = " Models with = are tied." * any(rank.tied for rank in ranked.values())
        lead += (
            f" Ranks are by {escape(order.name)}.{ties} In the brackets of a rank are the places "
            "that differences on the same images leave open."
        )
    return f"{lead}</p>" + framed(
        f"<thead><tr>{head}</tr></thead>", f"<tbody>{lines}</tbody>", "overview"
    )


def _columns(views: Views, chief: list[Measure]) -> Iterator[Column]:
    """Accuracy, the attacks with a fixed budget, and the measures.

    What else a model has, stands here too.
    """
    if len(views.made.accuracy):
        yield Column("top-1", "clean images", "", partial(_accuracy, views.made.accuracy))
    for attack, rows in budgets(views.made.robustness):
        first = rows[rows["target_kind"] == rows["target_kind"].iloc[0]]
        last = first[first["setting"] == first["setting"].iloc[-1]]
        kind, setting = last["target_kind"].iloc[0], last["setting"].iloc[0]
        what = ", ".join(filter(None, ["success", KINDS.get(kind, kind), setting]))
        yield Column(catalog.title(attack), what, "", partial(_success, last))
    for measure in chief:
        if measure.attack == "clever" and measure.setting != "2":
            continue
        what = f"{measure.what}, {KINDS.get(measure.target_kind, measure.target_kind)}"
        yield Column(measure.short, what, "", partial(_mean, measure))


def _names(model: str) -> str:
    address = escape(anchor("model", model))
    return f'<th scope="row"><a href="#{address}">{escape(model)}</a></th>'


def _family(model: str) -> str:
    return f'<td class="text">{escape(family(model))}</td>'


def _rank(rank: Rank | None) -> str:
    if rank is None:
        return '<td data-v="">–</td>'
    places = f"[{rank.best}–{rank.worst}]" if rank.best < rank.worst else f"[{rank.best}]"
    return f'<td class="rank" data-v="{rank.place}">{rank.text} <small>{places}</small></td>'


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
    return (
        f" <small>[{100 * row['success_rate_low']:.0f}, "
        f"{100 * row['success_rate_high']:.0f}]</small>"
    )


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
