"""Formats rows as a table: aligned for a terminal, as CSV, or as Markdown."""

import csv
import io
from collections.abc import Sequence
from typing import Any

FORMATS = (".csv", ".md", ".json")
"""The suffixes of files that a report can be written to."""


def aligned(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines with aligned columns under their names. Every row must have the same keys."""
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def as_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """CSV with a header, even without rows."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table with a header. Every row must have the same keys."""
    lines = [f"| {' | '.join(rows[0])} |", "|" + "---|" * len(rows[0])]
    lines += [f"| {' | '.join(str(value) for value in row.values())} |" for row in rows]
    return "\n".join(lines) + "\n"
