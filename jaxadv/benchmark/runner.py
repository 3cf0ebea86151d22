"""Measurements one after another within a time limit, a row of a CSV file each.

A measurement is started only if it is expected to end in time. One that fails leaves a row with
the error. A file that is there is continued: what it has of this device is not measured again.
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
"""How often longer than guessed a measurement may be expected to take, by those before it."""


class Group(NamedTuple):
    """Measurements whose programs are compiled together, side by side, before the first of them."""

    name: str
    guess: float  # seconds to compile them


@dataclass(frozen=True)
class Item:
    """One measurement: a row, or several.

    Args:
        part, network, what, precision, lanes: the row's key.
        guess: seconds that it takes, compiled.
        measure: does it, and returns the other columns of its rows, with "what" where that differs.
        needs: names of what has to be compiled before, in ``group``.
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
        """What names the row in the file."""
        return tuple(str(getattr(self, name)) for name in KEY)


class Record:
    """A CSV file of rows with `COLUMNS`, written row by row.

    Args:
        path: of the file; one that is there is continued.
        facts: columns that are the same in all rows of this run: device, versions, date.
    """

    def __init__(self, path: Path, facts: dict[str, str]):
        self.path, self._facts, self._there = path, facts, set()
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
        """Whether the file has this measurement of this device, an error included."""
        return item.key in self._there

    def add(self, item: Item, columns: dict) -> None:
        """Append one row, and have it on disk. Raises KeyError for a column that is not known."""
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
    """Seconds that measurements will take: the guess, corrected by what those of its kind took."""

    def __init__(self):
        self._ratios: dict[str, list[float]] = {}

    def of(self, kind: str, guess: float) -> float:
        """Seconds, for a guess of so many."""
        ratio = float(np.median(self._ratios.get(kind, [1.0])[-5:]))
        return guess * min(max(ratio, 1 / LATE), LATE)

    def learn(self, kind: str, guess: float, took: float) -> None:
        """One of this kind was guessed to take ``guess`` seconds, and took ``took``."""
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
    """Measure in order what ``record`` has not, as far as the time goes.

    Args:
        items: what to measure.
        record: gets the rows.
        seconds: from now on.
        prepare: compiles what is needed by these names; what is compiled costs nothing.
        clock: seconds, from any start.
        say: gets one line for each measurement.

    Returns:
        What was left out for lack of time.
    """
    end, estimates, ready, left_out = clock() + seconds, Estimates(), set(), []
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
        told = error or "" if isinstance(rows, list) or error else _told(rows)
        say(f"{took:6.1f} s  {' '.join(item.key)}  {told}  ({end - clock():.0f} s left)")
    return left_out


def _told(columns: dict) -> str:
    return ", ".join(f"{name} {_cell(value)}" for name, value in columns.items() if value != "")
