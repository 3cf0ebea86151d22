"""The page's section on transfer: all maps in a table, and the maps themselves."""

from functools import partial
from html import escape
from typing import Any

import pandas as pd

from jaxadv.analysis.families import grouped
from jaxadv.attacks import catalog
from jaxadv.report import cells, tables
from jaxadv.report.heat import heat_map, legend
from jaxadv.report.names import anchor, panel_name
from jaxadv.report.views import Views

TREATMENT_NAMES = {
    "released": "as the study counts (released)",
    "left_out": "failed sources left out",
    "as_failures": "failed sources as failures",
}
_HEADS = (
    ("map", "text"),
    ("mean, %", ""),
    ("best source", "text"),
    ("its mean, %", ""),
    ("pairs", ""),
    ("n a pair", ""),
)


def transfer(views: Views, spread: pd.DataFrame) -> str:
    """All maps in a table; of each attack the map with the highest mean, the others to unfold.

    Args:
        views: of the run.
        spread: of `jaxadv.report.findings.panel_means`.
    """
    if spread.empty:
        return ""
    shown = []
    for name, rows in spread.groupby("attack", sort=False):
        attack = str(name)
        ordered = rows.sort_values("mean", ascending=False, kind="stable", na_position="last")
        maps = [
            _map(views, tables.Panel(*row))
            for row in ordered[list(tables.Panel._fields)].itertuples(index=False)
        ]
        others = (
            f"<details><summary>{len(maps) - 1} more of "
            f"{escape(catalog.title(attack))}</summary>{''.join(maps[1:])}</details>"
        )
        shown.append(f"<div>{maps[0]}{others if len(maps) > 1 else ''}</div>")
    head = "".join(
        f'<th scope="col" class="{kind}" data-c="{number}">{name}</th>'
        for number, (name, kind) in enumerate(_HEADS)
    )
    panels: list[Any] = list(spread.itertuples(index=False))
    lead = (
        "<p>Each mean is over all ordered pairs of models, as the study counts. "
        "Of each attack the map that transfers best is in sight, and the others unfold.</p>"
    )
    table = cells.framed(
        f"<thead><tr>{head}</tr></thead>",
        f"<tbody>{''.join(map(_line, panels))}</tbody>",
        "maps-of",
    )
    return f'{lead}{table}{legend()}<div class="maps">{"".join(shown)}</div>'


def _line(row: Any) -> str:
    """A map in the table of maps. A source is only called best where it transfers at all."""
    name = escape(panel_name(row.attack, row.target_kind, row.setting))
    address = escape(anchor("map", row.attack, row.target_kind, row.setting))
    best = escape(row.best if row.best_mean > 0 else "none")
    n = f"{row.n_low}" + f"–{row.n_high}" * (row.n_high != row.n_low)
    return (
        f'<tr><th scope="row"><a href="#{address}">{name}</a></th>'
        f"<td {cells.sortable(row.mean)}>{_percent(row.mean)}</td>"
        f'<td class="text">{best}</td>'
        f"<td {cells.sortable(row.best_mean)}>{_percent(row.best_mean)}</td>"
        f"<td {cells.sortable(row.pairs)}>{row.pairs}</td>"
        f"<td {cells.sortable(row.n_low)}>{n}</td></tr>"
    )


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.1f}"


def _map(views: Views, panel: tables.Panel) -> str:
    """One panel as a figure: as the study counts, and the other treatments where they differ."""
    pairs, own = (
        tables.of_panel(views.made.transfer, panel),
        tables.of_panel(views.made.robustness, panel),
    )
    order = grouped(tables.sorted_models(views.models, pairs["source"], pairs["model"]))
    address = partial(anchor, "row", *panel) if len(own) else None
    maps, rates = {}, {}
    for treatment in tables.TREATMENTS:
        rates[treatment] = tables.square(pairs, own, column=treatment, order=order)
        counts = tables.square(pairs, own, column=f"n_{treatment}", order=order)
        caption = (
            f"{TREATMENT_NAMES[treatment]}; n {span(pairs[f'n_{treatment}'])}, white box "
            f"{span(own['n'])}"
        )
        heat = heat_map(rates[treatment], counts, address)
        maps[treatment] = f"<p class=what>{escape(caption)}</p>{heat}"
    others = [
        maps[name]
        for name in maps
        if name != "released" and not rates[name].equals(rates["released"])
    ]
    unfold = cells.folded("Failed sources counted otherwise", "".join(others)) if others else ""
    return (
        f'<figure id="{escape(anchor("map", *panel))}"><figcaption>{escape(panel_name(*panel))}</figcaption>'
        f"{maps['released']}{unfold}</figure>"
    )


def span(numbers: pd.Series) -> str:
    """E.g. "11–12", or "not run"."""
    if not len(numbers):
        return "not run"
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low}–{high}"
