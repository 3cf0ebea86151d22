"""report.html: one page that needs nothing else, neither files nor network, from the tables, figures and manifest of a run."""

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from jaxadv.analysis.families import grouped
from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report import cells, tables
from jaxadv.report.about import what_was_run
from jaxadv.report.columns import COLUMNS
from jaxadv.report.figures import Rendered
from jaxadv.report.figures.canvas import inline
from jaxadv.report.findings import findings, panel_means
from jaxadv.report.gallery import gallery
from jaxadv.report.heat import heat_map, heat_style, legend
from jaxadv.report.libraries import other_pictures
from jaxadv.report.measures import Measure, chief
from jaxadv.report.names import panel_name
from jaxadv.report.overview import overview
from jaxadv.report.published import published
from jaxadv.report.script import POLICY, SCRIPT
from jaxadv.report.signature_page import signature
from jaxadv.report.study.page import analysis, statements
from jaxadv.report.style import STYLE
from jaxadv.report.views import Views
from jaxadv.support.files import write_atomically
from jaxadv.support.norms import SCORE_TITLES

TREATMENT_NAMES = {
    "released": "as the study counts (released)",
    "left_out": "failed sources left out",
    "as_failures": "failed sources as failures",
}
HOW_TO_READ = (
    "Only images that a model classifies correctly are attacked. Distances are means over <em>successful</em> attempts, as in the "
    "study: a model on which an attack often fails can look closer than it is, so read them beside <em>n</em> and "
    "<em>failed</em>. Pixels have range 1; brackets are 95 % intervals.",
    "A <em>near tie</em> is a targeted attempt whose target comes within 0.001 of the largest output without being it. The study's "
    "code counts it as a success; here it is a failure, and counted apart.",
    "In the transfer maps a row is the model that the images were made for, a column the model that is shown them, and a cell the "
    "share of fooled answers among the images that the shown model has right when clean: any wrong class if untargeted, the "
    "attack's target if targeted.",
    "Where a search failed, the study's code hands on an image of NaN: untargeted that practically always counts as transferred, "
    "targeted as not, and it stays in the count. The maps follow that rule; where it changes anything, they unfold to the two "
    "alternatives.",
)


def write(views: Views, path: str | os.PathLike, drawn: dict[str, Rendered]) -> None:
    """Write the page to ``path``, whole or not at all. drawn: the figures, by stem."""
    first, spread = chief(views.measures), panel_means(views.made.transfer)
    counted = tables.countable(views.made)
    told = findings(counted.accuracy, counted.robustness, counted.transfer, first, spread)
    sections = [
        ("What was run", what_was_run(views)),
        (
            "Findings",
            "".join(f"<dt>{escape(about)}</dt><dd>{escape(text)}</dd>" for about, text in told),
        ),
        ("Statements", statements(views)),
        ("Models compared", overview(views, first)),
        ("Robustness and accuracy", _scatters(first, drawn)),
        ("Strength of attack", _sweeps(drawn)),
        ("Transfer", _transfer(views, spread)),
        ("Analysis", analysis(views)),
        (
            "Family signature",
            signature(views, _figure(drawn["signature"]) if "signature" in drawn else ""),
        ),
        ("Published numbers", published(views)),
        ("Pictures", _pictures(views)),
        ("CLEVER fits", _fits(drawn)),
        ("All numbers", _numbers(views)),
        ("Caveats", _caveats(views)),
        ("Columns", _glossary(views)),
    ]
    sections[1] = ("Findings", f'<dl class="findings">{sections[1][1]}</dl>' if told else "")
    page = _page(views, [item for item in sections if item[1]])
    write_atomically(Path(path), page.encode())


def _page(views: Views, sections: list[tuple[str, str]]) -> str:
    number = len(views.models)
    title = f"Robustness of {number} classifier{'s' * (number != 1)}"
    links = "".join(f'<a href="#{_anchor(heading)}">{heading}</a>' for heading, _ in sections)
    tiles = "".join(
        f"<li><b>{count:,}</b> {what.removesuffix('s') if count == 1 else what}</li>"
        for what, count in views.made.counts.items()
        if count
    )
    body = "".join(
        f'<section id="{_anchor(heading)}"><h2>{heading}</h2>{content}</section>'
        for heading, content in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><title>{title} – {escape(views.name)}</title><style>{STYLE}{heat_style()}</style></head>\n'
        f'<body><main><header><p class="run">{escape(views.name)}</p><h1>{title}</h1><ul class="facts">{tiles}</ul>'
        f'<nav aria-label="Sections">{links}</nav></header>\n{body}\n<footer>Made from the rows of this run. Its folder '
        "<code>tables</code> has all digits and columns, <code>figures</code> every figure as PNG and SVG.</footer></main>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _figure(figure: Rendered) -> str:
    drawing = inline(figure.svg, figure.stem.replace(".", "_"), figure.title)
    caption = f"<figcaption class=what>{escape(figure.caption)}</figcaption>"
    return (
        f'<figure class="chart"><div class="scroll" tabindex="0">{drawing}</div>{caption}</figure>'
    )


def _sweeps(drawn: dict[str, Rendered]) -> str:
    return "".join(_figure(figure) for stem, figure in drawn.items() if stem.startswith("sweep_"))


def _scatters(first: list[Measure], drawn: dict[str, Rendered]) -> str:
    """The searching attacks and CLEVER in the second norm; CLEVER in the others to unfold."""
    figures = {
        figure.title: figure for figure in drawn.values() if figure.stem.startswith("accuracy_")
    }
    shown, more = [], []
    for measure in first:
        figure = figures.get(measure.figure_title)
        if figure:
            (more if measure.attack == "clever" and measure.setting != "2" else shown).append(
                _figure(figure)
            )
    if not shown + more:
        return ""
    lead = (
        "<p>A point a model, its bar the 95 % interval of the mean. To the right is more accurate, upwards more robust; no model is "
        "better in both than one <em>on the frontier</em>. The study's law, robustness = a + b ln(error) with b above 0, is fitted to "
        "the frontier alone: accuracy is then paid for with robustness. Any frontier of three models has b above 0, so "
        "<em>Statements</em> asks all models too.</p>"
    )
    unfold = (
        f'<details><summary>CLEVER in other norms</summary><div class="charts">{"".join(more)}</div></details>'
        if more
        else ""
    )
    return f'{lead}<div class="charts">{"".join(shown)}</div>{unfold}'


def _transfer(views: Views, spread: pd.DataFrame) -> str:
    """All maps in a table; for each attack the map with the highest mean, the others to unfold."""
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
        others = f"<details><summary>{len(maps) - 1} more of {escape(catalog.title(attack))}</summary>{''.join(maps[1:])}</details>"
        shown.append(f"<div>{maps[0]}{others if len(maps) > 1 else ''}</div>")
    heads = [
        ("map", "text"),
        ("mean, %", ""),
        ("best source", "text"),
        ("its mean, %", ""),
        ("pairs", ""),
        ("n a pair", ""),
    ]
    head = "".join(
        f'<th scope="col" class="{kind}" data-c="{number}">{name}</th>'
        for number, (name, kind) in enumerate(heads)
    )
    panels: list[Any] = list(spread.itertuples(index=False))
    lines = "".join(
        f'<tr><th scope="row">{escape(panel_name(row.attack, row.target_kind, row.setting))}</th>'
        f'<td {cells.sortable(row.mean)}>{_percent(row.mean)}</td><td class="text">{escape(row.best)}</td>'
        f"<td {cells.sortable(row.best_mean)}>{_percent(row.best_mean)}</td><td {cells.sortable(row.pairs)}>{row.pairs}</td>"
        f"<td {cells.sortable(row.n_low)}>{row.n_low}{f'–{row.n_high}' * (row.n_high != row.n_low)}</td></tr>"
        for row in panels
    )
    lead = "<p>Means over all ordered pairs of models, as the study counts; of each attack the map that transfers best, the others unfold.</p>"
    table = cells.framed(f"<thead><tr>{head}</tr></thead>", f"<tbody>{lines}</tbody>")
    return f'{lead}{table}{legend()}<div class="maps">{"".join(shown)}</div>'


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.1f}"


def _map(views: Views, panel: tables.Panel) -> str:
    """One panel as a figure: as the study counts, and the other treatments where they differ."""
    pairs, own = (
        tables.of_panel(views.made.transfer, panel),
        tables.of_panel(views.made.robustness, panel),
    )
    order = grouped(tables.sorted_models(views.models, pairs["source"], pairs["model"]))
    maps, rates = {}, {}
    for treatment in tables.TREATMENTS:
        rates[treatment] = tables.square(pairs, own, column=treatment, order=order)
        counts = tables.square(pairs, own, column=f"n_{treatment}", order=order)
        caption = f"{TREATMENT_NAMES[treatment]}; n {_range(pairs[f'n_{treatment}'])}, white box {_range(own['n'])}"
        maps[treatment] = f"<p class=what>{escape(caption)}</p>{heat_map(rates[treatment], counts)}"
    others = [
        maps[name]
        for name in maps
        if name != "released" and not rates[name].equals(rates["released"])
    ]
    unfold = (
        f"<details><summary>Failed sources counted otherwise</summary>{''.join(others)}</details>"
        if others
        else ""
    )
    return f"<figure><figcaption>{escape(panel_name(*panel))}</figcaption>{maps['released']}{unfold}</figure>"


def _range(numbers: pd.Series) -> str:
    if not len(numbers):
        return "not run"
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low}–{high}"


def _pictures(views: Views) -> str:
    if not len(views.adversarial):
        return ""
    lead = (
        "<p>The first attacked image of each model, for each attack its last setting: what the model is shown, and what was changed, "
        "enlarged around grey.</p>"
    )
    return lead + gallery(
        views.adversarial, tables.sorted_models(views.models, views.adversarial["model"])
    )


def _fits(drawn: dict[str, Rendered]) -> str:
    if "clever_fits" not in drawn:
        return ""
    lead = (
        "<p>CLEVER estimates a lower bound of the distance that fools a model from gradients alone, without an attack: a margin over a "
        "Lipschitz constant, which is the end point of a reverse Weibull law fitted to the largest gradient norms of batches of samples "
        "around an image. Where no fit is acceptable (p below 0.001) the largest norm stands in for it.</p>"
    )
    return lead + _figure(drawn["clever_fits"])


def _without_ends(table: pd.DataFrame) -> list[str]:
    """Its columns but for the ends of intervals."""
    return [str(name) for name in table if not str(name).endswith(("_low", "_high"))]


def _groups(table: pd.DataFrame, columns: list[str]) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """The rows of each combination of texts in some columns, in the order of the table."""
    for key, rows in table.groupby(columns, sort=False):
        yield list(map(str, key)), rows


def _numbers(views: Views) -> str:
    parts = []
    if len(views.made.accuracy):
        shown = [
            name
            for name in _without_ends(views.made.accuracy)
            if name not in _quiet(views.made.accuracy)
        ]
        parts.append(
            ("Accuracy", cells.framed(cells.head(shown), cells.body(views.made.accuracy, shown)))
        )
    before, after = (
        ["model", "n", "success_rate", "failures", "near_ties"],
        ["gradients_mean", "forwards_mean"],
    )
    before += [
        name
        for name in ("revoked", "invalid", "zero_gradients")
        if name not in _quiet(views.made.robustness)
    ]
    columns = [
        *before,
        *(
            f"{distance}_{what}"
            for distance in tables.DISTANCES
            for what in ("mean", "std", "median")
        ),
        *after,
    ]
    for attack, of_attack in views.made.robustness.groupby("attack", sort=False):
        groups = [
            cells.body(
                rows, columns, heading=" · ".join(filter(None, [KINDS.get(kind, kind), setting]))
            )
            for (kind, setting), rows in _groups(of_attack, ["target_kind", "setting"])
        ]
        parts.append(
            (catalog.title(str(attack)), cells.framed(cells.head(columns), "".join(groups)))
        )
    if len(views.made.clever):
        left_out = {"target_kind", "norm", *_quiet(views.made.clever)}
        columns = [name for name in _without_ends(views.made.clever) if name not in left_out]
        groups = [
            cells.body(
                rows, columns, heading=f"{SCORE_TITLES.get(norm, norm)} · {KINDS.get(kind, kind)}"
            )
            for (kind, norm), rows in _groups(views.made.clever, ["target_kind", "norm"])
        ]
        parts.append(("CLEVER", cells.framed(cells.head(columns), "".join(groups))))
    return "".join(
        f"<details><summary>{escape(name)}</summary>{table}</details>" for name, table in parts
    )


def _quiet(table: pd.DataFrame) -> set[str]:
    """Columns that are shown only where they count anything."""
    return {
        name
        for name in ("revoked", "invalid", "zero_gradients")
        if name in table and not table[name].any()
    }


def _caveats(views: Views) -> str:
    """What the numbers cannot bear, as far as this run's rows tell, and how they are counted."""
    told = list(views.faults)
    attempts = views.made.robustness["n"]
    if len(attempts) and attempts.min() < 100:
        told.append(
            f"Few images: rates and means rest on {_range(attempts)} attempts each. Intervals that overlap do not order models, and the "
            "law rests on the few models of the frontier."
        )
    settings = views.manifest.get("settings")
    if isinstance(settings, dict) and settings.get("data") == "digits":
        told.append(
            "Handwritten digits are not ImageNet, and small networks not the study's: this run shows how things work, not what the "
            "study found."
        )
    if other := other_pictures(views.manifest):
        told.append(other)
    failed = (
        int((views.made.robustness["n"] - views.made.robustness["successes"]).sum())
        if len(views.made.robustness)
        else 0
    )
    if failed:
        told.append(
            f"{failed:,} of {int(attempts.sum()):,} attempts failed; distances leave them out, transfer counts them in three ways (below)."
        )
    if len(views.made.clever) and (views.made.clever["fell_back"] > 0).any():
        told.append(
            f"Up to {100 * views.made.clever['fell_back'].max():.0f} % of a model's CLEVER scores have no acceptable fit."
        )
    return "".join(f"<p>{paragraph}</p>" for paragraph in [*map(escape, told), *HOW_TO_READ])


def _glossary(views: Views) -> str:
    shown = [
        views.made.accuracy,
        views.made.robustness,
        views.made.clever,
        views.made.transfer,
        views.made.law,
        *views.study.values(),
    ]
    names = dict.fromkeys(str(name) for table in shown if len(table) for name in table)
    entries = []
    for name in names:
        unit = COLUMNS[name].unit
        note = f" <i>({escape(unit)})</i>" if unit else ""
        entries.append(f"<dt>{escape(name)}</dt><dd>{escape(COLUMNS[name].meaning)}{note}</dd>")
    lead = "<p>Names as in the files in <code>tables</code>; a heading above shows its meaning when pointed at.</p>"
    return f"{lead}<details><summary>All {len(names)} columns</summary><dl>{''.join(entries)}</dl></details>"


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
