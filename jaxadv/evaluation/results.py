"""A run on disk, for Python users: its rows as DataFrames, its tables and its report."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from jaxadv.store import run as store
from model_ports.errors import InputError, unknown


class Run:
    """The rows, tables and report of an evaluation in a folder. Only `report` writes anything.

    Args:
        directory: the folder.
        was_finished: whether the last evaluation had nothing left to do.
        made_report: whether the last evaluation ended the run; see `made_report`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        was_finished: bool = False,
        made_report: bool = False,
    ):
        self.directory = Path(directory)
        self.made_report = made_report
        """Whether the last evaluation ended the run: it made the report, if one was asked for."""
        self.was_finished = was_finished
        """Whether the last evaluation had nothing left to do."""
        self._rows = store.Run(directory)

    def __repr__(self) -> str:
        models = self.manifest.get("models", [])
        parts = self.manifest.get("finished_parts")
        state = f"finished: {', '.join(parts)}" if parts else "not finished"
        return f"Run({str(self.directory)!r}, {len(models)} models, {state})"

    @property
    def manifest(self) -> dict[str, Any]:
        """Settings, versions, weights and times of the run."""
        return self._rows.manifest()

    @cached_property
    def examples(self) -> pd.DataFrame:
        """A row for each attempt: a model, attack, setting, image and kind of target.

        See `jaxadv.store.rows`.
        """
        return self._rows.read("examples")

    @cached_property
    def clean(self) -> pd.DataFrame:
        """A row for each model and clean image."""
        return self._rows.read("clean")

    @cached_property
    def clever(self) -> pd.DataFrame:
        """A row for each CLEVER score: a model, image, target and norm."""
        return self._rows.read("clever")

    @cached_property
    def transfer(self) -> pd.DataFrame:
        """A row for each adversarial image of a source and each other model that was tested with
        it.
        """
        return self._rows.read("transfer")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the report, with 95 % intervals.

        Args:
            name: "accuracy", "robustness", "clever", "transfer", "law", "robust_accuracy",
                "optimality" or "robustness_curves".

        Returns:
            The table.

        Raises:
            InputError: if the name is unknown.
        """
        if name not in TABLES:
            raise unknown("table", name, TABLES)
        from jaxadv.report import robust, tables

        if name in ROBUST:
            order = tables.run_models(self._rows)
            return robust.compute(self._rows, order).tables()[name]
        return getattr(tables.compute(self._rows), name)

    def report(self) -> Path:
        """Write tables, figures and report.html again, from the rows.

        Returns the path of the page.
        """
        from jaxadv.report.remake import remake

        return remake(self.directory)


ROBUST = ("robust_accuracy", "optimality", "robustness_curves")
TABLES = ("accuracy", "robustness", "clever", "transfer", "law", *ROBUST)


def open_run(directory: str | os.PathLike) -> Run:
    """Open the run in a folder.

    Args:
        directory: the folder, ``out`` of the evaluation.

    Returns:
        The run.

    Raises:
        InputError: if the folder has no rows of a run, or rows of another version's format.
    """
    if not store.Run(directory).count_parts():
        raise InputError(
            f"no run in {str(directory)!r}: it must be a folder with the rows of a run; evaluate "
            "makes one"
        )
    store.Run(directory).check_format()
    return Run(directory)
