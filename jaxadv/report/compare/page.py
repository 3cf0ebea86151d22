"""compare.html and the tables of a comparison of runs."""

import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from jaxadv.analysis.families import family
from jaxadv.report import tables
from jaxadv.report.cells import between, folded, framed, sortable
from jaxadv.report.columns import show
from jaxadv.report.compare import Comparison
from jaxadv.report.names import listed, panel_name
from jaxadv.report.shell import Section, page, told
from jaxadv.support.files import write_atomically
from jaxadv.support.norms import DISTANCES

TABLES = ("settings", "models", "rows", "changed", "differences", "leaderboard")
_TEXTS = ("settings", "models", "changed")  # tables of texts alone
PAGE = "compare.html"
_SHOWN = 200  # rows that differ, in the page
FOOTER = "Made from the rows of these runs. The folder <code>tables</code> has all digits and rows."


def write(found: Comparison, directory: str | os.PathLike) -> Path:
    """Write compare.html and tables/*.csv and .md into a folder; returns the page's path."""
    directory = Path(directory)
    (directory / "tables").mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        table: pd.DataFrame = getattr(found, name)
        text = tables.inert(table).to_csv(index=False, float_format="%.7g", lineterminator="\n")
        write_atomically(directory / "tables" / f"{name}.csv", text.encode())
        shown = ["evidence" if name in _TEXTS else str(column) for column in table]
        text = tables.markdown(table, shown) if len(table.columns) else ""
        write_atomically(directory / "tables" / f"{name}.md", text.encode())
    whole = page(
        name=" · ".join(found.names),
        title=f"Comparison of {len(found.names)} runs",
        lead="",
        sections=_sections(found),
        footer=FOOTER,
    )
    write_atomically(directory / PAGE, whole.encode())
    return directory / PAGE


def findings(found: Comparison) -> list[tuple[str, str]]:
    """What the comparison says, in sentences: settings, rows, differences and who is first."""
    return [_settings(found), _models(found), *_rows(found), *_differences(found), *_first(found)]


def _settings(found: Comparison) -> tuple[str, str]:
    facts = list(found.settings["fact"])
    if not facts:
        return "Settings", "Settings, data, weights and versions are the same."
    verb = "differs" if len(facts) == 1 else "differ"
    return "Settings", f"{len(facts)} {verb}: {listed(facts, 8)}."


def _models(found: Comparison) -> tuple[str, str]:
    table = found.models
    shared = table[(table[found.names] == "yes").all(axis=1)]
    text = f"{len(shared)} of {len(table)} models are in every run."
    return "Models", text


def _rows(found: Comparison) -> Iterable[tuple[str, str]]:
    for name, counts in found.rows.groupby("other_run", sort=False):
        both, unlike = int(counts["both"].sum()), int(counts["different"].sum())
        alone = int(counts["only_first"].sum()), int(counts["only_other"].sum())
        text = (
            f"all {both:,} rows of both are the same"
            if not unlike
            else f"{unlike:,} of {both:,} rows of both differ"
        )
        text = "no row is in both" if not both else text
        if any(alone):
            text += f"; {alone[0]:,} are only in {found.names[0]}, {alone[1]:,} only in {name}"
        yield "Rows", f"{name} beside {found.names[0]}: {text}."


def _differences(found: Comparison) -> Iterable[tuple[str, str]]:
    known = found.differences[found.differences["difference"].notna()]
    for name, rows in known.groupby("other_run", sort=False):
        equal = int((rows["difference"] == 0).sum())
        certain = int((rows["certain"] == "yes").sum())
        text = (
            f"{certain} of {len(rows)} differences of a measure and a model are settled, {equal} "
            "are exactly 0"
        )
        unpaired = int((rows["same_images"] == "no").sum())
        if unpaired:
            text += f"; {unpaired} are not of the same images and have no interval"
        yield "Differences", f"{name} beside {found.names[0]}: {text}."


def _first(found: Comparison) -> Iterable[tuple[str, str]]:
    table = found.leaderboard
    if not len(table):
        return
    rows = table[(table[_HOW] == table[_HOW].iloc[0]).all(axis=1)]
    rows = rows[rows["place"] == 1]
    names = [f"{row['model']} of {row['run']}" for row in rows.to_dict("records")]
    value = show("value", rows["value"].iloc[0])
    verb = "has" if len(names) == 1 else "share"
    yield (
        "Most robust",
        f"{listed(names)} {verb} the first place by {_about(rows.iloc[0])}: {value}.",
    )


_HOW = ["attack", "target_kind", "setting", "distance"]


def _about(row: Any) -> str:
    """What a measure is called."""
    if row["distance"] == "accuracy":
        return "top-1 accuracy"
    what = DISTANCES.get(row["distance"], row["distance"])
    return f"{panel_name(row['attack'], row['target_kind'], row['setting'])}, {what}"


def _sections(found: Comparison) -> list[Section]:
    return [
        Section("Findings", told(findings(found), "findings")),
        Section("Leaderboard", _leaderboard(found.leaderboard)),
        Section("Differences", _difference_table(found)),
        Section("What differs", _plain(found.settings)),
        Section("Models", _plain(found.models)),
        Section("Rows", _row_table(found)),
    ]


def _table(heads: Sequence[tuple[str, str]], lines: Iterable[str], kind: str) -> str:
    head = "".join(
        f'<th scope="col" class="{of}" data-c="{number}">{escape(name)}</th>'
        for number, (name, of) in enumerate(heads)
    )
    body = f"<tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody>"
    return framed(f"<thead><tr>{head}</tr></thead>", body, kind)


def _text(value: Any) -> str:
    return f'<td class="text">{escape(str(value))}</td>'


def _number(name: str, row: dict) -> str:
    return f"<td {sortable(float(row[name]))}>{show(name, row[name])}{between(name, row)}</td>"


def _leaderboard(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    parts = [(_about(rows.iloc[0]), rows) for _, rows in table.groupby(_HOW, sort=False)]
    shown = [(name, _leaders(rows)) for name, rows in parts]
    lead = (
        "<p>All models of all runs. Equal values share a place. Of success the smallest is the "
        "most robust.</p>"
    )
    more = "".join(folded(escape(name), rows) for name, rows in shown[1:])
    return f"{lead}<h3>{escape(shown[0][0])}</h3>{shown[0][1]}{more}"


def _leaders(rows: pd.DataFrame) -> str:
    heads = [("model", "text"), ("family", "text"), ("run", "text"), ("place", "")]
    heads += [(name, "") for name in ("value", "n", "failed", "top-1")]
    lines = []
    for row in rows.to_dict("records"):
        lines.append(
            f'<th scope="row">{escape(row["model"])}</th>{_text(family(row["model"]))}{_text(row["run"])}'
            f"{_number('place', row)}{_number('value', row)}{_number('n', row)}"
            f"{_number('failures', row)}{_number('top1_percent', row)}"
        )
    return _table(heads, lines, "leaders")


def _difference_table(found: Comparison) -> str:
    table = found.differences[found.differences["difference"].notna()]
    if table.empty:
        return ""
    lead = (
        f"<p>The other run minus {escape(found.names[0])}, on the images of both, with a paired 95 "
        "% interval. Each interval stands by itself: of many, one in twenty errs. Distances are "
        "over successes of both.</p>"
    )
    sure = table["certain"] == "yes"
    parts = []
    if sure.any():
        parts.append(_difference_rows(table[sure]))
    if not sure.all():
        text = f"Not settled ({int((~sure).sum())})"
        parts.append(folded(text, _difference_rows(table[~sure])))
    return lead + "".join(parts)


def _difference_rows(table: pd.DataFrame) -> str:
    heads = [("model", "text"), ("measure", "text"), ("run", "text")]
    heads += [(name, "") for name in ("first", "other", "difference", "images")]
    lines = []
    for row in table.to_dict("records"):
        lines.append(
            f'<th scope="row">{escape(row["model"])}</th>{_text(_about(row))}{_text(row["other_run"])}'
            + "".join(
                _number(name, row)
                for name in ("first_value", "other_value", "difference", "common")
            )
        )
    return _table(heads, lines, "analysis")


def _plain(table: pd.DataFrame) -> str:
    """A table of texts."""
    if table.empty:
        return ""
    first, *others = table.columns
    lines = [
        f'<th scope="row">{escape(str(row[first]))}</th>{"".join(_text(row[name]) for name in others)}'
        for row in table.to_dict("records")
    ]
    return _table([(str(name), "text") for name in table.columns], lines, "texts")


def _row_table(found: Comparison) -> str:
    if found.rows.empty:
        return ""
    names = ["both", "same", "different", "only_first", "only_other"]
    heads = [("run", "text"), ("kind", "text"), *((name.replace("_", " "), "") for name in names)]
    lines = [
        f'<th scope="row">{escape(row["other_run"])}</th>{_text(row["kind"])}'
        + "".join(_number(name, row) for name in names)
        for row in found.rows.to_dict("records")
    ]
    counts = _table(heads, lines, "counts")
    if found.changed.empty:
        return counts
    left = len(found.changed) - _SHOWN
    note = f"<p class=what>{left} more in tables/changed.csv.</p>" if left > 0 else ""
    changed = _plain(found.changed.head(_SHOWN))
    return f"{counts}<h3>Rows that differ</h3>{changed}{note}"


def brief(found: Comparison) -> str:
    """The findings as lines for a terminal."""
    return "\n".join(f"{about}: {text}" for about, text in findings(found))
