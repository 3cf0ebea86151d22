"""The page's sections of all numbers, each row with its address, and of what the columns mean."""

from collections.abc import Iterator
from html import escape

import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report import cells, tables
from jaxadv.report.columns import COLUMNS
from jaxadv.report.names import anchor
from jaxadv.report.views import Views
from jaxadv.support.norms import SCORE_TITLES

_QUIET = ("revoked", "invalid", "zero_gradients")


def numbers(views: Views) -> str:
    """Accuracy, attempts by attack, and CLEVER, each to unfold."""
    parts = [*_accuracy(views.made.accuracy), *_attempts(views.made.robustness)]
    parts += _scores(views.made.clever)
    return "".join(cells.folded(escape(name), table) for name, table in parts)


def _accuracy(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    if len(table):
        shown = [name for name in _without_ends(table) if name not in _quiet(table)]
        body = cells.body(table, shown, address=lambda row: anchor("accuracy", row["model"]))
        yield "Accuracy", cells.framed(cells.head(shown), body)


def _attempts(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    columns = ["model", "n", "success_rate", "failures", "near_ties"]
    columns += [name for name in _QUIET if name not in _quiet(table)]
    columns += [
        f"{distance}_{what}" for distance in tables.DISTANCES for what in ("mean", "std", "median")
    ]
    columns += ["gradients_mean", "forwards_mean"]

    def address(row: dict) -> str:
        how = (row["attack"], row["target_kind"], row["setting"], row["model"])
        return anchor("row", *map(str, how))

    for attack, of_attack in table.groupby("attack", sort=False):
        groups = [
            cells.body(
                rows,
                columns,
                heading=" · ".join(filter(None, [KINDS.get(kind, kind), setting])),
                address=address,
            )
            for (kind, setting), rows in _groups(of_attack, ["target_kind", "setting"])
        ]
        yield catalog.title(str(attack)), cells.framed(cells.head(columns), "".join(groups))


def _scores(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    if not len(table):
        return
    left_out = {"target_kind", "norm", *_quiet(table)}
    columns = [name for name in _without_ends(table) if name not in left_out]
    groups = [
        cells.body(
            rows,
            columns,
            heading=f"{SCORE_TITLES.get(norm, norm)} · {KINDS.get(kind, kind)}",
            address=lambda row: anchor("score", row["norm"], row["target_kind"], row["model"]),
        )
        for (kind, norm), rows in _groups(table, ["target_kind", "norm"])
    ]
    yield "CLEVER", cells.framed(cells.head(columns), "".join(groups))


def _without_ends(table: pd.DataFrame) -> list[str]:
    """Its columns but for the ends of intervals."""
    return [str(name) for name in table if not str(name).endswith(("_low", "_high"))]


def _groups(table: pd.DataFrame, columns: list[str]) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """The rows of each combination of texts in some columns, in the order of the table."""
    for key, rows in table.groupby(columns, sort=False):
        yield list(map(str, key)), rows


def _quiet(table: pd.DataFrame) -> set[str]:
    """Columns that are shown only where they count anything."""
    return {name for name in _QUIET if name in table and not table[name].any()}


def glossary(views: Views) -> str:
    """What every column of the run's tables means."""
    made = views.made
    shown = [made.accuracy, made.robustness, made.clever, made.transfer, made.law]
    names = dict.fromkeys(
        str(name) for table in [*shown, *views.study.values()] if len(table) for name in table
    )
    entries = []
    for name in names:
        unit = COLUMNS[name].unit
        note = f" <i>({escape(unit)})</i>" if unit else ""
        entries.append(f"<dt>{escape(name)}</dt><dd>{escape(COLUMNS[name].meaning)}{note}</dd>")
    lead = (
        "<p>Names are as in the files in <code>tables</code>. A heading above shows its "
        "meaning when pointed at.</p>"
    )
    return (
        f"{lead}<details><summary>All {len(names)} "
        f"columns</summary><dl>{''.join(entries)}</dl></details>"
    )
