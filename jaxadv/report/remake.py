"""Tables, figures and report.html of a run, made again from its rows."""

import os
from fnmatch import fnmatchcase
from pathlib import Path

from jaxadv.report import figures, html, robustbench, tables
from jaxadv.report.views import views
from jaxadv.store.run import Run
from model_ports.errors import InputError


def remake(directory: str | os.PathLike, only: list[str] | None = None) -> Path:
    """Write ``directory``/tables, ``directory``/figures and ``directory``/report.html from the rows there; returns the page's path.

    only: patterns of the figures' names; None for those that the run was given, or all. Raises InputError if no run has left rows there.
    """
    run = Run(directory)
    if not run.count_parts():
        raise InputError(
            f"no run in {str(run.directory)!r}: it must be a folder with the rows of a run; evaluate makes one"
        )
    run.check_format()
    with figures.drawers(run.count_parts()) as pool:
        shown = views(run)
        page = run.directory / "report.html"
        run.claim([page])
        tables.write_all(run, run.directory / "tables", shown.made)
        more = shown.study | shown.robust.tables()
        tables.write(run.directory / "tables", more, claim=run.claim)
        robustbench.write(shown, run.directory / "robustbench", claim=run.claim)
        only = only or shown.manifest.get("settings", {}).get("figures") or ["*"]
        wanted = [
            figure
            for figure in figures.planned(shown)
            if any(fnmatchcase(figure.stem, pattern) for pattern in only)
        ]
        drawn = figures.write_all(wanted, run.directory / "figures", pool, claim=run.claim)
    html.write(shown, page, drawn)
    return page
