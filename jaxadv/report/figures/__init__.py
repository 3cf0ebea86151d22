"""The figures of a run, each as PNG and SVG, made from its tables and rows. matplotlib is imported only where one is drawn."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jaxadv.files import write_atomically
from jaxadv.report import tables
from jaxadv.report.families import grouped
from jaxadv.report.figures.canvas import render
from jaxadv.report.figures.pictures import pictures_figure
from jaxadv.report.figures.scatter import scatter
from jaxadv.report.figures.sweeps import sweep_figure, swept
from jaxadv.report.figures.transfer_map import transfer_map
from jaxadv.report.figures.weibull import weibull_figure
from jaxadv.report.names import ATTACK_NAMES, PARAMETER_NAMES, file_name, panel_name
from jaxadv.report.views import Views


class Figure(NamedTuple):
    """A figure that can be drawn."""

    stem: str  # its files are <stem>.png and <stem>.svg
    title: str  # what it shows, for those who cannot see it
    draw: Callable[[], Any]


class Rendered(NamedTuple):
    stem: str
    title: str
    png: bytes
    svg: bytes


def planned(views: Views) -> list[Figure]:
    """Every figure that a run has something for."""
    robustness, transfer = views.made.robustness, views.made.transfer
    found = []
    for sweep in swept(robustness):
        parameter = PARAMETER_NAMES.get(sweep.parameter, sweep.parameter)
        title = f"{ATTACK_NAMES.get(sweep.attack, sweep.attack)}: success rate against {parameter}"
        found.append((sweep.stem, title, lambda sweep=sweep: sweep_figure(sweep)))
    for measure in views.measures:
        if measure.points["error"].notna().any():
            found.append((f"accuracy_{measure.stem}", measure.figure_title, lambda measure=measure: scatter(measure)))
    for panel in tables.panels(transfer):
        pairs, own = tables.of_panel(transfer, panel), tables.of_panel(robustness, panel)
        names = grouped(tables.sorted_models(views.models, pairs["source"], pairs["model"]))
        title = panel_name(*panel)
        found.append(
            (
                "_".join(["transfer", *filter(None, panel)]),
                f"Transfer, {title}",
                lambda pairs=pairs, own=own, names=names, title=title: transfer_map(
                    tables.square(pairs, own, column="released", order=names), title
                ),
            )
        )
    if len(views.fits):
        found.append(("clever_fits", "CLEVER: fitted densities over histograms of batch maxima", lambda: weibull_figure(views.fits)))
    if len(views.adversarial):
        models = tables.sorted_models(views.models, views.adversarial["model"])
        found.append(("pictures", "Adversarial images and their differences", lambda: pictures_figure(views.adversarial, models)))
    taken: list[str] = []
    figures = []
    for stem, title, draw in found:
        taken.append(file_name(stem, taken))
        figures.append(Figure(taken[-1], title, draw))
    return figures


def write_all(figures: Iterable[Figure], directory: Path) -> dict[str, Rendered]:
    """Draw every figure and write its files into ``directory``; what was drawn, by stem."""
    drawn = {}
    for figure in figures:
        files = render(figure.draw)
        for kind, content in files.items():
            write_atomically(directory / f"{figure.stem}.{kind}", content)
        drawn[figure.stem] = Rendered(figure.stem, figure.title, **files)
    return drawn
