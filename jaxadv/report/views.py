"""What figures and page are made from: the tables of a run, computed once, and the few rows that
are shown as they are.
"""

import io
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import redirect_stderr
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis import faults
from jaxadv.report import robust, study, tables
from jaxadv.report.measures import Measure, measures
from jaxadv.store.run import Run

_MODELS, _FITS = 3, 3  # whose fits are drawn, and how many of each


class Views(NamedTuple):
    name: str  # of the run's folder
    manifest: dict
    made: tables.Tables
    models: list[str]  # all, in order
    measures: list[Measure]
    fits: pd.DataFrame  # the few rows of CLEVER whose fits are drawn
    adversarial: pd.DataFrame  # rows: the pictures
    study: dict[str, pd.DataFrame]  # the tables of `jaxadv.report.study`
    faults: list[str]  # sentences of `jaxadv.analysis.faults`, and the notes of the next
    robust: robust.Robust  # robust accuracy, optimality and curves


def views(
    run: Run, stage: Callable[[str], None] = lambda name: None, pool: Executor | None = None
) -> Views:
    """Compute what figures and page show.

    Args:
        run: whose rows are read.
        stage: is told what begins.
        pool: other processes, which help.

    Returns:
        The views.

    Raises:
        InputError: for rows that cannot be read.
    """
    stage("rows")
    elsewhere = pool.submit(_bounded, run.directory, tables.run_models(run)) if pool else None
    made = tables.compute(run)
    stage("comparisons")
    appearances = (
        made.accuracy["model"],
        made.robustness["model"],
        made.clever["model"],
        made.transfer["source"],
        made.transfer["model"],
    )
    models = tables.sorted_models(made.order, *appearances)
    counted = tables.countable(made)
    found = measures(counted.accuracy, counted.robustness, counted.clever, made.law, made.settings)
    asked = study.compute(run, counted, found)
    name, pictures = run.directory.resolve().name, run.read("adversarial")
    bounded = elsewhere.result() if elsewhere else robust.compute(run, made.order)
    told = [*faults.of_run(run), *bounded.notes]
    return Views(
        name, run.manifest(), made, models, found, _fits(run), pictures, asked, told, bounded
    )


def _bounded(directory: Path, order: list[str]) -> robust.Robust:
    """`jaxadv.report.robust.compute` in another process, without warnings: the first one reads the
    same rows, and warns.
    """
    with redirect_stderr(io.StringIO()):
        return robust.compute(Run(directory), order)


def _fits(run: Run) -> pd.DataFrame:
    """The rows that `chosen` picks, whole: of all others the maxima, most of what CLEVER leaves,
    are not kept in memory.
    """
    keys = ["model", "image_id", "target", "target_kind", "norm"]
    picked = chosen(run.read("clever", [*keys, "score", "p_value"]))[keys]
    whole = [
        picked.merge(part.astype({name: "str" for name in ("model", "target_kind", "norm")}))
        for part in run.parts("clever")
    ]
    return picked.merge(pd.concat(whole)) if whole else run.read("clever")


def chosen(scores: pd.DataFrame) -> pd.DataFrame:
    """At most nine of the rows: three models (smallest, middle and largest mean score), of each the
    worst, middle and best fit.

    Of the L2 norm if there is one and of the first kind of target; a score without a fit counts as
    the worst.
    """
    if scores.empty:
        return scores
    norms = scores["norm"].unique()
    scores = scores[
        (scores["norm"] == ("2" if "2" in norms else norms[0]))
        & (scores["target_kind"] == scores["target_kind"].iloc[0])
    ]
    means = scores.groupby("model", observed=True)["score"].mean().sort_values(kind="stable")
    picked = []
    for model in means.index[_spread(len(means), _MODELS)]:
        rows = scores[scores["model"] == model].sort_values(
            ["p_value", "image_id"], na_position="first", kind="stable"
        )
        picked.append(rows.iloc[_spread(len(rows), _FITS)])
    return pd.concat(picked, ignore_index=True) if picked else scores


def _spread(count: int, most: int) -> list[int]:
    """First, middle and last of ``count``, or fewer."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))
