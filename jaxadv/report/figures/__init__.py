"""The figures of a run, each as PNG and SVG, made from its tables and rows. matplotlib is imported
only where one is drawn.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jaxadv.analysis.families import grouped
from jaxadv.attacks import catalog
from jaxadv.report import tables
from jaxadv.report.figures import captions, confusion, curves
from jaxadv.report.figures.canvas import render
from jaxadv.report.figures.pictures import pictures_figure
from jaxadv.report.figures.scatter import scatter, scatters
from jaxadv.report.figures.sweeps import sweep_figure, swept
from jaxadv.report.figures.transfer_map import transfer_map
from jaxadv.report.figures.weibull import weibull_figure
from jaxadv.report.measures import chief
from jaxadv.report.names import file_name, panel_name, parameter_title
from jaxadv.report.study.claims_models import FIGURE_2
from jaxadv.report.views import Views
from jaxadv.support import log
from jaxadv.support.files import write_atomically
from model_ports.errors import said


class Figure(NamedTuple):
    """A figure that can be drawn."""

    stem: str  # its files are <stem>.png, .svg and, with its caption, .txt
    title: str  # what it shows, for those who cannot see it
    caption: str
    draw: Callable[[], Any]  # can be pickled: another process may draw it


class Rendered(NamedTuple):
    stem: str
    title: str
    caption: str
    png: bytes
    svg: bytes


PARTS_A_PROCESS, MOST_PROCESSES = (
    100,
    8,
)  # of a run whose figures take about as long as a process takes to start
_FIGURE_2 = "figure_2"  # whose panels a page shows one by one


def planned(views: Views) -> list[Figure]:
    """Every figure that a run has something for."""
    found: list[Figure] = []
    robustness, transfer = views.made.robustness, views.made.transfer
    for sweep in swept(robustness, views.made.settings):
        parameter = parameter_title(sweep.parameter)
        title = f"{catalog.title(sweep.attack)}: success rate against {parameter}"
        found.append(
            Figure(sweep.stem, title, captions.of_sweep(views, sweep), partial(sweep_figure, sweep))
        )
    for found_curves in curves.every(views.robust.curves, views.robust.robust_accuracy):
        draw = partial(curves.curves_figure, found_curves)
        found.append(Figure(found_curves.stem, found_curves.title, found_curves.caption, draw))
    measured = [measure for measure in views.measures if measure.points["error"].notna().any()]
    for measure in measured:
        caption = captions.of_measures(views, [measure])
        found.append(
            Figure(
                f"accuracy_{measure.stem}", measure.figure_title, caption, partial(scatter, measure)
            )
        )
    three = [
        measure for measure in chief(measured) if FIGURE_2.get(measure.attack) == measure.length
    ]
    if len(three) > 1:
        title = f"Robustness against accuracy: {', '.join(measure.short for measure in three)}"
        found.append(
            Figure(_FIGURE_2, title, captions.of_measures(views, three), partial(scatters, three))
        )
    for panel in tables.panels(transfer):
        pairs, own = tables.of_panel(transfer, panel), tables.of_panel(robustness, panel)
        names = grouped(tables.sorted_models(views.models, pairs["source"], pairs["model"]))
        caption = captions.of_map(views, panel, pairs, own)
        title = panel_name(*panel)
        stem = "_".join(["transfer", *filter(None, panel)])
        found.append(
            Figure(
                stem, f"Transfer, {title}", caption, partial(_draw_map, pairs, own, names, title)
            )
        )
    named = views.study["signature_confusion"]
    if len(named):
        found.append(
            Figure(
                "signature",
                confusion.TITLE,
                confusion.caption(named),
                partial(confusion.confusion_map, named),
            )
        )
    if len(views.fits):
        title = "CLEVER: fitted densities over histograms of batch maxima"
        found.append(
            Figure(
                "clever_fits", title, captions.of_fits(views), partial(weibull_figure, views.fits)
            )
        )
    if len(views.adversarial):
        models = tables.sorted_models(views.models, views.adversarial["model"])
        draw = partial(pictures_figure, views.adversarial, models)
        found.append(
            Figure(
                "pictures",
                "Adversarial images and their differences",
                captions.of_pictures(views),
                draw,
            )
        )
    taken: list[str] = []
    for number, figure in enumerate(found):
        taken.append(file_name(figure.stem, taken))
        found[number] = figure._replace(stem=taken[-1])
    return found


def _draw_map(pairs, own, names, title):
    return transfer_map(tables.square(pairs, own, column="released", order=names), title)


def draw(
    figures: Iterable[Figure], pool: Executor | None = None
) -> Iterable[dict[str, bytes] | str]:
    """Draw figures, in the pool from now on, or else one by one as they are asked for.

    Args:
        figures: of `planned`.
        pool: one of `drawers`, if there are any.

    Returns:
        The files of each, by kind, or why there are none.
    """
    return (pool.map if pool else map)(_files, [figure.draw for figure in figures])


def write_all(
    figures: Iterable[Figure],
    directory: Path,
    made: Iterable[dict[str, bytes] | str] | None = None,
    *,
    claim: Callable[[list[Path]], None] | None = None,
    stage: Callable[[str], None] = lambda name: None,
) -> dict[str, Rendered]:
    """Write the files of figures.

    A figure that cannot be drawn is left out, and a line says so. Odd rows take no other figure,
    and not the page.

    Args:
        figures: of `planned`.
        directory: where to.
        made: what `draw` makes of them; None to draw them now.
        claim: see `jaxadv.report.tables.write`.
        stage: is told after each figure how many are drawn.

    Returns:
        What was drawn, by stem.
    """
    figures, drawn = list(figures), {}
    if claim:
        claim(
            [
                directory / f"{figure.stem}.{kind}"
                for figure in figures
                for kind in ("png", "svg", "txt")
            ]
        )
    for number, (figure, files) in enumerate(zip(figures, made or draw(figures), strict=True), 1):
        stage(f"report, {number} of {len(figures)} figures")
        if isinstance(files, str):
            log.warn(f"figure {figure.stem} could not be drawn ({files}); the page goes without it")
            continue
        for kind, content in (files | {"txt": f"{figure.caption}\n".encode()}).items():
            write_atomically(directory / f"{figure.stem}.{kind}", content)
        drawn[figure.stem] = Rendered(figure.stem, figure.title, figure.caption, **files)
    return drawn


def _files(draw: Callable[[], Any]) -> dict[str, bytes] | str:
    """A figure's files, or why there are none: matplotlib raises about anything for numbers that it
    cannot place.
    """
    try:
        return render(draw)
    except Exception as error:
        return f"{type(error).__name__}: {said(error)}"


@contextmanager
def drawers(parts: int) -> Iterator[Executor | None]:
    """Processes that help with the report of a run of so many parts, if these are many; they start
    while this one reads rows. An error or an interrupt ends them.
    """
    workers = min(os.cpu_count() or 1, parts // PARTS_A_PROCESS, MOST_PROCESSES)
    if workers < 2:
        yield None
        return
    others = set(multiprocessing.active_children())
    fresh = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of JAX hold
    with ProcessPoolExecutor(
        workers, fresh, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_DFL)
    ) as pool:
        try:
            for _ in range(workers):
                pool.submit(_import)
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _import() -> None:
    """What a drawer needs, this module included."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401
