"""Two implementations of one network, compared: differences of logits and gradients, and the first layer where they part."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

COLUMNS = {
    "image": "image",
    "largest_logit_difference": "largest logit difference",
    "relative_logit_difference": "relative logit difference",
    "top1_agrees": "top-1 agrees",
    "top5_agreement": "top-5 in common",
    "gradient_cosine": "gradient cosine",
    "relative_gradient_difference": "relative gradient difference",
}


def tolerances(
    family: str, *, double: bool, logits: float | None, least: tuple[float, float] = (1e-7, 1e-7)
) -> dict[str, float]:
    """The largest relative L2 differences of logits and of the input gradient that count as the same function.

    Single precision: 1e-5 for the logits, and 5e-2 for the gradient, because one ReLU or maximum that rounding flips moves the
    whole gradient by as much; five times that for MobileNets, whose logits are 1e-5 from those of double precision in the
    original itself. Never less than `least`, of logits and gradient, which is what counts in double precision: constants are still
    numbers of single precision. `logits` replaces the tolerance of the logits.
    """
    single = (5e-5, 0.25) if family == "MobileNet" else (1e-5, 5e-2)
    own, gradient = least if double else map(max, single, least)
    return {
        "logits": own if logits is None else logits,
        "gradient": gradient if logits is None else max(gradient, logits),
    }


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative L2 distance; infinite where `found` is not finite or of another number of elements."""
    found, expected = (
        np.asarray(found, np.float64).ravel(),
        np.asarray(expected, np.float64).ravel(),
    )
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    change, size = np.linalg.norm(found - expected), np.linalg.norm(expected)
    return float(change / size) if size else float("inf") if change else 0.0


def rows(
    logits: np.ndarray, found: np.ndarray, gradient: np.ndarray, found_gradient: np.ndarray
) -> list[dict[str, Any]]:
    """A row per image; logits (N, outputs) and gradients (N, S, S, 3), the original's and those found."""
    table = []
    for number in range(len(logits)):
        best, best_found = (np.argsort(-row[number], kind="stable")[:5] for row in (logits, found))
        table.append(
            {
                "image": number,
                "largest_logit_difference": float(np.abs(found[number] - logits[number]).max()),
                "relative_logit_difference": distance(found[number], logits[number]),
                "top1_agrees": bool(best[0] == best_found[0]),
                "top5_agreement": len({*best.tolist()} & {*best_found.tolist()}) / 5,
                "gradient_cosine": _cosine(found_gradient[number], gradient[number]),
                "relative_gradient_difference": distance(found_gradient[number], gradient[number]),
            }
        )
    return table


def _cosine(found: np.ndarray, expected: np.ndarray) -> float:
    found, expected = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    product = np.linalg.norm(found) * np.linalg.norm(expected)
    return (
        float(found @ expected / product)
        if product
        else float(not found.any() and not expected.any())
    )


def overall(table: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst of all images; of the agreements, the mean."""

    def of(pick, name: str) -> float:
        return float(pick([row[name] for row in table]))

    return {
        "image": "overall",
        "largest_logit_difference": of(np.max, "largest_logit_difference"),
        "relative_logit_difference": of(np.max, "relative_logit_difference"),
        "top1_agrees": of(np.mean, "top1_agrees"),
        "top5_agreement": of(np.mean, "top5_agreement"),
        "gradient_cosine": of(np.min, "gradient_cosine"),
        "relative_gradient_difference": of(np.max, "relative_gradient_difference"),
    }


def within(worst: dict[str, Any], limits: dict[str, float]) -> bool:
    """Whether the worst image is within both tolerances; NaN is not."""
    return (
        worst["relative_logit_difference"] <= limits["logits"]
        and worst["relative_gradient_difference"] <= limits["gradient"]
    )


def layers(
    expected: Mapping[str, np.ndarray],
    found: Mapping[str, Any],
    *,
    nodes: Mapping[str, str],
    limit: float,
) -> list[dict[str, Any]]:
    """Each layer of the port, in the original's order: its node in the original, and the relative difference of its output.

    The list ends with the first layer beyond `limit`, or is complete.
    """
    table = []
    for path, output in expected.items():
        if path in found:
            difference = distance(np.asarray(found[path]), output)
            table.append(
                {
                    "layer": path,
                    "node": nodes[path],
                    "relative_difference": difference,
                    "agrees": difference <= limit,
                }
            )
            if not difference <= limit:
                break
    return table


def text(report: dict[str, Any]) -> str:
    """The table and a verdict, for a terminal."""
    lines = [
        f"{report['model']}: the port against {report['source']} ({report['input']} -> {report['logits']}), {report['precision']},"
        f" {report['input_size']} pixels; gradient of logit {report['gradient_of'][0]} minus logit {report['gradient_of'][1]}"
    ]
    cells = _cells(report)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines += [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return "\n".join([*lines, *_verdict(report)])


def written(report: dict[str, Any], suffix: str) -> str:
    """The report as a file: .csv (the table alone), .md or .json."""
    if suffix == ".json":
        return json.dumps(report, indent=2) + "\n"
    cells = _cells(report)
    if suffix == ".csv":
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([list(COLUMNS), *cells[1:]])
        return stream.getvalue()
    head, *body = [f"| {' | '.join(row)} |" for row in cells]
    title, rule = f"# {report['model']} against {report['source']}", "|" + "---:|" * len(cells[0])
    return "\n".join([title, "", head, rule, *body, "", *_verdict(report), ""])


def _cells(report: dict[str, Any]) -> list[list[str]]:
    def cell(name: str, value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if name in ("top1_agrees", "top5_agreement"):
            return f"{value:.0%}"
        return (
            f"{value:.9f}"
            if name == "gradient_cosine"
            else f"{value:.2e}"
            if isinstance(value, float)
            else str(value)
        )

    return [list(COLUMNS.values())] + [
        [cell(name, row[name]) for name in COLUMNS]
        for row in [*report["images"], report["overall"]]
    ]


def _verdict(report: dict[str, Any]) -> list[str]:
    limits = report["tolerances"]
    rule = f"tolerances: logits {limits['logits']:g}, gradient {limits['gradient']:g} relative L2"
    if report["passed"]:
        return [f"the same function within tolerance ({rule})"]
    lines = [f"NOT the same function ({rule})"]
    table = report["layers"]
    if table is None:
        decides = "; --float64 decides" if report["precision"] == "float32" else ""
        return [
            *lines,
            f"the logits agree, the gradients do not: a ReLU or a maximum may be flipped by rounding{decides}",
        ]
    if not table or table[-1]["agrees"]:
        return [
            *lines,
            f"all {len(table)} layers that were found in both agree: they part behind the last",
        ]
    first = table[-1]
    line = f"first layer that differs: {first['layer']}, node {first['node']} ({first['relative_difference']:.1e} relative)"
    if len(table) > 1:
        line += f"; {table[-2]['layer']} before it agrees ({table[-2]['relative_difference']:.1e})"
    return [*lines, line]
