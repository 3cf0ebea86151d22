"""Tables of what goes together: CLEVER with the attacks, and transfer from one model to another
with transfer back.
"""

import numpy as np
import pandas as pd

from jaxadv.analysis import correlation, symmetry
from jaxadv.report.study.samples import Sample, mean
from jaxadv.report.tables import Tables, of_panel, panels, square

AGREEMENT = [
    "attack",
    "target_kind",
    "setting",
    "distance",
    "models",
    "pearson",
    "pearson_low",
    "pearson_high",
    "spearman",
]
AGREEMENT += ["images_spearman", "common", "exceeded"]


def clever_agreement(found: list[Sample]) -> pd.DataFrame:
    """CLEVER's scores with the distances of the attack that makes the same norm small, at the same
    kind of target.
    """
    records = []
    for bound in (sample for sample in found if sample.attack == "clever"):
        for sample in found:
            if (
                not sample.is_distance
                or sample.distance != bound.distance
                or sample.target_kind != bound.target_kind
            ):
                continue
            scores, values = bound.values.align(sample.values, join="inner")
            over_models = correlation(
                mean(bound.values).reindex(scores.columns),
                mean(sample.values).reindex(scores.columns),
            )
            within = [correlation(scores[name], values[name]).spearman for name in scores]
            bounds, distances = scores.to_numpy(float), values.to_numpy(float)
            attacked = np.isfinite(bounds) & ~np.isnan(distances)
            share = (
                ((bounds > distances) & attacked).sum() / attacked.sum()
                if attacked.any()
                else np.nan
            )
            within = float(np.nanmean(within)) if np.isfinite(within).any() else np.nan
            told = [over_models.n, *over_models[:4], within, int(attacked.sum()), share]
            records.append([*sample.key, *told])
    return pd.DataFrame(records, columns=AGREEMENT)


def transfer_symmetry(made: Tables) -> pd.DataFrame:
    """Each transfer map beside its transpose."""
    records = []
    for panel in panels(made.transfer):
        rows = of_panel(made.transfer, panel)
        own = pd.DataFrame(
            {"model": [], "success_rate": [], "n": []}
        )  # the diagonal does not count
        rates, counts = (
            square(rows, own, column=name).to_numpy() for name in ("released", "n_released")
        )
        found = symmetry(rates, counts)
        records.append([*panel, found.pairs, found.correlation, found.difference, found.by_chance])
    names = [
        "attack",
        "target_kind",
        "setting",
        "model_pairs",
        "symmetry",
        "asymmetry",
        "asymmetry_by_chance",
    ]
    return pd.DataFrame(records, columns=names)
