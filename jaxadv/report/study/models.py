"""Tables that compare models: in pairs, along the depth of a family, and by what explains their
differences.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from jaxadv.analysis import explained, paired_intervals, paired_rate_interval
from jaxadv.analysis.families import family
from jaxadv.report.sizes import Size
from jaxadv.report.study.samples import Sample, mean

KEYS = ["attack", "target_kind", "setting", "distance"]


def comparison(found: list[Sample]) -> pd.DataFrame:
    """Every two models on the images that both were attacked on: the difference of their means, or
    of their success rates.
    """
    tables = []
    for sample in found:
        pairs = list(combinations(sample.values.columns, 2))
        if pairs:
            first, second = (
                sample.values[[pair[side] for pair in pairs]].to_numpy() for side in (0, 1)
            )
            table = pd.DataFrame(pairs, columns=["model", "other"])
            for place, (name, value) in enumerate(zip(KEYS, sample.key, strict=True)):
                table.insert(place, name, value)
            tables.append(
                pd.concat(
                    [table, difference(first, second, rates=sample.distance == "success")], axis=1
                )
            )
    columns = [*KEYS, "model", "other", "common", "difference", "difference_low", "difference_high"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def difference(first: np.ndarray, second: np.ndarray, *, rates: bool) -> pd.DataFrame:
    """Of columns (N, C) of two models: mean of first minus second over the images on which both
    have a value.
    """
    finite = np.isfinite(first) & np.isfinite(second)
    gap = np.where(finite, np.where(finite, first, 0) - np.where(finite, second, 0), np.nan)
    value, low, high = paired_intervals(gap)
    common = finite.sum(axis=0)
    if rates:
        low, high = paired_rate_interval((gap > 0).sum(axis=0), (gap < 0).sum(axis=0), common)
        low, high = (np.where(common > 0, end, np.nan) for end in (low, high))
    return pd.DataFrame(
        {"common": common, "difference": value, "difference_low": low, "difference_high": high}
    )


def depth(found: list[Sample], sizes: dict[str, Size]) -> pd.DataFrame:
    """Within a family: of the pairs of models of different depth, in how many the deeper one is the
    more robust; the deepest beside the shallowest.
    """
    records = []
    for sample in (sample for sample in found if sample.distance != "success"):
        means = mean(sample.values)
        names = [
            name for name in map(str, sample.values) if name in sizes and np.isfinite(means[name])
        ]
        for name, members in pd.Series(names, dtype=object).groupby(
            [family(model) for model in names], sort=False
        ):
            ordered = sorted(members, key=lambda model: sizes[model].layers)
            pairs = [
                (low, high)
                for low, high in combinations(ordered, 2)
                if sizes[low].layers < sizes[high].layers
            ]
            if pairs:
                up = sum(means[high] > means[low] for low, high in pairs)
                ends = (
                    sample.values[[ordered[-1]]].to_numpy(),
                    sample.values[[ordered[0]]].to_numpy(),
                )
                records.append(
                    [
                        *sample.key,
                        name,
                        " < ".join(ordered),
                        len(pairs),
                        up,
                        *difference(*ends, rates=False).iloc[0],
                    ]
                )
    columns = [
        "family",
        "by_depth",
        "depth_pairs",
        "deeper_more_robust",
        "common",
        "difference",
        "difference_low",
        "difference_high",
    ]
    counts = dict.fromkeys(("depth_pairs", "deeper_more_robust", "common"), "int64")
    return pd.DataFrame(records, columns=[*KEYS, *columns]).astype(counts)


def explanation(found: list[Sample], sizes: dict[str, Size]) -> pd.DataFrame:
    """What share of the variance of models' robustness their family explains, and what their size
    does.
    """
    records = []
    for sample in (sample for sample in found if sample.distance != "success"):
        means = mean(sample.values).dropna()
        means = means[[name for name in means.index if name in sizes]]
        if len(means) < 3:
            continue
        families = [family(name) for name in means.index]
        terms = {
            "family": pd.get_dummies(pd.Series(families, dtype=str)).to_numpy(float),
            "ln(parameters)": np.log([[sizes[name].parameters] for name in means.index]),
            "ln(layers)": np.log([[sizes[name].layers] for name in means.index]),
        }
        for what, columns in terms.items():
            fit = explained(means.to_numpy(), columns)
            records.append([*sample.key, what, fit.n, fit.r_squared, fit.by_chance, fit.p_value])
    return pd.DataFrame(
        records,
        columns=[*KEYS, "explained_by", "models", "explained", "explained_by_chance", "p_value"],
    )
