"""--precision=auto: the fastest gradients that do not change the results of a run's attacks.

answers.csv compares each attack's results in other precisions with those in `highest`, by device.
`jaxadv.benchmark.tables` writes it. An attack bears a precision on a kind of device if two
conditions hold for every measured network. At most `CHANGED` successes have changed. The median of
the relative changes of the distances is at most `MOVED`.
"""

import functools
import sys
from collections.abc import Iterable
from pathlib import Path

import jax
import pandas as pd

from jaxadv.evaluation.settings import AUTO

TABLE = Path(__file__).with_name("answers.csv")
COLUMNS = ("device", "network", "attack", "precision", "images", "changed", "revoked")
COLUMNS += ("median_change", "low", "high", "date", "jax")
CANDIDATE = "default"
"""The precision that `auto` may choose instead of `highest`: TF32 on a GPU.

It never chooses bfloat16.
"""
CHANGED = 1
"""The most successes of a network that may change."""
MOVED = 0.005
"""The largest median of the relative changes of distances."""


@functools.cache
def table() -> pd.DataFrame:
    """The committed rows."""
    return pd.read_csv(TABLE)


def decided(asked: str, attacks: Iterable[str]) -> str:
    """The precision of a run.

    Args:
        asked: the setting. For "auto" `choose` decides, and a line on standard error says why.
        attacks: names of the attacks; "clever" for the scores.

    Returns:
        One of `jaxadv.core.oracle.PRECISIONS`.
    """
    if asked != AUTO:
        return asked
    chosen, why = choose(attacks)
    print(f"precision auto is {chosen}: {why}", file=sys.stderr)
    return chosen


def choose(
    attacks: Iterable[str], device: str | None = None, answers: pd.DataFrame | None = None
) -> tuple[str, str]:
    """Choose the precision of a run.

    Args:
        attacks: names of the attacks; "clever" for the scores.
        device: the kind of device; None for the first device of this process.
        answers: rows with `COLUMNS`; None for those of answers.csv.

    Returns:
        "default" if all attacks bear it on this kind of device, else "highest"; and the reason, in
        one line.
    """
    device = jax.local_devices()[0].device_kind if device is None else device
    answers = table() if answers is None else answers
    rows = answers[(answers["device"] == device) & (answers["precision"] == CANDIDATE)]
    if not len(rows):
        return "highest", f"attacks on {device} have not been measured in other precisions"
    against = [reason for attack in attacks if (reason := objection(attack, rows))]
    if against:
        return "highest", f"on {device}: " + "; ".join(against)
    return CANDIDATE, f"on {device} the attacks give the same results as in highest"


def objection(attack: str, rows: pd.DataFrame) -> str:
    """Why an attack does not bear a precision.

    Args:
        attack: its name.
        rows: rows of answers.csv for one device and precision.

    Returns:
        The reason; empty if the attack bears the precision.
    """
    of_attack = rows[rows["attack"] == attack]
    if not len(of_attack):
        return f"{attack} has not been measured"
    worst = of_attack.iloc[int(of_attack["changed"].to_numpy().argmax())]
    if worst["changed"] > CHANGED:
        return f"{attack} has other successes ({worst['changed']:.0f} of {worst['images']:.0f})"
    what = "scores" if attack == "clever" else "distances"
    moved = of_attack["median_change"]
    if moved.isna().any():
        return f"{attack} has no {what} to compare at {of_attack[moved.isna()]['network'].iloc[0]}"
    most = max(map(float, moved), key=abs)
    return f"{attack} has other {what} (median {100 * most:+.2f} %)" if abs(most) > MOVED else ""
