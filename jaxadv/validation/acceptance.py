"""The acceptance check: what we give for one pair of networks against a re-run of the study's code.

Pure functions of tables with a row per image. Classes are the networks' own 1001 outputs, as the
original has them: 0 is the background.

A picture may be decoded a little differently by another version of its JPEG decoder or of Lanczos
resampling, and a network's clean class may change by that. Such images are listed first, and
explained. Every other difference is a failure: with the same clean classes, attack and transfer
must give the original's classes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jaxadv.validation.tables import aligned, as_csv, as_markdown

COLUMNS = ("image_id", "label", "source_clean", "source_adv", "target_clean", "target_adv", "l2")
"""Of both tables: the file's name, its label, and what source and target say; l2 in pixel range 1."""
CLEAN = {"source_clean": "source, clean", "target_clean": "target, clean"}
ATTACKED = {"source_adv": "source, adversarial", "target_adv": "target, adversarial"}
L2 = 1e-3
"""Relative difference of l2 that counts as equal. Rounding gives 1e-6. A gradient of exactly zero
leaves a pixel alone: 280 more or fewer of 150,000 such pixels give as much."""
DECODING = 10
"""Images of 1000 of which decoding may change the clean class; more are no matter of decoding."""
CLEAN_COUNTS = ("source_correct", "target_correct")
"""COUNTS of clean pictures alone."""
COUNTS = {
    "source_correct": "images that the source classifies correctly",
    "source_success": "of these the attack succeeds on the source",
    "target_correct": "of these the target classifies the clean picture correctly",
    "fooled": "of these the target is wrong on the adversarial image",
    "fooled_where_succeeded": "the same where the attack succeeded on the source",
    "fooled_where_failed": "the same where it failed",
    "adversarial_correct": "adversarial images that the target classifies correctly",
}


@dataclass(frozen=True)
class Rerun:
    """What a re-run of the original code gave."""

    rows: pd.DataFrame
    """COLUMNS, of the images that the source classifies correctly, as far as they are recorded"""
    counts: dict[str, tuple[int, int]]
    """COUNTS: how many, of how many"""
    mean_l2: float
    """of all attacked images"""
    whole: bool
    """whether every attacked image is in ``rows``"""


@dataclass(frozen=True)
class Difference:
    """One image, or one count, that is not the re-run's."""

    what: str  # the image's file name, or the count
    where: str
    ours: str
    theirs: str
    explained: bool  # by decoding


@dataclass(frozen=True)
class Report:
    """The check's outcome."""

    images: int
    """that were compared one by one"""
    totals: list[dict[str, Any]]
    differences: list[Difference]
    """explained ones first"""
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every difference is explained."""
        return all(difference.explained for difference in self.differences)


def counts(rows: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """COUNTS of a table that has all selected images, readable or not."""
    right = rows["source_clean"] == rows["label"]
    attacked = rows[right]
    success = attacked["source_adv"] != attacked["label"]
    shown = attacked["target_clean"] == attacked["label"]
    fooled = attacked["target_adv"] != attacked["label"]

    def share(hits: pd.Series, among: pd.Series) -> tuple[int, int]:
        return int((hits & among).sum()), int(among.sum())

    everything = pd.Series(True, index=attacked.index)
    return {
        "source_correct": (int(right.sum()), len(rows)),
        "source_success": share(success, everything),
        "target_correct": share(shown, everything),
        "fooled": share(fooled, shown),
        "fooled_where_succeeded": share(fooled, shown & success),
        "fooled_where_failed": share(fooled, shown & ~success),
        "adversarial_correct": share(~fooled, everything),
    }


def compare(ours: pd.DataFrame, rerun: Rerun, *, notes: tuple[str, ...] = ()) -> Report:
    """Hold our table against a re-run's.

    Args:
        ours: COLUMNS of the selected images in their order. Classes are -1 where a picture could
            not be used, or was not attacked because the source is wrong.
        rerun: what the original code gave. Images that are not in ``ours`` are left out.
        notes: what else a reader should know.

    Returns:
        The report. Totals stand in it if ``ours`` has as many images as the re-run. Where every
        attacked image is recorded, the images decide. Where some are, the totals must agree too,
        but for as many images as clean differences explain: without any, exactly.
    """
    here = {row["image_id"]: row for row in ours.to_dict("records")}
    known = [row for row in rerun.rows.to_dict("records") if row["image_id"] in here]
    found = [one for row in known for one in _image(here[row["image_id"]], row)]
    if rerun.whole:
        recorded = set(rerun.rows["image_id"])
        right = ours[(ours["source_clean"] == ours["label"]) & ~ours["image_id"].isin(recorded)]
        found += [
            Difference(row["image_id"], CLEAN["source_clean"], str(row["label"]), "another", True)
            for row in right.to_dict("records")
        ]
    totals, more = _totals(ours, rerun, found)
    found = sorted([*found, *more], key=lambda difference: not difference.explained)
    return Report(len(known), totals, found, notes)


def _image(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> list[Difference]:
    """The differences of one image; only those of the clean classes if there are any."""

    def differences(columns: dict[str, str], *, explained: bool) -> list[Difference]:
        return [
            Difference(
                theirs["image_id"], where, _class(ours[name]), _class(theirs[name]), explained
            )
            for name, where in columns.items()
            if ours[name] != theirs[name]
        ]

    clean = differences(CLEAN, explained=True)
    if clean:
        return clean
    found = differences(ATTACKED, explained=False)
    if not abs(ours["l2"] - theirs["l2"]) <= L2 * theirs["l2"]:
        l2 = f"{ours['l2']:.6f}", f"{theirs['l2']:.6f}"
        found.append(Difference(theirs["image_id"], "l2", *l2, False))
    return found


def _class(value: int) -> str:
    return "none" if value < 0 else str(value)


def _totals(
    ours: pd.DataFrame, rerun: Rerun, found: list[Difference]
) -> tuple[list[dict[str, Any]], list[Difference]]:
    """The counts beside each other, and those that differ by more than decoding explains."""
    mine = counts(ours)
    selected, attacked = rerun.counts["source_correct"][1], rerun.counts["source_correct"][0]
    if mine["source_correct"][1] != selected:
        return [], []
    shift = max(abs(mine[name][0] - rerun.counts[name][0]) for name in CLEAN_COUNTS)
    clean = len({difference.what for difference in found if difference.explained})
    # Clean differences are taken to be as frequent among the images that are not recorded.
    allowed = shift + math.ceil(clean * attacked / max(1, len(rerun.rows)))
    table, differences = [], []
    for name, meaning in COUNTS.items():
        most = DECODING if name in CLEAN_COUNTS else allowed
        row, by = _count(name, mine[name], rerun.counts[name], meaning, most)
        table.append(row)
        if by and not rerun.whole:
            values = row["ours"], row["re-run"]
            differences.append(Difference(name, "count", *values, by <= min(most, allowed)))
    most = max(3, math.ceil(DECODING * len(rerun.rows) / selected))
    if clean > most:
        what = f"{clean} images", f"{most} at most by decoding"
        differences.append(Difference("clean classes", "count", *what, False))
    mean = float(ours.loc[ours["source_clean"] == ours["label"], "l2"].mean())
    row = {"count": "mean_l2", "ours": f"{mean:.4f}", "re-run": f"{rerun.mean_l2:.4f}"}
    relative, most_relative = abs(mean / rerun.mean_l2 - 1), L2 * (1 + allowed)
    differ = {"differs by": f"{100 * relative:.1g} %", "may by": f"{100 * most_relative:.1g} %"}
    table.append(row | differ | {"meaning": "mean l2 distance of the attacked images"})
    if not rerun.whole and not relative <= most_relative:
        differences.append(Difference("mean_l2", "mean", row["ours"], row["re-run"], False))
    return table, differences


def _count(
    name: str, ours: tuple[int, int], theirs: tuple[int, int], meaning: str, most: int
) -> tuple[dict[str, Any], int]:
    """A row of totals, and by how many images its two numbers differ."""
    by = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    texts = [f"{count} of {number}" for count, number in (ours, theirs)]
    row = {"count": name, "ours": texts[0], "re-run": texts[1], "differs by": str(by)}
    return row | {"may by": f"{most} by decoding" if most else "0", "meaning": meaning}, by


def text(report: Report) -> str:
    """The tables and a verdict, for a terminal."""
    lines = list(report.notes)
    if report.totals:
        lines += aligned(report.totals)
    for heading, rows in _parts(report):
        lines += ["", f"{heading}:", *aligned(rows)]
    return "\n".join([*lines, "", *verdict(report)])


def _parts(report: Report) -> list[tuple[str, list[dict[str, Any]]]]:
    """The differences that decoding may explain, and the others, under their headings."""
    rows = _rows(report)
    parts = {
        "May differ by decoding (another JPEG decoder or resampler)": [
            row for row in rows if row["explained"] != "no"
        ],
        "May not differ by decoding": [row for row in rows if row["explained"] == "no"],
    }
    return [(heading, part) for heading, part in parts.items() if part]


def verdict(report: Report) -> list[str]:
    """What the check says, in sentences."""
    explained = sum(difference.explained for difference in report.differences)
    failed = [difference for difference in report.differences if not difference.explained]
    lines = [f"{report.images} recorded images were compared one by one"]
    if not report.totals:
        lines.append("totals were not compared: fewer images were selected than in the re-run")
    if explained:
        lines.append(
            f"{explained} differences, of clean classes and of as many in the counts, may come from "
            "another JPEG decoder or resampler"
        )
    if failed:
        first = failed[0]
        lines.append(
            f"NOT the original's results: {len(failed)} differences that decoding does not explain, "
            f"such as {first.what} ({first.where}: {first.ours}, re-run {first.theirs})"
        )
    else:
        lines.append("the original's results")
    return lines


def written(report: Report, suffix: str) -> str:
    """The report as a file: .csv (the differences), .md or .json."""
    rows = _rows(report)
    if suffix == ".json":
        content = {
            "passed": report.passed,
            "images": report.images,
            "totals": report.totals,
            "differences": rows,
            "notes": list(report.notes),
        }
        return json.dumps(content, indent=2) + "\n"
    if suffix == ".csv":
        return as_csv(rows, ("image or count", "where", "ours", "re-run", "explained"))
    parts = [f"# Against the re-run of the study's code\n\n{' '.join(report.notes)}\n"]
    parts += [as_markdown(report.totals)] if report.totals else []
    parts += [f"## {heading}\n\n{as_markdown(part)}" for heading, part in _parts(report)]
    return "\n".join([*parts, *verdict(report), ""])


def _rows(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "image or count": one.what,
            "where": one.where,
            "ours": one.ours,
            "re-run": one.theirs,
            "explained": "by decoding" if one.explained else "no",
        }
        for one in report.differences
    ]
