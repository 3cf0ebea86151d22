"""Statements 4, 5 and 6: how robustness goes with accuracy, family, size and depth."""

from typing import Any

import numpy as np
import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.report.columns import three_digits
from jaxadv.report.findings import interval
from jaxadv.report.study.models import KEYS
from jaxadv.report.study.samples import Sample, mean
from jaxadv.report.study.verdicts import Claim, Evidence, ordinal, tested, untested
from jaxadv.support.norms import DISTANCES

FIGURE_2 = {
    "ifgsm_search": "linf",
    "cw": "l2",
    "clever": "l2",
}  # the measures of the study's figure
ATTACKS = ("ifgsm_search", "cw")
DEPTH = ("ResNet", "Inception", "DenseNet")
SEARCHES = "search of I-FGSM or C&W on {}"


def claims(evidence: Evidence) -> list[Claim]:
    laws = [
        _law(evidence, number, *measure)
        for number, measure in zip("abc", FIGURE_2.items(), strict=True)
    ]
    return [
        *laws,
        _alexnet(evidence),
        _mobilenet(evidence),
        _architecture(evidence),
        *(_depth(evidence, *item) for item in zip("abc", DEPTH, strict=True)),
    ]


def _samples(evidence: Evidence, attacks=tuple(FIGURE_2)) -> list[Sample]:
    return [
        sample
        for sample in evidence.samples
        if sample.attack in attacks and sample.distance == FIGURE_2[sample.attack]
    ]


def _name(sample: Sample) -> str:
    return _short(sample.attack, sample.distance)


def _short(attack: str, distance: str) -> str:
    return f"{catalog.title(attack)}, mean {DISTANCES[distance]}"


def _law(evidence: Evidence, letter: str, attack: str, distance: str) -> Claim:
    """The frontier cannot refute the law: along it the less accurate model is always the more
    robust one. So all models are asked too.
    """
    words = (
        f"4{letter}",
        "robustness = a + b ln(error) with b above 0, fitted to the Pareto frontier of accuracy "
        f"and {_short(attack, distance)}",
        "b is above 0 on the frontier (3 models at least; always so, as no frontier falls with "
        "the error), and on all models",
    )
    sample, table = next(iter(_samples(evidence, (attack,))), None), evidence.made.law
    laws = table[(table[KEYS] == (sample.key if sample else "")).all(axis=1)].set_index("fitted")
    if laws.empty:
        return untested(*words, lacks=f"accuracies with {_short(attack, distance)}")
    frontier: Any = laws.loc["frontier"]
    everyone: Any = laws.loc["all"]
    if frontier["models"] < 3 or np.isnan(frontier["slope"]):
        return untested(
            *words,
            lacks=f"law: {frontier['models']} models with an error on the frontier "
            f"({frontier['frontier']}), it needs 3",
        )
    told = "; ".join(
        f"{where}: b = {interval(law['slope'], law['slope_low'], law['slope_high'])}, "
        f"a = {interval(law['intercept'], law['intercept_low'], law['intercept_high'])}, R² "
        f"{law['r_squared']:.2f}, {law['models']} models"
        for where, law in (("frontier", frontier), ("all", everyone))
    )
    holds = bool(frontier["slope"] > 0 and everyone["slope"] > 0)
    settled = (
        min(frontier["slope_low"], everyone["slope_low"]) > 0
        if holds
        else everyone["slope_high"] < 0
    )
    return tested(
        *words,
        holds=holds,
        settled=bool(settled),
        evidence=f"{told}; frontier: {frontier['frontier']}",
    )


def _alexnet(evidence: Evidence) -> Claim:
    words = (
        "5a",
        "AlexNet is the most robust model",
        "largest mean distance in the search of I-FGSM (L∞) and in C&W (L2)",
    )
    found = [
        sample
        for sample in _samples(evidence, ATTACKS)
        if "alexnet" in sample.values and sample.values.shape[1] > 1
    ]
    if not found:
        return untested(*words, lacks=SEARCHES.format("AlexNet and other models"))
    holds, sure, against, told = True, True, False, []
    for sample in found:
        means = mean(sample.values).sort_values(ascending=False)
        rank = list(means.index).index("alexnet") + 1
        pairs = _against(evidence, sample, "alexnet")
        holds &= rank == 1
        sure &= bool((pairs["difference_low"] > 0).all())
        against |= bool((pairs["difference_high"] < 0).any())
        first = f"first {means.index[0]}, {three_digits(means.iloc[0])}"
        told.append(
            f"{_name(sample)}: {three_digits(means['alexnet'])}, rank {rank} of {len(means)} "
            f"({first})"
        )
    return tested(*words, holds=holds, settled=sure if holds else against, evidence="; ".join(told))


def _against(evidence: Evidence, sample: Sample, model: str) -> pd.DataFrame:
    """The paired differences of one model from each other."""
    table = evidence.study["comparison"]
    rows = table[(table[KEYS] == sample.key).all(axis=1)]
    first, second = rows[rows["model"] == model], rows[rows["other"] == model]
    turned = second.assign(
        other=second["model"],
        difference_low=-second["difference_high"],
        difference_high=-second["difference_low"],
    )
    rows = pd.concat([first, turned])
    return rows[rows["other"].isin(sample.values.columns)]


def _mobilenet(evidence: Evidence) -> Claim:
    name = "mobilenet_v1_050"
    words = (
        "5b",
        "MobileNet-0.50 is easily attacked",
        "its mean distance is in the lowest third of the models, in the search of I-FGSM and in "
        "C&W",
    )
    found = [
        sample
        for sample in _samples(evidence, ATTACKS)
        if name in sample.values and sample.values.shape[1] > 2
    ]
    if not found:
        return untested(*words, lacks=SEARCHES.format("MobileNet-0.50 and two other models"))
    holds, settled, told = True, [], []
    for sample in found:
        means = mean(sample.values).sort_values()
        rank, third = list(means.index).index(name) + 1, len(means) // 3
        pairs = _against(evidence, sample, name)
        low = int((pairs["difference_low"] > 0).sum())  # models that are surely less robust
        high = int((pairs["difference_high"] < 0).sum())
        holds &= rank <= third
        settled.append((high >= len(means) - third, low >= third))
        told.append(
            f"{_name(sample)}: {three_digits(means[name])}, {ordinal(rank)} smallest of "
            f"{len(means)}"
        )
    sure = all(yes for yes, _ in settled) if holds else any(no for _, no in settled)
    return tested(*words, holds=holds, settled=sure, evidence="; ".join(told))


def _architecture(evidence: Evidence) -> Claim:
    words = (
        "5c",
        "the architecture matters more than the size",
        "above what chance explains, the family explains a larger share of the variance than "
        "ln(parameters), in every measure of Fig. 2",
    )
    table = evidence.study["explanation"]
    told, right, sure = [], [], []
    for sample in _samples(evidence):
        rows: Any = table[(table[KEYS] == sample.key).all(axis=1)].set_index("explained_by")
        if rows.empty or rows.loc[["family", "ln(parameters)"], "explained"].isna().any():
            continue
        share = {name: _adjusted(rows.loc[name]) for name in ("family", "ln(parameters)")}
        p_values = rows["p_value"]
        right.append(share["family"] > share["ln(parameters)"])
        sure.append(p_values["family"] < 0.05 if right[-1] else p_values["ln(parameters)"] < 0.05)
        told.append(
            f"{_name(sample)}: family {_share(rows.loc['family'])}, parameters "
            f"{_share(rows.loc['ln(parameters)'])}"
        )
    if not right:
        return untested(*words, lacks="measures of enough models of known size in several families")
    holds = all(right)
    settled = (
        all(sure)
        if holds
        else any(certain and not way for certain, way in zip(sure, right, strict=True))
    )
    return tested(*words, holds=holds, settled=settled, evidence="; ".join(told))


def _adjusted(row: pd.Series) -> float:
    """The share explained beyond chance: 0 where it is what chance explains, 1 where all is
    explained.
    """
    return (row["explained"] - row["explained_by_chance"]) / (1 - row["explained_by_chance"])


def _share(row: pd.Series) -> str:
    return (
        f"{100 * row['explained']:.0f} % (chance {100 * row['explained_by_chance']:.0f}, p "
        f"{row['p_value']:.2g})"
    )


def _depth(evidence: Evidence, letter: str, family: str) -> Claim:
    words = (
        f"6{letter}",
        f"in the family {family} a deeper model has a slightly larger L∞ distance",
        "the deepest has a larger mean than the shallowest, in the search of I-FGSM",
    )
    table = evidence.study["depth"]
    keys = [sample.key for sample in _samples(evidence, ("ifgsm_search",))]
    rows = table[
        (table[KEYS] == (keys[0] if keys else "")).all(axis=1) & (table["family"] == family)
    ]
    if rows.empty:
        return untested(*words, lacks=f"search of I-FGSM on two {family}s of different depth")
    row = rows.iloc[0]
    told = (
        "deepest minus shallowest "
        f"{interval(row['difference'], row['difference_low'], row['difference_high'])} on "
        f"{row['common']} images; "
    )
    told += (
        f"the deeper one is ahead in {row['deeper_more_robust']} of {row['depth_pairs']} "
        f"pairs ({row['by_depth']})"
    )
    sure = row["difference_low"] > 0 or row["difference_high"] < 0
    return tested(*words, holds=row["difference"] > 0, settled=bool(sure), evidence=told)
