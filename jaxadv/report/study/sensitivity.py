"""Whether conclusions hang on how the study counts: each way of counting beside the other, from the
same rows.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from jaxadv.analysis import correlation, fit_law, pareto_frontier
from jaxadv.report.columns import three_digits
from jaxadv.report.study.samples import Sample, mean
from jaxadv.report.tables import TREATMENTS, Panel, Tables, of_panel, panels

RELEASED = "as released"
COLUMNS = [
    "attack",
    "target_kind",
    "setting",
    "about",
    "counted",
    "value",
    "largest",
    "smallest",
    "rank_correlation",
    "slope",
    "changed",
]
_TRANSFER = dict(
    zip(
        TREATMENTS, (RELEASED, "failed sources left out", "failed sources as failures"), strict=True
    )
)


def sensitivity(made: Tables, found: list[Sample], common: Iterable[int]) -> pd.DataFrame:
    """For each number of interest the released way of counting and the others, where they differ at
    all. common: of `common_images`.
    """
    error = made.accuracy.set_index("model")["error_percent"] / 100
    groups = [
        _distances(sample, set(common), error) for sample in found if sample.distance != "success"
    ]
    groups += [*_near_ties(made.robustness), *_failed_sources(made)]
    return pd.DataFrame([record for group in groups for record in group], columns=COLUMNS)


def _distances(sample: Sample, common: set[int], error: pd.Series) -> list[list]:
    """Means over successes; medians with failures as infinitely far; means over the images that
    every model has right.
    """
    ways = {RELEASED: mean(sample.values)}
    if np.isinf(sample.values.to_numpy()).any():
        ways["median, failures as infinitely far"] = sample.values.median()
    shared = sample.values[sample.values.index.isin(common)]
    if 1 < len(shared) < len(sample.values) or (
        len(shared) > 1 and sample.values.isna().to_numpy().any()
    ):
        ways["images that all models have right"] = mean(shared)
    errors = error.reindex(sample.values.columns).to_numpy()

    def slope(values: pd.Series) -> float:
        on_frontier = pareto_frontier(errors, values.to_numpy())
        return fit_law(errors[on_frontier], values.to_numpy()[on_frontier]).slope

    return _compared([*sample.key[:3], sample.distance], ways, slope) if len(ways) > 1 else []


def _near_ties(robustness: pd.DataFrame) -> list[list[list]]:
    """Success as the study counts it, near ties included, and strictly."""
    tied = robustness[(robustness["near_ties"] > 0) & (robustness["target_kind"] != "untargeted")]
    groups = []
    for panel in (
        tied[["attack", "target_kind", "setting"]].drop_duplicates().itertuples(index=False)
    ):
        rows = of_panel(robustness, Panel(*panel)).set_index("model")
        ways = {
            RELEASED: (rows["successes"] + rows["near_ties"]) / rows["n"],
            "near ties as failures": rows["success_rate"],
        }
        groups.append(_compared([*panel, "success rate"], ways))
    return groups


def _failed_sources(made: Tables) -> list[list[list]]:
    """Mean rates of sources, with each treatment of the images that do not fool their own
    source.
    """
    groups = []
    for panel in panels(made.transfer):
        rows = of_panel(made.transfer, panel)
        if all(rows[way].equals(rows["released"]) for way in TREATMENTS):
            continue
        by_source = {
            name: rows.groupby("source", sort=False)[way].mean() for way, name in _TRANSFER.items()
        }
        groups.append(_compared([*panel, "transfer by source"], by_source))
    return groups


def _compared(
    key: list[str], ways: dict[str, pd.Series], slope=lambda values: np.nan
) -> list[list]:
    """A record a way of counting; ways: values of models by name, the first as released."""
    released = ways[RELEASED]
    records = []
    for name, values in ways.items():
        values = values.reindex(released.index)
        known = values.dropna()  # a median may be infinite
        ends = (
            [_all_at(known, known.max()), _all_at(known, known.min())] if len(known) else ["", ""]
        )
        value = known[np.isfinite(known)].mean()
        records.append(
            [*key, name, value, *ends, correlation(released, values).spearman, slope(values)]
        )
    first = records[0]
    for record in records:
        differs = [
            what
            for what, place in (("largest", 6), ("smallest", 7))
            if record[place] != first[place]
        ]
        if record[9] * first[9] < 0:
            differs.append("sign of b")
        record.append(", ".join(differs) or ("" if record is first else "nothing"))
    return records


def _all_at(values: pd.Series, end: float) -> str:
    """Which of them have a value, all that print alike; "all" if each has it."""
    names = values.index[values.map(three_digits) == three_digits(end)]
    return "all" if len(names) == len(values) > 1 else ", ".join(map(str, names))
