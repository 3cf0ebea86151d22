"""Tables, figures, summary.json and report.html of a run, made again from its rows."""

import os
from fnmatch import fnmatchcase
from pathlib import Path

from jaxadv.report import figures, html, robustbench, summary, tables
from jaxadv.report.views import views
from jaxadv.store import clearing
from jaxadv.store.run import Run
from jaxadv.support.files import remove
from jaxadv.support.progress import Progress
from model_ports.errors import InputError

_STAGES = 5


def remake(
    directory: str | os.PathLike, only: list[str] | None = None, *, progress: bool = False
) -> Path:
    """Write tables, figures, summary.json and report.html into the folder of a run.

    Args:
        directory: of the run.
        only: patterns of the figures' names; None for those that the run was given, or all.
        progress: whether the stages are shown on standard error.

    Returns:
        The page's path.

    Raises:
        InputError: if no run has left rows there.
    """
    run = Run(directory)
    if not run.count_parts():
        raise InputError(
            f"no run in {str(run.directory)!r}: it must be a folder with the rows of a run; "
            "evaluate makes one"
        )
    run.check_format()
    # Another process may be writing now. What is still there at the end, nobody writes any more.
    leftovers = clearing.leftovers(run.directory)
    page, brief = run.directory / "report.html", run.directory / summary.NAME
    with (
        figures.drawers(run.count_parts()) as pool,
        Progress("report", _STAGES, "stages", show=progress, is_even=False) as bar,
    ):

        def stage(name: str) -> None:
            bar.stage(f"report, {name}")
            bar.advance(1)

        shown = views(run, stage, pool)
        run.claim([page, brief])
        only = only or shown.manifest.get("settings", {}).get("figures") or ["*"]
        wanted = [
            figure
            for figure in figures.planned(shown)
            if any(fnmatchcase(figure.stem, pattern) for pattern in only)
        ]
        drawing = figures.draw(wanted, pool)  # others draw while this process writes
        stage("tables")
        tables.write_all(run, run.directory / "tables", shown.made)
        more = shown.study | shown.robust.tables()
        tables.write(run.directory / "tables", more, claim=run.claim)
        robustbench.write(shown, run.directory / "robustbench", claim=run.claim)
        summary.write(shown, brief)
        stage("figures")
        drawn = figures.write_all(
            wanted, run.directory / "figures", drawing, claim=run.claim, stage=bar.stage
        )
        stage("page")
        html.write(shown, page, drawn)
    for path in leftovers:
        remove(path)
    return page
