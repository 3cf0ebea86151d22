"""Measured speeds of networks on several devices, to estimate the time of a study there.

rates.csv has a row for each device, network and precision. `jaxadv.benchmark.tables` writes it.
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
    """The work of one network."""

    gradients: int  # images with gradient
    forwards: int  # images of logits alone, in the highest precision
    gigaflops: tuple[float, float]  # GFLOP of one image's gradient, and of its logits


class Hours(NamedTuple):
    """The time of a study on one device of a kind."""

    device: str
    date: str
    jax: str
    hours: dict[str, float]  # by precision
    borrowed: dict[str, str]  # network without a measurement -> network whose rate is used for it


@functools.cache
def table() -> pd.DataFrame:
    """The committed rows."""
    return pd.read_csv(TABLE)


def hours(works: Mapping[str, Work], rates: pd.DataFrame | None = None) -> list[Hours]:
    """Hours of work on one device of each measured kind, in each precision.

    A network without a measurement gets the arithmetic per second of a measured network of its
    family. A precision without a measurement is as fast as the one before it. Logits alone are
    computed in the highest precision, at the same arithmetic per second as gradients.

    Args:
        works: the work of full-size networks of the zoo, by name. Networks of unknown families do
            not count.
        rates: rows with `COLUMNS`; None for those of rates.csv.

    Returns:
        The hours, one for each kind of device.
    """
    rates = table() if rates is None else rates
    by_device = []
    for device, rows in rates.groupby("device"):
        borrowed: dict[str, str] = {}
        total: dict[str, float] = dict.fromkeys(PRECISIONS, 0.0)
        for name, work in works.items():
            model, measured = _measured(name, rows)
            if measured is None:
                continue
            if model != name:
                borrowed[name] = model
            slow = _seconds(measured, "highest", work, exact=model == name)
            forward = slow * work.gigaflops[1] / work.gigaflops[0]
            for precision in PRECISIONS:
                gradient = _seconds(measured, precision, work, exact=model == name)
                seconds = work.gradients * gradient + work.forwards * forward
                total[precision] += seconds / 3600
        if any(total.values()):
            first = rows.iloc[0]
            by_device.append(
                Hours(str(device), str(first["date"]), str(first["jax"]), total, borrowed)
            )
    return by_device


def _measured(name: str, rows: pd.DataFrame) -> tuple[str, pd.DataFrame | None]:
    """The network whose rate is used for ``name``, and its rows by precision; None if there is
    none.
    """
    families = {spec.name: spec.family for spec in registry.MODELS}
    names = [name] if name in set(rows["network"]) else []
    same = (other for other in rows["network"] if families.get(other) == families.get(name, "none"))
    for model in (*names, *same):
        return model, rows[rows["network"] == model].set_index("precision")
    return name, None


def _seconds(rows: pd.DataFrame, precision: str, work: Work, *, exact: bool) -> float:
    """Seconds of one image's gradient. ``exact`` says whether the rows are of this network."""
    steps = PRECISIONS[: PRECISIONS.index(precision) + 1]
    row: Any = rows.loc[[step for step in steps if step in rows.index][-1]]
    if exact:
        return 1 / float(row["gradients_per_second"])
    return work.gigaflops[0] / float(row["teraflops"]) / 1e3


def told(works: Mapping[str, Work]) -> list[str]:
    """The hours as text.

    Args:
        works: as for `hours`.

    Returns:
        A line for each measured kind of device.
    """
    lines = []
    for each in hours(works):
        times = ", ".join(f"{name} {_amount(value)} h" for name, value in each.hours.items())
        line = f"on one {each.device}, as measured on {each.date} (jax {each.jax}): {times}"
        if each.borrowed:
            line += (
                f"; {len(each.borrowed)} networks by the speed of another network of their family"
            )
        lines.append(line)
    return lines


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
