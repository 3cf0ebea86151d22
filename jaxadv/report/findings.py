"""What a run found, in sentences made from its tables: nothing is said that the numbers do not say.

Numbers that print alike are called equal.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.core.targets import KINDS
from jaxadv.report import tables
from jaxadv.report.columns import three_digits
from jaxadv.report.measures import Measure
from jaxadv.report.names import listed, panel_name
from jaxadv.report.ranking import alike
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
    maps = with_successes(spread, robustness)
    found += [_law(chief), _budgets(robustness), _transfer(transfer, maps, out_of=len(spread))]
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
    groups = alike(table["top1_percent"], lambda value: f"{value:.1f}")
    best, worst = table.iloc[groups[0][0]], table.iloc[groups[-1][0]]
    if len(groups) == 1:
        return Finding("Accuracy", f"All {len(table)} models are equally accurate, {_share(best)}.")
    first, last = (listed(table["model"].iloc[group]) for group in (groups[0], groups[-1]))
    tied = len(groups[0]) > 1
    counts = f" of {best['images']} clean images" * (table["images"].nunique() == 1 or not tied)
    text = f"{first} {'are' if tied else 'is'} the most accurate ({_share(best)}{counts}), "
    return Finding("Accuracy", f"{text}{last} the least ({_share(worst)}).")


def _share(row: pd.Series) -> str:
    return (
        f"{row['top1_percent']:.1f} % [{row['top1_percent_low']:.1f}, "
        f"{row['top1_percent_high']:.1f}]"
    )


def _extremes(measure: Measure) -> Finding | None:
    """The most and the least robust models, and how many others could as well be the most."""
    points = measure.points
    if len(points) < 2:
        return None
    kind = KINDS.get(measure.target_kind, measure.target_kind)
    about = f"{measure.short}, {kind}"
    groups = alike(points["mean"])
    first, last = ([points.iloc[number] for number in group] for group in (groups[0], groups[-1]))
    if len(groups) == 1:
        text = (
            f"All {len(points)} models are equal: {measure.what} {three_digits(first[0]['mean'])}."
        )
        return Finding(about, text + _without(measure))
    is_score = measure.attack == "clever"
    verb = ("have" if is_score else "need") if len(first) > 1 else ("has" if is_score else "needs")
    top, bottom = (_value(rows, measure) for rows in (first, last))
    text = (
        f"{_named(first)} {verb} the largest {measure.what}, {top}; {_named(last)} the smallest, "
        f"{bottom}."
    )
    most = first[0]
    if len(first) == 1 and np.isfinite(most["low"]):
        rivals = int((points["high"] >= most["low"]).sum()) - 1
        if rivals:
            text += (
                f" The intervals of {rivals} other{'s' * (rivals > 1)} overlap the first one's. "
            )
            text += "Analysis compares them on the same images."
        else:
            text += " No other model's interval reaches the first one's."
    return Finding(about, text + _without(measure))


def _named(rows: Sequence[pd.Series]) -> str:
    return listed([row["model"] for row in rows])


def _value(rows: Sequence[pd.Series], measure: Measure) -> str:
    """The value of one model with its interval, or the common one of several."""
    row = rows[0]
    if len(rows) > 1:
        return f"{three_digits(row['mean'])} each"
    return f"{interval(row['mean'], row['low'], row['high'])} ({_counts(row, measure)})"


def _without(measure: Measure) -> str:
    """The models that have no mean, and why; "" if all have one."""
    means = measure.all_points["mean"]
    endless = measure.all_points["model"][np.isposinf(means)]
    none = measure.all_points["model"][means.isna()]
    text = f" No success at all against {listed(none)}." if len(none) else ""
    return text + (f" Without a finite mean: {listed(endless)}." if len(endless) else "")


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
                "cannot be tested (fewer than 3 models on the frontier) for", []
            ).append(measure.short)
            continue
        told = (
            f"{measure.short} (b = {interval(law['slope'], law['slope_low'], law['slope_high'])}, "
            f"{law['models']} models)"
        )
        if law["slope_low"] > 0:
            verdicts.setdefault("holds (b is above 0) for", []).append(told)
        else:
            verdicts.setdefault("is not settled (the interval of b includes 0) for", []).append(
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
    """For each transfer map its mean rate ("released") over ordered pairs, its best sources, and
    the range of n.

    "best" names the sources whose mean rates print as the largest; "" if no source has a rate.
    """
    columns = [*tables.Panel._fields, "pairs", "mean", "best", "best_mean", "n_low", "n_high"]
    records = []
    for panel in tables.panels(transfer):
        rows = tables.of_panel(transfer, panel)
        by_source = rows.groupby("source", sort=False, observed=True)["released"].mean().dropna()
        best = ""
        if len(by_source):
            groups = alike(by_source, share_text)
            names = [str(by_source.index[number]) for number in groups[0]]
            best = "all sources alike" if len(groups) == 1 < len(names) else listed(names)
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


def with_successes(spread: pd.DataFrame, robustness: pd.DataFrame) -> pd.DataFrame:
    """The maps whose attack fooled a model that it was made for. Others say nothing of how an
    attack transfers.

    Args:
        spread: of `panel_means`.
        robustness: the table of attempts.

    Returns:
        The rows of ``spread`` but for maps all of whose attempts failed.
    """
    how = list(tables.Panel._fields)
    successes = robustness.groupby(how, sort=False, observed=True)["successes"].sum()
    never = set(successes.index[successes == 0])
    kept = [tuple(key) not in never for key in spread[how].itertuples(index=False)]
    return spread.loc[np.array(kept, bool)].reset_index(drop=True)


NO_SUCCESS = "no attack fooled the model that it was made for"
"""What is said in place of the map that transfers best, if there is none to choose from."""


def share_text(share: float) -> str:
    """A share in whole percent. Only what is exactly nothing is 0 %, and only all is 100 %."""
    percent = 100 * share
    if 0 < percent <= 0.5:  # 0.5 is rounded to the even number, 0
        return "less than 1 %"
    if 99.5 <= percent < 100:
        return "more than 99 %"
    return f"{percent:.0f} %"


def _transfer(transfer: pd.DataFrame, spread: pd.DataFrame, *, out_of: int = 0) -> Finding | None:
    """out_of: how many maps there are, with those that `with_successes` leaves out."""
    if spread.empty and out_of:
        return Finding("Transfer", f"Nothing can transfer: {NO_SUCCESS}.")
    spread = spread[spread["mean"].notna()].reset_index(drop=True)
    if spread.empty:
        return None
    if not (spread["mean"] > 0).any():
        pairs = counted(spread["pairs"])
        maps = f"{len(spread)} map{'s' * (len(spread) > 1)}"
        return Finding("Transfer", f"Nothing transfers: 0 % over {pairs} pairs in {maps}.")
    groups = alike(spread["mean"], share_text)
    best = spread.iloc[groups[0][0]]
    names = [
        panel_name(row["attack"], row["target_kind"], row["setting"])
        for _, row in spread.iloc[groups[0]].iterrows()
    ]
    pairs = f"{best['pairs']} pairs (n {counted([best['n_low'], best['n_high']])} a pair)"
    if len(names) > 1:
        text = f"{listed(names)} transfer equally well: {share_text(best['mean'])} on average"
    else:
        text = f"{names[0]} transfers best: {share_text(best['mean'])} on average over {pairs}"
        text += f", and {_from(best)} ({share_text(best['best_mean'])})"
    text += "."
    aimed = spread[spread["target_kind"] != "untargeted"]
    if len(aimed) and best["target_kind"] == "untargeted":
        top = aimed.iloc[int(aimed["mean"].argmax())]
        name = panel_name(top["attack"], top["target_kind"], top["setting"])
        if top["mean"] > 0:
            text += f" With a target it is at most {share_text(top['mean'])} ({name})."
        else:
            text += " With a target nothing transfers."
    return Finding("Transfer", text)


def _from(best: pd.Series) -> str:
    if best["best"] == "all sources alike":
        return "from all sources alike"
    return f"best from {best['best']}"
