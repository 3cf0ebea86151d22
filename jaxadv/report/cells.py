"""Tables of numbers as HTML: headings that say their meaning, rows in groups, and what the page's
script needs to sort them.
"""

import math
from collections.abc import Callable
from html import escape

import pandas as pd

from jaxadv.report.columns import COLUMNS, show
from jaxadv.support.norms import DISTANCES

HEADINGS = {
    "top1_percent": "top-1",
    "top5_percent": "top-5",
    "error_percent": "error",
    "success_rate": "success",
    "failures": "failed",
    "near_ties": "near ties",
    "gradients_mean": "gradients",
    "forwards_mean": "forwards",
    "score_mean": "mean",
    "score_median": "median",
    "score_std": "std",
    "score_min": "min",
    "fell_back": "no fit",
    "p_value_mean": "mean p",
    "p_value": "p",
    "about": "of",
    "explained_by_chance": "by chance",
    "asymmetry_by_chance": "by chance",
    "asymmetry": "difference of directions",
    "symmetry": "correlation with its transpose",
    "deeper_more_robust": "deeper ahead",
    "depth_pairs": "pairs",
    "by_depth": "models by depth",
    "common": "images",
    "images_spearman": "Spearman, images",
    "pearson": "Pearson, models",
    "spearman": "Spearman, models",
    "exceeded": "score above distance",
    "slope": "b",
    "changed": "what changes",
}


def head(columns: list[str]) -> str:
    """One or two lines of headings for columns of `COLUMNS`; the statistics of a distance stand
    together under its name.
    """
    first, second = [], []
    for number, name in enumerate(columns):
        distance, _, statistic = name.rpartition("_")
        if distance not in DISTANCES:
            first.append(_heading(name, _name(name), number, rows=2))
            continue
        if not columns[number - 1].startswith(f"{distance}_"):
            across = sum(other.rpartition("_")[0] == distance for other in columns)
            meaning = escape(COLUMNS[f"{distance}_mean"].meaning)
            first.append(
                f'<th scope="colgroup" class="pair" colspan="{across}" '
                f'title="{meaning}">{DISTANCES[distance]}</th>'
            )
        second.append(_heading(name, statistic, number, rows=1))
    if not second:
        return "<thead><tr>" + "".join(first).replace(' rowspan="2"', "") + "</tr></thead>"
    return f"<thead><tr>{''.join(first)}</tr><tr>{''.join(second)}</tr></thead>"


def _heading(name: str, text: str, number: int, rows: int) -> str:
    kind = "text" if COLUMNS[name].type == "text" else ""
    span = f' rowspan="{rows}"' * (rows > 1)
    return (
        f'<th scope="col" class="{kind}"{span} data-c="{number}" '
        f'title="{escape(COLUMNS[name].meaning)}">{escape(text)}</th>'
    )


def _name(name: str) -> str:
    return HEADINGS.get(name) or name.replace("_", " ")


def body(
    table: pd.DataFrame,
    columns: list[str],
    heading: str = "",
    address: Callable[[dict], str] | None = None,
) -> str:
    """The rows of a table of `COLUMNS`, under a heading if it has one.

    Args:
        table: with these columns, and the ends of their intervals.
        columns: in order.
        heading: of this part of the table.
        address: gives a row its address within the page.
    """
    lines = [
        '<tr class="group"><th scope="rowgroup" '
        f'colspan="{len(columns)}"><span>{escape(heading)}</span></th></tr>'
    ] * bool(heading)
    for row in table.to_dict("records"):
        place = f' id="{escape(address(row))}"' if address else ""
        lines.append(f"<tr{place}>{''.join(_data(name, row) for name in columns)}</tr>")
    return f"<tbody>{''.join(lines)}</tbody>"


def _data(name: str, row: dict) -> str:
    text = escape(show(name, row[name]))
    if COLUMNS[name].type == "text":
        return (
            f'<th scope="row">{text}</th>' if name == "model" else f'<td class="text">{text}</td>'
        )
    if name == "success_rate":
        return (
            f'<td class="share" style="--share:{100 * row[name]:.1f}%" '
            f"{sortable(row[name])}>{text}{between(name, row)}</td>"
        )
    quiet = (
        ' class="quiet"'
        if name.endswith("_median")
        or (name in ("failures", "near_ties", "revoked") and row[name] == 0)
        else ""
    )
    return f"<td{quiet} {sortable(row[name])}>{text}{between(name, row)}</td>"


def between(name: str, row: dict) -> str:
    """The 95 % interval of a value, small; nothing where there is none."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f" <small>[{escape(_bare(name, low))}, {escape(_bare(name, high))}]</small>"


def _bare(name: str, value: float) -> str:
    return show(name, value).removesuffix(" %")


def sortable(value: float) -> str:
    """A cell's value for the script."""
    return f'data-v="{float(value):.7g}"' if math.isfinite(value) else 'data-v=""'


def folded(summary: str, content: str) -> str:
    """HTML that unfolds.

    Args:
        summary: what is in sight, as HTML.
        content: what unfolds, as HTML.
    """
    return f"<details><summary>{summary}</summary>{content}</details>"


def framed(head: str, body: str, kind: str = "") -> str:
    """A table in a box of its own that scrolls.

    Args:
        head: its ``thead``.
        body: one ``tbody`` or several.
        kind: another class of the style sheet.
    """
    table = f'<table class="{f"numbers {kind}".strip()}">{head}{body}</table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'
