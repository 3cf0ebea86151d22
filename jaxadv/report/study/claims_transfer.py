"""Statements 7, 8, 9 and 11: what transfers, from where, whether as well back, and one printed
cell.
"""

from typing import Any

import numpy as np
import pandas as pd

from jaxadv.analysis.families import family
from jaxadv.attacks import catalog
from jaxadv.report.names import panel_name
from jaxadv.report.study.agreement import transfer_symmetry
from jaxadv.report.study.claims_attacks import transfer_grows
from jaxadv.report.study.verdicts import (
    MEASURED,
    RATES,
    Claim,
    Evidence,
    by_source,
    change,
    ordinal,
    percent,
    tested,
    untested,
)
from jaxadv.report.tables import of_panel, panels

FREE = ("untargeted",)
SAME_FAMILY, ALL = ("DenseNet", "ResNet", "VGG"), 0.995
VGG = ("vgg_16", "vgg_19")


def claims(evidence: Evidence) -> list[Claim]:
    return [
        _order(evidence),
        transfer_grows(
            evidence,
            (
                "7b",
                "fewer I-FGSM iterations transfer better",
                "the mean over sources falls from the fewest steps to the most, at each eps",
            ),
            ("ifgsm",),
            "steps",
            -1,
        ),
        transfer_grows(
            evidence,
            (
                "7c",
                "a larger eps of I-FGSM transfers better",
                "the mean over sources rises from the smallest eps to the largest",
            ),
            ("ifgsm",),
            "eps",
            1,
        ),
        transfer_grows(
            evidence,
            (
                "7d",
                "a larger confidence of EAD-L1 transfers better",
                "the mean over sources rises from the smallest confidence to the largest",
            ),
            ("ead",),
            "confidence",
            1,
        ),
        _targets(evidence),
        _sources(evidence),
        _families(evidence),
        _symmetry(evidence),
        _printed_cell(evidence),
    ]


def _order(evidence: Evidence) -> Claim:
    words = (
        "7a",
        "untargeted, FGSM and I-FGSM transfer better than EAD-L1, and that better than C&W",
        "by the mean over sources and all settings of the run",
    )
    names = ("fgsm", "ifgsm", "ead", "cw")
    rates = {name: by_source(evidence.made, name, FREE) for name in names}
    missing = [catalog.title(name) for name in names if rates[name].empty]
    if missing:
        return untested(*words, lacks=f"untargeted transfer of {', '.join(missing)}")
    steps = [
        change(rates[worse], rates[better])
        for better, worse in (("fgsm", "ead"), ("ifgsm", "ead"), ("ead", "cw"))
    ]
    holds = all(step.after > step.before for step in steps)
    settled = all(step.low > 0 for step in steps) if holds else any(step.high < 0 for step in steps)
    told = ", ".join(f"{catalog.title(name)} {percent(rates[name].mean())}" for name in names)
    without = {
        name: by_source(evidence.made, name, FREE, column="left_out").mean() for name in names
    }
    told += (
        "; failed sources left out: "
        f"{', '.join(f'{catalog.title(name)} {percent(rate)}' for name, rate in without.items())}"
    )
    return tested(*words, holds=holds, settled=settled, evidence=told)


def _targets(evidence: Evidence) -> Claim:
    words = (
        "7e",
        "untargeted images transfer far better than targeted ones",
        "more than twice the mean over sources, for every attack and setting run both ways; "
        f"towards a target an image counts where {RATES[evidence.targeted]}",
    )
    told, right, sure = [], [], []
    for panel in panels(evidence.made.transfer):
        if panel.target_kind == "untargeted":
            continue
        aimed = by_source(
            evidence.made, panel.attack, (panel.target_kind,), panel.setting, evidence.targeted
        )
        free = by_source(evidence.made, panel.attack, FREE, panel.setting)
        step = change(2 * aimed, free)
        if (
            np.isfinite(step.before) and step.after > 0
        ):  # where nothing transfers at all nothing is compared
            right.append(step.after > step.before)
            sure.append(step.sure)
            told.append(
                f"{panel_name(*panel)}: {percent(step.before / 2)}, untargeted "
                f"{percent(step.after)}"
            )
    if not right:
        return untested(
            *words, lacks="attack whose images were shown to others both with and without a target"
        )
    holds = all(right)
    settled = (
        all(sure)
        if holds
        else any(certain and not way for certain, way in zip(sure, right, strict=True))
    )
    return tested(*words, holds=holds, settled=settled, evidence="; ".join(told))


def _sources(evidence: Evidence) -> Claim:
    words = (
        "8a",
        "VGG-16 and VGG-19 are clearly the best sources",
        "untargeted, over all maps of the run, no other source has a mean as high as theirs",
    )
    rows = evidence.made.transfer[evidence.made.transfer["target_kind"] == "untargeted"]
    cells: Any = (
        rows.groupby(["source", "model"], sort=False)["released"].mean().unstack()
        if len(rows)
        else pd.DataFrame()
    )
    others = [name for name in cells.index if name not in VGG]
    if not set(VGG) <= set(cells.index) or not others:
        return untested(*words, lacks="untargeted transfer from both VGGs and others")
    means = cells.mean(axis=1).sort_values(ascending=False)
    best, worst = (
        next(name for name in means.index if name in others),
        min(VGG, key=lambda name: means[name]),
    )
    step = change(cells.loc[best], cells.loc[worst])  # over the models that both are shown to
    told = ", ".join(f"{name} {percent(mean)}" for name, mean in means[:3].items())
    places = ", ".join(f"{name} is {ordinal(list(means.index).index(name) + 1)}" for name in VGG)
    told += f" lead; {places} of {len(means)}"
    holds = bool(means[list(VGG)].min() > means[others].max())
    return tested(
        *words, holds=holds, settled=bool(step.low > 0 if holds else step.high < 0), evidence=told
    )


def _families(evidence: Evidence) -> Claim:
    words = (
        "8b",
        "untargeted I-FGSM reaches 100 % within DenseNet, ResNet and VGG",
        "in each of these families the mean over its pairs is at least 99.5 % in some untargeted "
        "I-FGSM map of the run",
    )
    best: dict[str, tuple[float, str, float]] = {}
    for panel in panels(evidence.made.transfer):
        if panel.attack != "ifgsm" or panel.target_kind != "untargeted":
            continue
        rows = of_panel(evidence.made.transfer, panel)
        for name, cells in rows[rows["source"].map(family) == rows["model"].map(family)].groupby(
            rows["source"].map(family)
        ):
            rate = cells["released"].mean()
            if name in SAME_FAMILY and rate > best.get(name, (-1.0,))[0]:
                best[name] = (rate, panel.setting, cells["released_high"].max())
    if not best:
        return untested(
            *words, lacks="untargeted I-FGSM transfer between two DenseNets, ResNets or VGGs"
        )
    told = ", ".join(
        f"{name} {percent(rate)} ({setting})" for name, (rate, setting, _) in best.items()
    )
    holds = all(rate >= ALL for rate, _, _ in best.values())
    missing = [name for name in SAME_FAMILY if name not in best]
    told += f"; {', '.join(missing)} not run" if missing else ""
    return tested(
        *words,
        holds=holds,
        settled=not holds and any(high < ALL for _, _, high in best.values()),
        evidence=told,
    )


def _symmetry(evidence: Evidence) -> Claim:
    """Summaries of the study disagree on it, so there is nothing to hold."""
    words = (
        "9",
        "whether transfer is symmetric (summaries of the study say both)",
        "measured only, in untargeted maps",
    )
    table = transfer_symmetry(evidence.made)
    table = table[(table["target_kind"] == "untargeted") & table["symmetry"].notna()]
    if table.empty:
        return untested(*words, lacks="untargeted transfer between three models")
    low, high = table["symmetry"].min(), table["symmetry"].max()
    told = (
        f"correlation of a map with its transpose {low:.2f} to {high:.2f} in {len(table)} "
        "maps; mean difference of the two directions "
    )
    told += (
        f"{percent(table['asymmetry'].mean())}, where counting noise alone gives "
        f"{percent(table['asymmetry_by_chance'].mean())}"
    )
    return Claim(*words, MEASURED, "", told)


def _printed_cell(evidence: Evidence) -> Claim:
    """The one cell that is known of the study's maps, and a re-run of its code: two different
    things.
    """
    from jaxadv.report.published import read  # which imports what imports this

    words = (
        "11",
        "how often FGSM's images of Inception-v1 fool Inception-v2 (untargeted, eps 0.1)",
        "measured only: the printed rate and a re-run of the released code are two different "
        "things",
    )
    printed, rerun, transfer = read("printed_cells"), read("rerun"), evidence.made.transfer
    if printed is None or rerun is None or evidence.zoo != "imagenet":
        return untested(*words, lacks="full-size networks beside published numbers")
    cell, fooled = printed.iloc[0], rerun[rerun["what"] == "fooled"].iloc[0]
    keys = ["attack", "setting", "target_kind", "model"]
    here = transfer[(transfer[keys] == cell[keys].tolist()).all(axis=1)]
    here = here[(here["source"] == cell["source_model"]) & here["released"].notna()]
    if here.empty:
        return untested(*words, lacks="such images of the two networks at full size")
    row = here.iloc[0]
    told = (
        f"this run {row['released']:.3f} (n {row['n_released']}); printed in Fig. 3: {cell['rate']}"
    )
    told += f"; re-run, seed 1216: {fooled['value']} of {fooled['of']} = "
    told += f"{int(fooled['value']) / int(fooled['of']):.3f}; why the two differ is not known"
    return Claim(*words, MEASURED, "", told)
