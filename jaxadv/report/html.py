"""report.html: one page that needs nothing else, neither files nor network, from the tables,
figures and manifest of a run.
"""

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path

from jaxadv.report import charts, tables
from jaxadv.report.about import in_brief, what_was_run
from jaxadv.report.cells import folded
from jaxadv.report.figures import Rendered
from jaxadv.report.findings import findings, panel_means
from jaxadv.report.gallery import gallery
from jaxadv.report.headline import headline
from jaxadv.report.measures import chief
from jaxadv.report.numbers_page import glossary, numbers
from jaxadv.report.overview import overview
from jaxadv.report.published import published
from jaxadv.report.ranking import Order, chosen, ranks
from jaxadv.report.reading import caveats
from jaxadv.report.robust_page import robust_accuracy
from jaxadv.report.shell import Section, page, told
from jaxadv.report.signature_page import signature
from jaxadv.report.study.page import analysis, statements
from jaxadv.report.transfer_page import transfer
from jaxadv.report.views import Views
from jaxadv.support.files import write_atomically

FOOTER = (
    "Made from the rows of this run. Its folder <code>tables</code> has all digits and columns. "
    "<code>figures</code> has every figure as PNG and SVG. <code>summary.json</code> has the "
    "numbers for other programs."
)


def write(views: Views, path: str | os.PathLike, drawn: Mapping[str, Rendered]) -> None:
    """Write the page to ``path``, whole or not at all. drawn: the figures, by stem."""
    first, spread = chief(views.measures), panel_means(views.made.transfer)
    counted = tables.countable(views.made)
    order = chosen(first, counted.robustness)
    ranked = ranks(order, views.study["comparison"]) if order else {}
    brief = headline(counted, order, ranked, views.study["comparison"], spread, first)
    more = findings(counted.accuracy, counted.robustness, counted.transfer, first, spread)
    figure = charts.figure(drawn["signature"]) if "signature" in drawn else ""
    sections = [
        Section("Findings", _findings(brief, more)),
        Section("Models compared", overview(views, first, order)),
        Section("Accuracy against robustness", charts.scatters(first, drawn)),
        Section("Robustness curves", charts.curves(drawn)),
        Section("Pictures", _pictures(views, order)),
        Section("Transfer", transfer(views, spread)),
        Section("Statements", statements(views)),
        Section("Analysis", analysis(views)),
        Section("Family signature", signature(views, figure)),
        Section("Published numbers", published(views)),
        Section("CLEVER fits", charts.fits(drawn)),
        Section("All numbers", numbers(views)),
        Section("Caveats", caveats(views)),
        Section("Columns", glossary(views)),
        Section(
            "What was run", folded("Models, settings, versions and machine", what_was_run(views))
        ),
    ]
    # With AutoAttack it is what people look for. The study's attacks are compared by distances.
    leads = "autoattack" in set(views.robust.robust_accuracy.get("attack", ()))
    sections.insert(1 if leads else 4, Section("Robust accuracy", robust_accuracy(views)))
    number = len(views.models)
    title = f"Robustness of {number} classifier{'s' * (number != 1)}"
    whole = page(name=views.name, title=title, lead=_facts(views), sections=sections, footer=FOOTER)
    write_atomically(Path(path), whole.encode())


def _findings(brief: list, more: list) -> str:
    """The three sentences, and those on every measure to unfold."""
    if not more:
        return told(brief, "findings first")
    return told(brief, "findings first") + folded("Every measure", told(more, "findings"))


def _facts(views: Views) -> str:
    """What was counted, in a line, and on what."""
    tiles = "".join(
        f"<li><b>{count:,}</b> {what.removesuffix('s') if count == 1 else what}</li>"
        for what, count in views.made.counts.items()
        if count
    )
    brief = in_brief(views)
    return (
        f'<p class="brief">{escape(brief)}</p>' if brief else ""
    ) + f'<ul class="facts">{tiles}</ul>'


def _pictures(views: Views, order: Order | None) -> str:
    """The pictures of the most and the least robust model; the others unfold."""
    if not len(views.adversarial):
        return ""
    models = tables.sorted_models(views.models, views.adversarial["model"])
    first, who = models[:2], ""
    if order:
        points = order.points[order.points["model"].isin(models)]
        points = points.sort_values("value", ascending=not order.larger, kind="stable")
        if len(points) > 1 and points["value"].nunique() > 1:
            first = [str(points["model"].iloc[place]) for place in (0, -1)]
            who = f" In sight are the most and the least robust model by {escape(order.name)}."
    lead = (
        "<p>The first attacked image, for each attack its last setting. Beside what the model is "
        f"shown stands what was changed, enlarged around grey.{who}</p>"
    )
    return lead + gallery(views.adversarial, models, first)
