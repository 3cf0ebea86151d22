"""A run on disk, for Python users: rows as DataFrames, tables, report."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from jaxadv.store import run as store
from model_ports.errors import InputError, unknown


class Run:
    """What an evaluation left in a folder. Reads only, except `report`, which remakes the views of the rows."""

    def __init__(self, directory: str | os.PathLike, *, was_finished: bool = False):
        self.directory = Path(directory)
        self.was_finished = was_finished
        """Whether nothing was left to do when it was evaluated last."""
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
        """A row for each attempt: model, attack, setting, image, target kind. See `jaxadv.store.rows`."""
        return self._rows.read("examples")

    @cached_property
    def clean(self) -> pd.DataFrame:
        """A row for each model and clean image."""
        return self._rows.read("clean")

    @cached_property
    def clever(self) -> pd.DataFrame:
        """A row for each CLEVER score: model, image, target and norm."""
        return self._rows.read("clever")

    @cached_property
    def transfer(self) -> pd.DataFrame:
        """A row for each adversarial image of a source that another model was shown."""
        return self._rows.read("transfer")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the report by its name, with 95 % intervals.

        Args:
            name: "accuracy", "robustness", "clever", "transfer", "law", "robust_accuracy",
                "optimality" or "robustness_curves".

        Raises:
            InputError: for an unknown name.
        """
        if name not in TABLES:
            raise unknown("table", name, TABLES)
        from jaxadv.report import robust, tables

        if name in ROBUST:
            order = tables.run_models(self._rows)
            return robust.compute(self._rows, order).tables()[name]
        return getattr(tables.compute(self._rows), name)

    def report(self) -> Path:
        """Write tables, figures and report.html again, from the rows. Returns the page's path."""
        from jaxadv.report.remake import remake

        return remake(self.directory)


ROBUST = ("robust_accuracy", "optimality", "robustness_curves")
TABLES = ("accuracy", "robustness", "clever", "transfer", "law", *ROBUST)


def open_run(directory: str | os.PathLike) -> Run:
    """The run that an evaluation left in a folder.

    Args:
        directory: the folder, ``out`` of the evaluation.

    Raises:
        InputError: where no run has left rows, or one of another version has.
    """
    if not store.Run(directory).count_parts():
        raise InputError(
            f"no run in {str(directory)!r}: it must be a folder with the rows of a run; evaluate makes one"
        )
    store.Run(directory).check_format()
    return Run(directory)
