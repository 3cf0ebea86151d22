"""Statements 1, 2, 3 and 10: how often the attacks succeed, and what confidence does to them."""

import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.columns import three_digits
from jaxadv.report.study.verdicts import (
    Claim,
    Evidence,
    by_source,
    change,
    percent,
    rows_of,
    sweeps,
    tested,
    untested,
)

TARGETED = ("random", "least", "top2")
FEW, VERY_GOOD, NEAR_ALL = 0.03, 0.9, 0.95  # shares: the first is the study's


def claims(evidence: Evidence) -> list[Claim]:
    return [
        _fgsm_is_weak(evidence),
        _ten_steps(evidence),
        *_searches(evidence),
        _least_likely(evidence),
    ]


def _extreme(rows: pd.DataFrame, which: str) -> str:
    """The attempt row with the largest or smallest success rate, told."""
    row = rows.loc[getattr(rows["success_rate"], which)()]
    kind, name = KINDS.get(row["target_kind"], row["target_kind"]), catalog.title(row["attack"])
    ends = f"[{100 * row['success_rate_low']:.1f}, {100 * row['success_rate_high']:.1f}]"
    return (
        f"{percent(row['success_rate'])} {ends} ({row['model']}, {name} {row['setting']}, {kind}, "
        f"n {row['n']})"
    )


def _fgsm_is_weak(evidence: Evidence) -> Claim:
    words = (
        "1",
        "targeted FGSM succeeds on less than 3 % of the images of every model",
        "largest success rate below 3 %, at every eps of the run",
    )
    rows = rows_of(evidence.made, "fgsm", TARGETED)
    if rows.empty:
        return untested(*words, lacks="targeted FGSM")
    holds = bool((rows["success_rate"] < FEW).all())
    settled = bool(
        (rows["success_rate_high"] < FEW).all()
        if holds
        else (rows["success_rate_low"] >= FEW).any()
    )
    below = rows.groupby("model")["success_rate"].max() < FEW
    return tested(
        *words,
        holds=holds,
        settled=settled,
        evidence=f"largest {_extreme(rows, 'idxmax')}; below 3 % on {below.sum()} of {len(below)} "
        "models",
    )


def _all_reach(words: tuple[str, str, str], rows: pd.DataFrame, limit: float) -> Claim:
    """Whether every model's success rate reaches a limit."""
    holds = bool((rows["success_rate"] >= limit).all())
    settled = bool(
        (rows["success_rate_low"] >= limit).all()
        if holds
        else (rows["success_rate_high"] < limit).any()
    )
    reached = rows.groupby("model")["success_rate"].min() >= limit
    told = (
        f"smallest {_extreme(rows, 'idxmin')}; {100 * limit:.0f} % reached on "
        f"{reached.sum()} of {len(reached)} models"
    )
    return tested(*words, holds=holds, settled=settled, evidence=told)


def _ten_steps(evidence: Evidence) -> Claim:
    words = (
        "2",
        "I-FGSM with 10 iterations reaches very good targeted success on all models",
        "at 10 steps and the largest eps of the run, at least 90 % on every model",
    )
    rows = rows_of(evidence.made, "ifgsm", TARGETED)
    rows = rows[evidence.made.settings.numbers(rows, "steps") == 10]
    if rows.empty:
        return untested(*words, lacks="targeted I-FGSM of 10 steps")
    return _all_reach(words, _largest_eps(evidence, rows), VERY_GOOD)


def _searches(evidence: Evidence) -> list[Claim]:
    """C&W and EAD-L1, and their confidence."""
    words = (
        "3a",
        "C&W and EAD-L1 succeed nearly always",
        "at the smallest confidence, random targets, at least 95 % on every model",
    )
    rows = pd.concat(
        [
            _smallest_confidence(evidence, rows_of(evidence.made, attack, ("random",)))
            for attack in ("cw", "ead")
        ]
    )
    found = [
        _all_reach(words, rows, NEAR_ALL)
        if len(rows)
        else untested(*words, lacks="C&W or EAD-L1 at random targets")
    ]
    rule = "the mean over models {} from the smallest confidence of the run to the largest"
    words = "3b", "a larger confidence lowers the success of C&W and EAD-L1", rule.format("falls")
    found.append(_confidence(evidence, words, "success_rate", sign=-1))
    words = "3c", "a larger confidence raises the distance of C&W and EAD-L1", rule.format("rises")
    found.append(_confidence(evidence, words, "", sign=1))
    words = (
        "3d",
        "a larger confidence makes C&W and EAD-L1 transfer better",
        "the mean over sources rises from the smallest confidence to the largest",
    )
    return [*found, transfer_grows(evidence, words, ("cw", "ead"), "confidence", 1)]


def _smallest_confidence(evidence: Evidence, rows: pd.DataFrame) -> pd.DataFrame:
    level = evidence.made.settings.numbers(rows, "confidence")
    return rows[(level == level.min()) | level.isna()]


def _largest_eps(evidence: Evidence, rows: pd.DataFrame) -> pd.DataFrame:
    eps = evidence.made.settings.numbers(rows, "eps")
    return rows[eps == eps.max()]


def _confidence(
    evidence: Evidence, words: tuple[str, str, str], column: str, *, sign: int
) -> Claim:
    """column: of the table of attempts, "" for the mean of the distance that the attack makes
    small.
    """
    changes = {}
    for attack in ("cw", "ead"):
        rows = rows_of(evidence.made, attack, TARGETED)
        for sweep in sweeps(evidence.made, rows, attack, "confidence"):
            low, high = (
                rows[rows["setting"] == setting]
                for setting in (sweep.low_setting, sweep.high_setting)
            )
            value = column or f"{evidence.made.settings.minimises(attack, sweep.low_setting)}_mean"
            low, high = (side.set_index("model")[value] for side in (low, high))
            kind = KINDS.get(rows["target_kind"].iloc[0])
            changes[f"{sweep.what}, {kind}, κ {sweep.low:g} to {sweep.high:g}"] = change(low, high)
    return _grown(
        words,
        changes,
        sign,
        "targeted C&W or EAD-L1 at two confidences",
        percent if column else three_digits,
    )


def transfer_grows(
    evidence: Evidence,
    words: tuple[str, str, str],
    attacks: tuple[str, ...],
    parameter: str,
    sign: int,
) -> Claim:
    """Whether images transfer better (sign 1) or worse (-1) where one parameter of an attack is
    larger.
    """
    changes = {}
    for attack in attacks:
        rows = evidence.made.transfer[evidence.made.transfer["attack"] == attack]
        kinds = (
            ["untargeted"]
            if (rows["target_kind"] == "untargeted").any()
            else [kind for kind in KINDS if kind in set(rows["target_kind"])]
        )
        for kind in kinds:
            for sweep in sweeps(
                evidence.made, rows[rows["target_kind"] == kind], attack, parameter
            ):
                ends = (
                    by_source(evidence.made, attack, (kind,), setting, evidence.rate(kind))
                    for setting in (sweep.low_setting, sweep.high_setting)
                )
                changes[
                    f"{sweep.what}, {KINDS.get(kind, kind)}, {parameter} {sweep.low:g} to "
                    f"{sweep.high:g}"
                ] = change(*ends)
    names = " or ".join(catalog.title(attack) for attack in attacks)
    return _grown(
        words, changes, sign, f"transfer of {names} at two values of {parameter}", percent
    )


def _grown(words: tuple[str, str, str], changes: dict, sign: int, lacks: str, told) -> Claim:
    changes = {what: found for what, found in changes.items() if found.before == found.before}
    if not changes:
        return untested(*words, lacks=lacks)
    right = [sign * (found.after - found.before) > 0 for found in changes.values()]
    sure = [found.sure for found in changes.values()]
    holds = all(right)
    settled = (
        all(sure)
        if holds
        else any(certain and not way for certain, way in zip(sure, right, strict=True))
    )
    evidence = "; ".join(
        f"{what}: {told(found.before)} → {told(found.after)}" for what, found in changes.items()
    )
    return tested(*words, holds=holds, settled=settled, evidence=evidence)


def _least_likely(evidence: Evidence) -> Claim:
    words = (
        "10",
        "I-FGSM and C&W succeed nearly always on least-likely targets too",
        "at least 95 % on every model, smallest confidence, largest eps",
    )
    rows = evidence.made.robustness[evidence.made.robustness["target_kind"] == "least"]
    search = rows[rows["attack"] == "ifgsm_search"]
    if search.empty:
        search = _largest_eps(evidence, rows_of(evidence.made, "ifgsm", ("least",)))
    rows = pd.concat([search, _smallest_confidence(evidence, rows[rows["attack"] == "cw"])])
    return (
        _all_reach(words, rows, NEAR_ALL)
        if len(rows)
        else untested(*words, lacks="I-FGSM or C&W at least-likely targets")
    )
