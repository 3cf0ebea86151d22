"""Runs measurements one after another within a time limit, and writes each as a row of a CSV file.

A measurement starts only if it is expected to end in time. If it fails, its row has the error. An
existing file is continued: its measurements on this kind of device are not repeated.
"""

import csv
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

KEY = ("part", "network", "what", "precision", "lanes")
COLUMNS = (
    *("device", "jax", "torch", "date"),
    *KEY,
    *("seconds", "gradients_per_second", "teraflops", "megabytes", "compile_seconds", "percent"),
    *("images", "successes", "changed", "lost", "revoked"),
    *("median_change", "low", "high", "median_size", "same_path"),
    *("margin_error", "largest_margin_error", "gradient_error", "same_bits", "note", "error"),
)
COMPILING = "compiling"
LATE = 3.0
"""The largest factor by which earlier measurements may correct an estimated time."""


class Group(NamedTuple):
    """Measurements whose programs are compiled together, before the first of them."""

    name: str
    guess: float  # estimated seconds to compile them


@dataclass(frozen=True)
class Item:
    """One measurement, which gives one or several rows.

    Args:
        part: the letter of the part. It belongs to the row's key, as do the next four.
        network: the network.
        what: what is measured.
        precision: the precision of gradients.
        lanes: the number of images side by side.
        guess: the estimated seconds, without compilation.
        measure: runs the measurement. It returns the other columns of the rows, and "what" if a
            row has another one.
        needs: identifiers of what must be compiled before.
        group: the group whose programs are compiled together, or None.
    """

    part: str
    network: str
    what: str
    precision: str
    lanes: int
    guess: float
    measure: Callable[[], dict | list[dict]] = field(compare=False)
    needs: tuple[Hashable, ...] = ()
    group: Group | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """The values that identify the row in the file."""
        return tuple(str(getattr(self, name)) for name in KEY)


class Record:
    """A CSV file of rows with `COLUMNS`, written row by row.

    Args:
        path: the file. An existing file is continued.
        facts: the columns that all rows of this run share: device, versions, date.
    """

    def __init__(self, path: Path, facts: dict[str, str]):
        self.path = path
        self._facts = facts
        self._there: set[tuple[str, ...]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if row["device"] == facts["device"]]
            self._there = {tuple(row["note"].split("/")) for row in rows if "/" in row["note"]}
            self._there |= {tuple(row[name] for name in KEY) for row in rows}
        else:
            with path.open("w", newline="") as file:
                csv.writer(file).writerow(COLUMNS)

    def has(self, item: Item) -> bool:
        """True if the file has this measurement for this device, even if it failed."""
        return item.key in self._there

    def add(self, item: Item, columns: dict) -> None:
        """Append a row to the file.

        Args:
            item: the measurement.
            columns: its results. "what" replaces the item's.

        Raises:
            KeyError: for an unknown column.
        """
        row = dict(zip(KEY, item.key, strict=True)) | self._facts | columns
        if row["what"] != item.what:
            row["note"] = "/".join(item.key)
        unknown = set(row) - set(COLUMNS)
        if unknown:
            raise KeyError(f"no such columns: {sorted(unknown)}")
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([_cell(row.get(name)) for name in COLUMNS])
        self._there.add(item.key)


def _cell(value) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


class Estimates:
    """Estimates the seconds of measurements, corrected by earlier measurements of the same kind."""

    def __init__(self):
        self._ratios: dict[str, list[float]] = {}

    def of(self, kind: str, guess: float) -> float:
        """The corrected estimate in seconds.

        Args:
            kind: the kind of measurement.
            guess: the first estimate in seconds.
        """
        ratio = float(np.median(self._ratios.get(kind, [1.0])[-5:]))
        return guess * min(max(ratio, 1 / LATE), LATE)

    def learn(self, kind: str, guess: float, took: float) -> None:
        """Record that a measurement was estimated at ``guess`` seconds, and took ``took``."""
        self._ratios.setdefault(kind, []).append(took / guess)


def run(
    items: Sequence[Item],
    record: Record,
    *,
    seconds: float,
    prepare: Callable[[Sequence[Hashable]], None],
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = print,
) -> list[Item]:
    """Run the measurements that the record lacks, in order, as long as the time allows.

    Args:
        items: the measurements.
        record: the file that gets the rows.
        seconds: the time limit from now on.
        prepare: compiles what some identifiers need. Compiling the same again costs nothing.
        clock: returns seconds since any fixed time.
        say: called with one line for each measurement.

    Returns:
        The measurements that the time did not allow.
    """
    end = clock() + seconds
    estimates = Estimates()
    ready: set[Group | None] = set()
    left_out: list[Item] = []
    todo = [item for item in items if not record.has(item)]
    for number, item in enumerate(todo):
        group = item.group if item.group not in ready else None
        expected = estimates.of(item.part, item.guess)
        expected += estimates.of(COMPILING, group.guess) if group else 0
        if clock() + expected > end:
            left_out.append(item)
            continue
        began = clock()
        if group:
            rest = [other for other in todo[number:] if other.group == group]
            prepare(list(dict.fromkeys(need for other in rest for need in other.needs)))
            ready.add(group)
            estimates.learn(COMPILING, group.guess, clock() - began)
            say(f"{clock() - began:6.1f} s  compiled {group.name}")
            began = clock()
        error = None
        try:
            rows = item.measure()
        except Exception as failure:  # noqa: BLE001 - the next measurement may work
            error = " ".join(f"{type(failure).__name__}: {failure}".split())[:300]
            rows = {"error": error}
        took = clock() - began
        for columns in rows if isinstance(rows, list) else [rows]:
            record.add(item, {"seconds": took} | columns)
        if error is None:
            estimates.learn(item.part, item.guess, took)
        result = error or "" if isinstance(rows, list) or error else _shown(rows)
        say(f"{took:6.1f} s  {' '.join(item.key)}  {result}  ({end - clock():.0f} s left)")
    return left_out


def _shown(columns: dict) -> str:
    return ", ".join(f"{name} {_cell(value)}" for name, value in columns.items() if value != "")
