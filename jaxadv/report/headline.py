"""The three sentences that a page begins with: the most robust model, accuracy beside robustness,
and transfer.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from jaxadv.analysis import correlation
from jaxadv.report.findings import NO_SUCCESS, Finding, interval, share_text, with_successes
from jaxadv.report.measures import Measure
from jaxadv.report.names import listed, panel_name
from jaxadv.report.ranking import Order, Rank, alike, difference, shown
from jaxadv.report.tables import Tables


def headline(
    made: Tables,
    order: Order | None,
    ranked: Mapping[str, Rank],
    comparison: pd.DataFrame,
    spread: pd.DataFrame,
    measures: Sequence[Measure] = (),
) -> list[Finding]:
    """At most three sentences, each with its numbers.

    Args:
        made: the tables, without lines in which nothing counts.
        order: of `jaxadv.report.ranking.chosen`.
        ranked: of `jaxadv.report.ranking.ranks`.
        comparison: the table of differences between models.
        spread: of `jaxadv.report.findings.panel_means`.
        measures: of `jaxadv.report.measures.chief`, to say where another one puts another model
            first.
    """
    told = [
        _robust(made, order, comparison, measures),
        _accurate(made, order, ranked),
        _transfers(with_successes(spread, made.robustness), out_of=len(spread)),
    ]
    return [finding for finding in told if finding]


def _robust(
    made: Tables, order: Order | None, comparison: pd.DataFrame, measures: Sequence[Measure]
) -> Finding | None:
    if order is None:
        return None
    values = order.points["value"] if order.larger else -order.points["value"]
    sign = 1 if order.larger else -1
    groups = alike(values, lambda value: shown(order, sign * value))
    rows = [order.points.iloc[group[0]] for group in groups]
    name = order.name
    if len(groups) == 1:
        text = (
            f"all {len(order.points)} models are equal by {name}: {order.what} "
            f"{shown(order, rows[0]['value'])}"
        )
        return Finding("Most robust", f"{text}{_unbroken(made, order)}.")
    first = [str(order.points["model"].iloc[number]) for number in groups[0]]
    value = _told(order, rows[0])
    if len(first) > 1:
        text = f"{listed(first)}, equal by {name}: {order.what} {shown(order, rows[0]['value'])}"
        return Finding("Most robust", f"{text}{_unbroken(made, order)}.")
    others = [
        listed([str(order.points["model"].iloc[number]) for number in group]) for group in groups
    ]
    text = (
        f"{first[0]} by {name}: {order.what} {value}, before {others[1]} with "
        f"{shown(order, rows[1]['value'])}{_settled(order, first[0], others[1], comparison)}"
        f"{_unbroken(made, order)}."
    )
    if len(groups) > 2:
        text += f" Last: {others[-1]} with {shown(order, rows[-1]['value'])}."
    return Finding("Most robust", text + _elsewhere(order, first[0], measures))


def _elsewhere(order: Order, first: str, measures: Sequence[Measure]) -> str:
    """How many of the other measures put another model first."""
    compared, differs = 0, 0
    for measure in measures:
        is_same = (measure.attack, measure.target_kind) == order.key[:2]
        is_more = measure.attack == "clever" and measure.setting != "2"
        if is_same or is_more or len(measure.points) < 2:
            continue
        leaders = measure.points["model"].iloc[alike(measure.points["mean"])[0]]
        compared, differs = compared + 1, differs + (first not in set(leaders))
    if not differs:
        return ""
    return f" Of {compared} other measure{'s' * (compared > 1)}, {differs} put another model first."


def _told(order: Order, row: pd.Series) -> str:
    if order.larger:
        return interval(row["value"], row["low"], row["high"])
    ends = [100 * row["low"], 100 * row["high"]]
    return f"{100 * row['value']:.1f} % [{ends[0]:.1f}, {ends[1]:.1f}]"


def _settled(order: Order, first: str, second: str, comparison: pd.DataFrame) -> str:
    """Against how many others the first place is settled, by differences on the same images.

    second: the model in the second place, or several in words.
    """
    rivals = [name for name in order.points["model"] if name != first]
    compared = [difference(order, comparison, first, name) for name in rivals]
    known = [one for one in compared if one and np.isfinite([one["low"], one["high"]]).all()]
    if not known:
        return ""
    sure = sum(one["low"] > 0 for one in known)
    if sure == len(rivals):
        return "; settled on the same images"
    text = f"; settled against {sure} of {len(rivals)} others"
    next_one = difference(order, comparison, first, second)
    is_open = second in rivals and not (next_one and next_one["low"] > 0)
    return f"{text}, not against {second}" if is_open and sure else text


def _unbroken(made: Tables, order: Order) -> str:
    """The models that the attack never fooled: they have no mean distance, and no place."""
    attack, kind, setting, distance = order.key
    if attack == "clever" or distance == "success":
        return ""
    rows = made.robustness
    here = (rows["attack"] == attack) & (rows["target_kind"] == kind) & (rows["setting"] == setting)
    never = rows["model"][here & (rows["successes"] == 0) & (rows["n"] > 0)]
    return f"; never fooled: {listed(list(never))}" if len(never) else ""


def _accurate(made: Tables, order: Order | None, ranked: Mapping[str, Rank]) -> Finding | None:
    table = made.accuracy
    if len(table) < 2:
        return None
    groups = alike(table["top1_percent"], lambda value: f"{value:.1f}")
    best = table.iloc[groups[0][0]]
    value = f"{best['top1_percent']:.1f} %"
    if len(groups) == 1:
        return Finding("Accuracy", f"all {len(table)} models are equal: {value}.")
    first = [str(table["model"].iloc[number]) for number in groups[0]]
    text = f"{listed(first)} {'are' if len(first) > 1 else 'is'} the most accurate with {value}"
    if order is None:
        return Finding("Accuracy", f"{text}.")
    if len(first) == 1 and first[0] in ranked:
        text += f", and number {ranked[first[0]].text} of {len(ranked)} in robustness"
    return Finding("Accuracy", f"{text}{_together(table, order)}.")


def _together(table: pd.DataFrame, order: Order) -> str:
    """How accuracy goes with robustness over the models, as far as that is settled."""
    values = order.points.set_index("model")["value"] * (1 if order.larger else -1)
    right = table.set_index("model")["top1_percent"].reindex(values.index)
    both = correlation(right.to_numpy(float), values.to_numpy(float))
    if not np.isfinite([both.pearson, both.low, both.high]).all():
        return ""
    ends = f"correlation {both.pearson:.2f} [{both.low:.2f}, {both.high:.2f}]"
    if both.high < 0:
        return f"; more accurate models are less robust ({ends})"
    if both.low > 0:
        return f"; more accurate models are more robust ({ends})"
    return f"; whether accuracy goes with robustness is not settled ({ends})"


def _transfers(spread: pd.DataFrame, *, out_of: int) -> Finding | None:
    if spread.empty and out_of:
        return Finding("Transfer", f"nothing can transfer: {NO_SUCCESS}.")
    spread = spread[spread["mean"].notna()].reset_index(drop=True)
    if spread.empty:
        return None
    if not (spread["mean"] > 0).any():
        maps = f"{len(spread)} map{'s' * (len(spread) > 1)}"
        return Finding("Transfer", f"nothing transfers: 0 % in {maps}.")
    groups = alike(spread["mean"], share_text)
    rows = spread.iloc[groups[0]]
    names = [
        panel_name(*how)
        for how in zip(rows["attack"], rows["target_kind"], rows["setting"], strict=True)
    ]
    best = rows.iloc[0]
    if len(names) > 1:
        text = f"{listed(names)} transfer equally well, {share_text(best['mean'])} on average"
        return Finding("Transfer", f"{text}.")
    text = (
        f"{names[0]} transfers best, {share_text(best['mean'])} on average over {best['pairs']} "
        "pairs"
    )
    source = best["best"]
    if source == "all sources alike":
        return Finding("Transfer", f"{text}, from all sources alike.")
    return Finding("Transfer", f"{text}, most from {source} ({share_text(best['best_mean'])}).")
