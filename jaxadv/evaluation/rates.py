"""How fast networks were on devices that were measured, to say what a study takes there.

rates.csv has a row for each device, network and precision: `jaxadv.benchmark.tables` writes it.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from model_ports import registry

TABLE = Path(__file__).with_name("rates.csv")
COLUMNS = ("device", "network", "precision", "lanes", "gradients_per_second", "teraflops")
COLUMNS += ("pytorch_per_second", "date", "jax")
PRECISIONS: tuple[str, ...] = ("highest", "default", "bfloat16")


class Work(NamedTuple):
    """What a network has to do."""

    gradients: int  # images
    forwards: int  # images, in the highest precision
    gigaflops: tuple[float, float]  # arithmetic of one image's gradient, and of its logits


class Hours(NamedTuple):
    """What a study takes on one device of a kind."""

    device: str
    date: str
    jax: str
    hours: dict[str, float]  # by precision
    borrowed: dict[str, str]  # networks that were not measured, and whose rate they have


@functools.cache
def table() -> pd.DataFrame:
    """The committed rows."""
    return pd.read_csv(TABLE)


def hours(works: Mapping[str, Work], rates: pd.DataFrame | None = None) -> list[Hours]:
    """Hours of one device of each measured kind, in each precision.

    A network that was not measured runs at the arithmetic of one of its family that was. A
    precision that was not measured is as fast as the one before it. Logits alone are computed in
    the highest precision, with a gradient's arithmetic in a second.

    Args:
        works: of full-size networks of the zoo, by name; others are left out.
        rates: rows with `COLUMNS`; None for the committed ones.
    """
    rates = table() if rates is None else rates
    found = []
    for device, rows in rates.groupby("device"):
        borrowed: dict[str, str] = {}
        total: dict[str, float] = dict.fromkeys(PRECISIONS, 0.0)
        for name, work in works.items():
            model, own = _measured(name, rows)
            if own is None:
                continue
            if model != name:
                borrowed[name] = model
            slow = _seconds(own, "highest", work, exact=model == name)
            forward = slow * work.gigaflops[1] / work.gigaflops[0]
            for precision in PRECISIONS:
                gradient = _seconds(own, precision, work, exact=model == name)
                seconds = work.gradients * gradient + work.forwards * forward
                total[precision] += seconds / 3600
        if any(total.values()):
            first = rows.iloc[0]
            found.append(Hours(str(device), str(first["date"]), str(first["jax"]), total, borrowed))
    return found


def _measured(name: str, rows: pd.DataFrame) -> tuple[str, pd.DataFrame | None]:
    """The network whose rate this one has, and its rows by precision; None if there is none."""
    families = {spec.name: spec.family for spec in registry.MODELS}
    names = [name] if name in set(rows["network"]) else []
    same = (other for other in rows["network"] if families.get(other) == families.get(name, "none"))
    for model in (*names, *same):
        return model, rows[rows["network"] == model].set_index("precision")
    return name, None


def _seconds(rows: pd.DataFrame, precision: str, work: Work, *, exact: bool) -> float:
    """Seconds of one image's gradient; exact: the rows are of this network."""
    steps = PRECISIONS[: PRECISIONS.index(precision) + 1]
    row: Any = rows.loc[[step for step in steps if step in rows.index][-1]]
    if exact:
        return 1 / float(row["gradients_per_second"])
    return work.gigaflops[0] / float(row["teraflops"]) / 1e3


def told(works: Mapping[str, Work]) -> list[str]:
    """Lines for people, one for each measured kind of device; works: see `hours`."""
    lines = []
    for each in hours(works):
        times = ", ".join(f"{name} {_amount(value)} h" for name, value in each.hours.items())
        line = f"on one {each.device}, as measured on {each.date} (jax {each.jax}): {times}"
        if each.borrowed:
            line += f"; {len(each.borrowed)} networks at the arithmetic of one of their family"
        lines.append(line)
    return lines


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
