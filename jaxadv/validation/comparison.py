"""Compares two implementations of one network: their logits, their gradients, and their layers."""

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
    """The tolerances within which a port and its original count as the same function.

    In single precision the tolerances are 1e-5 for logits and 5e-2 for the gradient. The gradient's
    is larger because rounding can flip one ReLU or maximum, and that moves the whole gradient.
    MobileNets get five times both: in the original itself, logits in single and in double precision
    differ by 1e-5. In double precision the tolerances are ``least``.

    Args:
        family: the network's family, such as "VGG".
        double: True for double precision.
        logits: a tolerance for the logits that replaces the default, or None.
        least: the least tolerances of logits and of the gradient. They are not 0, because a file's
            constants have single precision. Keras's VGG also subtracts slightly different means.

    Returns:
        The largest allowed relative L2 differences, under "logits" and "gradient".
    """
    single = (5e-5, 0.25) if family == "MobileNet" else (1e-5, 5e-2)
    default, gradient = least if double else map(max, single, least)
    return {
        "logits": default if logits is None else logits,
        "gradient": gradient if logits is None else max(gradient, logits),
    }


def distance(actual: np.ndarray, expected: np.ndarray) -> float:
    """The relative L2 distance of two arrays.

    Args:
        actual: an array of any shape.
        expected: an array with as many elements.

    Returns:
        The L2 norm of the difference over that of ``expected``. Infinity if ``actual`` is not
        finite, if it has another number of elements, or if only ``expected`` is zero.
    """
    actual = np.asarray(actual, np.float64).ravel()
    expected = np.asarray(expected, np.float64).ravel()
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        return float("inf")
    change = np.linalg.norm(actual - expected)
    size = np.linalg.norm(expected)
    return float(change / size) if size else float("inf") if change else 0.0


def rows(
    logits: np.ndarray, port_logits: np.ndarray, gradient: np.ndarray, port_gradient: np.ndarray
) -> list[dict[str, Any]]:
    """Compare the port with the original, image by image.

    Args:
        logits: (N, outputs) logits of the original.
        port_logits: (N, outputs) logits of the port.
        gradient: (N, S, S, 3) input gradient of the original.
        port_gradient: (N, S, S, 3) input gradient of the port.

    Returns:
        A row with COLUMNS for each image.
    """
    table = []
    for number in range(len(logits)):
        best, port_best = (
            np.argsort(-row[number], kind="stable")[:5] for row in (logits, port_logits)
        )
        change = np.abs(port_logits[number] - logits[number])
        table.append(
            {
                "image": number,
                "largest_logit_difference": float(change.max()),
                "relative_logit_difference": distance(port_logits[number], logits[number]),
                "top1_agrees": bool(best[0] == port_best[0]),
                "top5_agreement": len({*best.tolist()} & {*port_best.tolist()}) / 5,
                "gradient_cosine": _cosine(port_gradient[number], gradient[number]),
                "relative_gradient_difference": distance(port_gradient[number], gradient[number]),
            }
        )
    return table


def _cosine(actual: np.ndarray, expected: np.ndarray) -> float:
    actual = actual.astype(np.float64).ravel()
    expected = expected.astype(np.float64).ravel()
    product = np.linalg.norm(actual) * np.linalg.norm(expected)
    return (
        float(actual @ expected / product)
        if product
        else float(not actual.any() and not expected.any())
    )


def overall(table: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst value over all images for each difference; the mean for each agreement."""

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
    """True if the worst image is within both tolerances. NaN is not within them."""
    return (
        worst["relative_logit_difference"] <= limits["logits"]
        and worst["relative_gradient_difference"] <= limits["gradient"]
    )


def layers(
    expected: Mapping[str, np.ndarray],
    actual: Mapping[str, Any],
    *,
    nodes: Mapping[str, str],
    limit: float,
) -> list[dict[str, Any]]:
    """Compare the outputs of layers, up to the first layer that differs.

    Args:
        expected: the original's outputs by the port's layer path, in the original's order.
        actual: the port's outputs by layer path.
        nodes: the original's node for each layer path.
        limit: the largest relative L2 difference that counts as equal.

    Returns:
        A row for each layer that both have. The first layer beyond ``limit`` ends the list.
    """
    table = []
    for path, output in expected.items():
        if path in actual:
            difference = distance(np.asarray(actual[path]), output)
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
    """Format the table and the verdict for a terminal."""
    lines = [
        f"{report['model']}: the port against {report['source']} ({report['input']} -> "
        f"{report['logits']}), {report['precision']},"
        f" {report['input_size']} pixels; gradient of logit {report['gradient_of'][0]} minus "
        f"logit {report['gradient_of'][1]}"
    ]
    cells = _cells(report)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines += [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return "\n".join([*lines, *_verdict(report)])


def written(report: dict[str, Any], suffix: str) -> str:
    """Format the report as a file: .csv (the table alone), .md or .json."""
    if suffix == ".json":
        return json.dumps(report, indent=2) + "\n"
    cells = _cells(report)
    if suffix == ".csv":
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([list(COLUMNS), *cells[1:]])
        return stream.getvalue()
    head, *body = [f"| {' | '.join(row)} |" for row in cells]
    title = f"# {report['model']} against {report['source']}"
    rule = "|" + "---:|" * len(cells[0])
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
        remedy = "; --float64 decides" if report["precision"] == "float32" else ""
        return [
            *lines,
            "the logits agree, the gradients do not: rounding may have flipped a ReLU or a "
            f"maximum{remedy}",
        ]
    if not table or table[-1]["agrees"]:
        return [
            *lines,
            f"all {len(table)} layers that both have agree: the difference arises after the last "
            "one",
        ]
    first = table[-1]
    line = (
        f"first layer that differs: {first['layer']}, node {first['node']} "
        f"({first['relative_difference']:.1e} relative)"
    )
    if len(table) > 1:
        line += f"; {table[-2]['layer']} before it agrees ({table[-2]['relative_difference']:.1e})"
    return [*lines, line]
