"""The acceptance check: our results for one pair of networks against a re-run of the study's code.

All functions here are pure. They work on tables with one row per image. Classes are the indices of
the networks' 1001 outputs, as in the original code; class 0 is the background.

Another version of the JPEG decoder or of Lanczos resampling can decode a picture slightly
differently, and that can change a network's clean class. The report lists such images first and
counts them as explained. Every other difference is a failure: where the clean classes agree, the
attack and the transfer must give the original's classes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jaxadv.validation.tables import aligned, as_csv, as_markdown

COLUMNS = ("image_id", "label", "source_clean", "source_adv", "target_clean", "target_adv", "l2")
"""The columns of both tables: the file's name, its label, four classes, and the L2 distance in
pixel range 1. The source and the target each classify the clean and the adversarial image.
"""
CLEAN = {"source_clean": "source, clean", "target_clean": "target, clean"}
ATTACKED = {"source_adv": "source, adversarial", "target_adv": "target, adversarial"}
L2 = 1e-3
"""The relative difference of L2 distances that counts as equal. Rounding gives 1e-6. A pixel whose
gradient is exactly zero does not move: 280 such pixels of 150,000 change the distance by 1e-3."""
DECODING = 10
"""The number of images, of 1000, whose clean class decoding may change. If more change, decoding is
not the cause."""
CLEAN_COUNTS = ("source_correct", "target_correct")
"""The entries of COUNTS that depend on clean pictures alone."""
COUNTS = {
    "source_correct": "images that the source classifies correctly",
    "source_success": "of these, images on which the attack succeeds",
    "target_correct": "of these, images whose clean picture the target classifies correctly",
    "fooled": "of these, images whose adversarial image the target classifies wrongly",
    "fooled_where_succeeded": "the same, where the attack succeeded on the source",
    "fooled_where_failed": "the same, where the attack failed on the source",
    "adversarial_correct": "adversarial images that the target classifies correctly",
}


@dataclass(frozen=True)
class Rerun:
    """The results of a re-run of the original code."""

    rows: pd.DataFrame
    """The table with COLUMNS: the recorded images among those that the source classifies correctly.
    """
    counts: dict[str, tuple[int, int]]
    """For each of COUNTS: the number of images, and the number that it is a share of."""
    mean_l2: float
    """The mean L2 distance of all attacked images, in pixel range 1."""
    whole: bool
    """True if ``rows`` has every attacked image."""


@dataclass(frozen=True)
class Difference:
    """One image, or one count, that differs from the re-run."""

    what: str  # the image's file name, or the count
    where: str
    ours: str
    theirs: str
    explained: bool  # True if decoding may explain it


@dataclass(frozen=True)
class Report:
    """The result of the check."""

    images: int
    """The number of images that were compared one by one."""
    totals: list[dict[str, Any]]
    differences: list[Difference]
    """The explained differences come first."""
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if every difference is explained."""
        return all(difference.explained for difference in self.differences)


def counts(rows: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Compute COUNTS of a table that has all selected images, unreadable ones included."""
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
    """Compare our table with a re-run's.

    Args:
        ours: a table with COLUMNS, one row per selected image, in order. A class is -1 if the
            picture cannot be used, or if it was not attacked because the source is wrong.
        rerun: the results of the original code. Images that are not in ``ours`` are ignored.
        notes: sentences for the reader of the report.

    Returns:
        The report. It has totals if ``ours`` has as many images as the re-run. If the re-run
        records every attacked image, the images alone decide. Otherwise the totals must agree too.
        They may differ by as many images as the differences of clean classes explain.
    """
    mine = {row["image_id"]: row for row in ours.to_dict("records")}
    recorded_rows = [row for row in rerun.rows.to_dict("records") if row["image_id"] in mine]
    differences = [one for row in recorded_rows for one in _image(mine[row["image_id"]], row)]
    if rerun.whole:
        recorded = set(rerun.rows["image_id"])
        right = ours[(ours["source_clean"] == ours["label"]) & ~ours["image_id"].isin(recorded)]
        differences += [
            Difference(row["image_id"], CLEAN["source_clean"], str(row["label"]), "another", True)
            for row in right.to_dict("records")
        ]
    totals, more = _totals(ours, rerun, differences)
    differences = sorted([*differences, *more], key=lambda difference: not difference.explained)
    return Report(len(recorded_rows), totals, differences, notes)


def _image(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> list[Difference]:
    """The differences of one image. If the clean classes differ, only those."""

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
    attacked = differences(ATTACKED, explained=False)
    if not abs(ours["l2"] - theirs["l2"]) <= L2 * theirs["l2"]:
        l2 = f"{ours['l2']:.6f}", f"{theirs['l2']:.6f}"
        attacked.append(Difference(theirs["image_id"], "l2", *l2, False))
    return attacked


def _class(value: int) -> str:
    return "none" if value < 0 else str(value)


def _totals(
    ours: pd.DataFrame, rerun: Rerun, of_images: list[Difference]
) -> tuple[list[dict[str, Any]], list[Difference]]:
    """The counts of both sides, and the counts that differ by more than decoding explains."""
    mine = counts(ours)
    attacked, selected = rerun.counts["source_correct"]
    if mine["source_correct"][1] != selected:
        return [], []
    shift = max(abs(mine[name][0] - rerun.counts[name][0]) for name in CLEAN_COUNTS)
    clean = len({difference.what for difference in of_images if difference.explained})
    # We assume that clean differences are as frequent among the images that are not recorded.
    allowed = shift + math.ceil(clean * attacked / max(1, len(rerun.rows)))
    table = []
    differences = []
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
    """Format the tables and the verdict for a terminal."""
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
    """The verdict, in sentences."""
    explained = sum(difference.explained for difference in report.differences)
    failed = [difference for difference in report.differences if not difference.explained]
    lines = [f"{report.images} recorded images were compared one by one"]
    if not report.totals:
        lines.append(
            "totals were not compared, because fewer images were selected than in the re-run"
        )
    if explained:
        lines.append(
            f"another JPEG decoder or resampler may explain {explained} differences of clean "
            "classes and counts"
        )
    if failed:
        first = failed[0]
        lines.append(
            f"NOT the original's results: {len(failed)} differences that decoding does not "
            f"explain, such as {first.what} ({first.where}: {first.ours}, re-run {first.theirs})"
        )
    else:
        lines.append("the original's results")
    return lines


def written(report: Report, suffix: str) -> str:
    """Format the report as a file: .csv (the differences alone), .md or .json."""
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
