"""Several runs side by side: what they were, which rows differ, differences on the same images, and
all models in one order.

The first run is what the others are compared with.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from jaxadv.report import tables
from jaxadv.report.compare import differences, facts, leaders, rows
from jaxadv.report.measures import Measure, chief, measures
from jaxadv.report.ranking import chosen
from jaxadv.store.run import Run
from model_ports.errors import InputError


class Compared(NamedTuple):
    """One run, read once."""

    name: str  # unique among the runs compared
    run: Run
    made: tables.Tables
    measures: list[Measure]


class Comparison(NamedTuple):
    """What `compare` found, a table each; see `jaxadv.report.compare.columns`."""

    names: list[str]  # of the runs, the first first
    order: str  # what the leaderboard is ordered by; "" if nothing
    settings: pd.DataFrame  # a row a fact that differs, a column a run
    models: pd.DataFrame  # a row a model, a column a run: yes or ""
    rows: pd.DataFrame  # a row a kind of rows and a run: how many are the same
    changed: pd.DataFrame  # the rows that differ
    differences: pd.DataFrame  # a row a measure, a model and a run
    leaderboard: pd.DataFrame  # a row a measure, a model and a run


def compare(directories: Sequence[str | os.PathLike]) -> Comparison:
    """Compare two runs or more.

    Args:
        directories: of the runs. The others are compared with the first.

    Returns:
        The tables.

    Raises:
        InputError: for fewer than two, for a folder without a run, or rows that cannot be read.
    """
    if len(directories) < 2:
        raise InputError(
            f"{len(directories)} run is given; compare needs two or more: give their folders, as "
            "in compare results/a results/b"
        )
    runs = [Run(directory) for directory in directories]
    for run in runs:
        if not run.count_parts():
            raise InputError(
                f"no run in {str(run.directory)!r}: it must be a folder with the rows of a run; "
                "evaluate makes one"
            )
        run.check_format()
    all_runs = [_read(name, run) for name, run in zip(_names(runs), runs, strict=True)]
    first, *others = all_runs
    names = [one.name for one in all_runs]
    manifests = {one.name: one.run.manifest() for one in all_runs}
    pairs = [(first, other) for other in others]
    found = [rows.compared(first.run, other.run, other.name) for other in others]
    order = next(
        (order for one in all_runs if (order := chosen(chief(one.measures), one.made.robustness))),
        None,
    )
    return Comparison(
        names,
        order.name if order else "",
        facts.settings(manifests),
        facts.models({one.name: _models(one.made) for one in all_runs}),
        pd.concat([counts for counts, _ in found], ignore_index=True),
        pd.concat([changed for _, changed in found], ignore_index=True),
        pd.concat([differences.between(*pair) for pair in pairs], ignore_index=True),
        leaders.leaderboard(all_runs, order.key if order else None),
    )


def _read(name: str, run: Run) -> Compared:
    made = tables.countable(tables.compute(run))
    found = measures(made.accuracy, made.robustness, made.clever, made.law, made.settings)
    return Compared(name, run, made, found)


def _models(made: tables.Tables) -> list[str]:
    appearances = (made.accuracy, made.robustness, made.clever, made.transfer)
    return tables.sorted_models(made.order, *(table["model"] for table in appearances))


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, with as much of the path before them as tells them apart."""
    paths = [run.directory.resolve() for run in runs]
    names = [path.name for path in paths]
    for depth in range(2, max(len(path.parts) for path in paths) + 1):
        if len(set(names)) == len(names):
            return names
        names = ["/".join(path.parts[-depth:]) for path in paths]
    if len(set(names)) < len(names):  # the same folder twice
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return names


def folder(out: str | None) -> Path:
    """Where a comparison goes: as given, or results/compare.

    Raises InputError for the folder of a run.
    """
    path = Path(out or "results/compare")
    if (path / "manifest.json").exists():
        raise InputError(
            f"--out is {str(path)!r}, which is a run; a comparison needs a folder of its own: give "
            "another"
        )
    return path
