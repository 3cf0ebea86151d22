"""What a run found, in sentences made from its tables: nothing is said that the numbers do not say."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.core.targets import KINDS
from jaxadv.report import tables
from jaxadv.report.columns import three_digits
from jaxadv.report.measures import Measure
from jaxadv.report.names import panel_name
from jaxadv.report.settings import budgets


class Finding(NamedTuple):
    about: str
    text: str


def findings(
    accuracy: pd.DataFrame,
    robustness: pd.DataFrame,
    transfer: pd.DataFrame,
    chief: list[Measure],
    spread: pd.DataFrame,
) -> list[Finding]:
    """chief: of `measures.chief`; spread: of `panel_means`."""
    found = [
        _accuracy(accuracy),
        *(
            _extremes(measure)
            for measure in chief
            if measure.attack != "clever" or measure.setting == "2"
        ),
    ]
    found += [_law(chief), _budgets(robustness), _transfer(transfer, spread)]
    return [finding for finding in found if finding]


def interval(value: float, low: float, high: float) -> str:
    """ "0.61 [0.55, 0.68]"; without the brackets where there is no interval."""
    text = three_digits(value)
    return (
        f"{text} [{three_digits(low)}, {three_digits(high)}]"
        if np.isfinite([low, high]).all()
        else text
    )


def _accuracy(table: pd.DataFrame) -> Finding | None:
    if len(table) < 2:
        return None
    best, worst = (
        table.iloc[int(row)]
        for row in (table["top1_percent"].argmax(), table["top1_percent"].argmin())
    )
    return Finding(
        "Accuracy",
        f"{best['model']} is the most accurate ({_share(best)} of {best['images']} clean images), "
        f"{worst['model']} the least ({_share(worst)}).",
    )


def _share(row: pd.Series) -> str:
    return f"{row['top1_percent']:.1f} % [{row['top1_percent_low']:.1f}, {row['top1_percent_high']:.1f}]"


def _extremes(measure: Measure) -> Finding | None:
    """The most and the least robust model, and how many others could as well be."""
    points = measure.points
    if len(points) < 2:
        return None
    most, least = (
        points.iloc[int(row)] for row in (points["mean"].argmax(), points["mean"].argmin())
    )
    top, bottom = (
        f"{interval(row['mean'], row['low'], row['high'])} ({_counts(row, measure)})"
        for row in (most, least)
    )
    verb = "has" if measure.attack == "clever" else "needs"
    text = f"{most['model']} {verb} the largest {measure.what}, {top}; {least['model']} the smallest, {bottom}."
    if np.isfinite(most["low"]):
        rivals = int((points["high"] >= most["low"]).sum()) - 1
        text += (
            " No other model's interval reaches the first one's."
            if not rivals
            else (
                f" The intervals of {rivals} other{'s' * (rivals > 1)} overlap the first one's: which is the most robust is not settled."
            )
        )
    kind = KINDS.get(measure.target_kind, measure.target_kind)
    return Finding(f"{measure.short}, {kind}", text)


def _counts(row: pd.Series, measure: Measure) -> str:
    return (
        f"n {row['n']}" if measure.attack == "clever" else f"n {row['n']}, {row['failures']} failed"
    )


def _law(chief: list[Measure]) -> Finding | None:
    """Whether robustness falls with the logarithm of the error, as the study found on ImageNet."""
    verdicts: dict[str, list[str]] = {}
    for measure in chief:
        law = measure.law
        if law is None or len(measure.points) < 3:
            continue
        if law["models"] < 3:
            verdicts.setdefault(
                "cannot be tested, with fewer than 3 models on the frontier, for", []
            ).append(measure.short)
            continue
        told = f"{measure.short} (b = {interval(law['slope'], law['slope_low'], law['slope_high'])}, {law['models']} models)"
        if law["slope_low"] > 0:
            verdicts.setdefault("holds, b being above 0, for", []).append(told)
        else:
            verdicts.setdefault("is not settled, the interval of b including 0, for", []).append(
                told
            )
    if not verdicts:
        return None
    told = "; it ".join(f"{verdict} {', '.join(which)}" for verdict, which in verdicts.items())
    return Finding(
        "The law, robustness = a + b ln(error) on the Pareto frontier",
        f"It {told}. A frontier has no b below 0.",
    )


def _budgets(robustness: pd.DataFrame) -> Finding | None:
    """The success rates of the attacks with a fixed budget, at their last setting."""
    told = []
    for attack, of_attack in budgets(robustness):
        for kind, rows in of_attack.groupby("target_kind", sort=False):
            rows = rows[rows["setting"] == rows["setting"].iloc[-1]]
            low, high = 100 * rows["success_rate"].min(), 100 * rows["success_rate"].max()
            share = f"{low:.0f} %" if f"{low:.0f}" == f"{high:.0f}" else f"{low:.0f}–{high:.0f} %"
            name = panel_name(attack, str(kind), rows["setting"].iloc[0])
            told.append(f"{name}: {share} (n {counted(rows['n'])})")
    return (
        Finding(
            "Fixed budgets, success from the least to the most easily fooled model",
            "; ".join(told) + ".",
        )
        if told
        else None
    )


def counted(numbers: Iterable[int]) -> str:
    """ "24", or "20–24"."""
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low}–{high}"


def panel_means(transfer: pd.DataFrame) -> pd.DataFrame:
    """For each transfer map its mean rate ("released") over ordered pairs, its best source, and the range of n."""
    columns = [*tables.Panel._fields, "pairs", "mean", "best", "best_mean", "n_low", "n_high"]
    records = []
    for panel in tables.panels(transfer):
        rows = tables.of_panel(transfer, panel)
        by_source = rows.groupby("source", sort=False, observed=True)["released"].mean()
        best = by_source.idxmax() if by_source.notna().any() else ""
        numbers = rows["n_released"]
        records.append(
            [
                *panel,
                len(rows),
                rows["released"].mean(),
                best,
                by_source.max(),
                numbers.min(),
                numbers.max(),
            ]
        )
    return pd.DataFrame(records, columns=columns)


def _transfer(transfer: pd.DataFrame, spread: pd.DataFrame) -> Finding | None:
    spread = spread[spread["mean"].notna()]
    if spread.empty:
        return None
    best = spread.iloc[int(spread["mean"].argmax())]
    name = panel_name(best["attack"], best["target_kind"], best["setting"])
    pairs = f"{best['pairs']} pairs (n {counted([best['n_low'], best['n_high']])} a pair)"
    text = f"{name} transfers best: {100 * best['mean']:.0f} % on average over {pairs}"
    text += f", and best from {best['best']} ({100 * best['best_mean']:.0f} %)."
    aimed, free = (
        spread[spread["target_kind"] != "untargeted"],
        spread[spread["target_kind"] == "untargeted"],
    )
    if len(aimed) and len(free) and best["target_kind"] == "untargeted":
        top = aimed.iloc[int(aimed["mean"].argmax())]
        name = panel_name(top["attack"], top["target_kind"], top["setting"])
        text += f" With a target it is at most {100 * top['mean']:.0f} % ({name})."
    return Finding("Transfer", text)
