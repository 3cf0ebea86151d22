"""--precision=auto: the fastest gradients that the attacks of a run have been seen to bear.

answers.csv compares each attack's answers in another precision with those in `highest`, by device.
`jaxadv.benchmark.tables` writes it. An attack bears a precision on a kind of device if two things
hold for every measured network. At most `CHANGED` successes have changed. The median of the relative
changes of the distances is at most `MOVED`.
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
"""What `auto` may choose beside `highest`: TF32 on a GPU. bfloat16 has to be asked for."""
CHANGED = 1
MOVED = 0.005


@functools.cache
def table() -> pd.DataFrame:
    """The committed rows."""
    return pd.read_csv(TABLE)


def decided(asked: str, attacks: Iterable[str]) -> str:
    """The precision that was asked for; where that is "auto", what `choose` says, which is told."""
    if asked != AUTO:
        return asked
    chosen, why = choose(attacks)
    print(f"precision auto is {chosen}: {why}", file=sys.stderr)
    return chosen


def choose(
    attacks: Iterable[str], device: str | None = None, answers: pd.DataFrame | None = None
) -> tuple[str, str]:
    """The precision of a run, and why.

    Args:
        attacks: names of its attacks; "clever" for the scores.
        device: kind of device; None for the first of this process.
        answers: rows with `COLUMNS`; None for the committed ones.

    Returns:
        "default" if all the attacks bear it on such a device, else "highest"; and a line.
    """
    device = jax.local_devices()[0].device_kind if device is None else device
    answers = table() if answers is None else answers
    rows = answers[(answers["device"] == device) & (answers["precision"] == CANDIDATE)]
    if not len(rows):
        return "highest", f"what attacks bear on {device} has not been measured"
    against = [reason for attack in attacks if (reason := objection(attack, rows))]
    if against:
        return "highest", f"on {device}: " + "; ".join(against)
    return CANDIDATE, f"on {device} the attacks' answers stay as they are in highest"


def objection(attack: str, rows: pd.DataFrame) -> str:
    """Why an attack does not bear the precision of these rows; empty if it does.

    Args:
        attack: its name.
        rows: of one device and precision.
    """
    own = rows[rows["attack"] == attack]
    if not len(own):
        return f"{attack} has not been measured"
    worst = own.iloc[int(own["changed"].to_numpy().argmax())]
    if worst["changed"] > CHANGED:
        return f"{attack} has other successes ({worst['changed']:.0f} of {worst['images']:.0f})"
    what = "scores" if attack == "clever" else "distances"
    moved = own["median_change"]
    if moved.isna().any():
        return f"{attack} has no {what} to compare at {own[moved.isna()]['network'].iloc[0]}"
    most = max(map(float, moved), key=abs)
    return f"{attack} has other {what} (median {100 * most:+.2f} %)" if abs(most) > MOVED else ""
