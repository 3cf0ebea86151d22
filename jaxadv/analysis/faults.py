"""Warnings about a run's faults: logits or gradients that are NaN or infinite, and gradients that
are zero.

They are sentences for a user, from counts of rows. No JAX.
"""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.store.run import Run

MASKED = 0.25
"""The share of attempts with zero gradients from which a low success rate is no sign of robustness.
"""


class Attempts(NamedTuple):
    """Attempts of one kind."""

    who: str  # "mine, fgsm eps=0.1"
    n: int  # how many
    invalid: int  # attempts that are no success and had NaN or infinite logits or gradients
    zero_gradient: int  # failures in which every gradient was zero everywhere


def of_attempts(attempts: Iterable[Attempts]) -> list[str]:
    """The warnings about attempts.

    Args:
        attempts: counts of attempts.

    Returns:
        A sentence for each kind of fault, which names the attempts and how often they have it.
        Empty without faults.
    """
    attempts = list(attempts)
    broken = [one for one in attempts if one.invalid]
    masked = [one for one in attempts if one.n and one.zero_gradient >= MASKED * one.n]
    lines = []
    if broken:
        lines.append(
            "NaN or infinite logits or gradients: "
            f"{_listed((one.who, one.invalid, one.n) for one in broken)} attempts; "
            "they are in no rate, neither as successes nor as failures"
        )
    if masked:
        lines.append(
            "gradients of zero everywhere: "
            f"{_listed((one.who, one.zero_gradient, one.n) for one in masked)} attempts failed "
            "without a direction, which is no robustness: look for rounding or saturation in the "
            "network, use the loss logit, not cross_entropy, "
            "and test how images of other networks transfer"
        )
    return lines


def of_run(run: Run) -> list[str]:
    """The warnings about all rows of a run.

    Args:
        run: the run.

    Returns:
        A sentence for each kind of fault. Empty without faults.

    Raises:
        InputError: if rows cannot be read.
    """
    clean = run.read("clean", ["model", "invalid"])
    lines = _counted(clean, "clean images without finite logits", "they count as misclassified")
    totals: dict[tuple[Hashable, ...], list[int]] = {}
    keys = ["model", "attack", "setting"]
    for rows in run.parts("examples", [*keys, "invalid", "zero_gradient"]):
        for key, some in rows.groupby(keys, sort=False, observed=True):
            counts = totals.setdefault(key, [0, 0, 0])
            counts[:] = [
                counts[0] + len(some),
                counts[1] + int(some["invalid"].sum()),
                counts[2] + int(some["zero_gradient"].sum()),
            ]
    lines += of_attempts(
        Attempts(f"{model}, {attack} {setting}".strip(), *counts)
        for (model, attack, setting), counts in totals.items()
    )
    sums = (
        run.transfer_sums()
        .rename(columns={"rows": "n"})[["model", "n", "invalid"]]
        .groupby("model", sort=False)
    )
    lines += _sentence(
        sums.sum(),
        "adversarial images of others without finite logits",
        "they are in no transfer rate",
    )
    scores = run.read("clever", ["model", "score"])
    spoilt = scores["score"].isna()
    endless = np.isinf(scores["score"])
    lines += _counted(
        scores.assign(invalid=spoilt),
        "CLEVER scores without a value, by NaN or infinite logits or gradients",
        "they are in no mean",
    )
    so = "all gradients were zero, so nothing bounds the distance, and their means are infinite"
    return lines + _counted(scores.assign(invalid=endless), "infinite CLEVER scores", so)


def _counted(rows: pd.DataFrame, what: str, so: str) -> list[str]:
    return _sentence(
        rows.assign(n=1).groupby("model", sort=False)[["n", "invalid"]].sum(), what, so
    )


def _sentence(counts: pd.DataFrame, what: str, so: str) -> list[str]:
    """A sentence from counts, which have a row for each model and the columns ``n`` and
    ``invalid``.
    """
    broken = counts[counts["invalid"] > 0]
    if broken.empty:
        return []
    return [
        f"{what}: {_listed(zip(broken.index, broken['invalid'], broken['n'], strict=True))}; {so}"
    ]


def _listed(counts: Iterable[tuple[str, int, int]], most: int = 5) -> str:
    """The counts as text, such as "mine 3 of 8, yours 1 of 8"."""
    texts = [f"{who} {count} of {n}" for who, count, n in counts]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
