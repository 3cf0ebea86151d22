"""The settings that the attacks of a run had: values from the rows' columns, never from labels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.store.rows import ALSO_SETTINGS, KINDS
from jaxadv.store.values import Settings


class Line(NamedTuple):
    """Settings of one attack that differ in one numeric parameter alone, from its least value to
    its largest.
    """

    rest: str  # what they have in common and labels name, such as "steps=10"
    labels: list[str]
    values: list[float]


@dataclass(frozen=True)
class RunSettings:
    """The value of each parameter, by attack and label.

    Args:
        plain: the values as the catalogue has them, in its order; columns that are no parameter are
            left out. Of an attack that the catalogue does not have, all columns.
    """

    plain: Settings = field(default_factory=dict)

    @classmethod
    def of(cls, read: Settings) -> "RunSettings":
        """From what `Run.settings` gives."""
        return cls(
            {(attack, label): _plain(attack, values) for (attack, label), values in read.items()}
        )

    @classmethod
    def of_rows(cls, examples: pd.DataFrame) -> "RunSettings":
        """From rows of attempts in memory; "setting" may be all that they say."""
        names = [
            name for name in examples if name in ALSO_SETTINGS or name not in KINDS["examples"]
        ]
        firsts = examples.drop_duplicates(["attack", "setting"])[
            ["attack", "setting", *names]
        ].to_dict("records")
        named = [{str(name): value for name, value in row.items()} for row in firsts]
        return cls.of({(row.pop("attack"), row.pop("setting")): _present(row) for row in named})

    def values(self, attack: str, label: str) -> Mapping[str, Any]:
        """The parameters of one setting; empty if nothing is known of it."""
        return self.plain.get((attack, label), {})

    def minimises(self, attack: str, label: str) -> str | None:
        """The distance that a setting makes small ("l2"); None for a fixed budget and for an
        unknown attack.
        """
        entry = catalog.find(attack)
        return entry.minimises(self.values(attack, label)) if entry else None

    def is_studied(self, attack: str, label: str) -> bool:
        """Whether a setting has the norm, loss and rule that the study ran, where others can be
        chosen.
        """
        entry = catalog.find(attack)
        return entry is None or entry.is_studied(self.values(attack, label))

    def number(self, attack: str, label: str, parameter: str) -> float:
        """The value of a numeric parameter; NaN if the setting does not have it."""
        value = self.values(attack, label).get(parameter)
        return float(value) if value is not None and _is_number(value) else np.nan

    def numbers(self, rows: pd.DataFrame, parameter: str) -> pd.Series:
        """`number` of each row of a table with the columns "attack" and "setting"."""
        found = [
            self.number(*how, parameter)
            for how in zip(rows["attack"], rows["setting"], strict=True)
        ]
        return pd.Series(found, index=rows.index, dtype=float)

    def rank(self, attack: str, label: str) -> tuple:
        """Sorts the settings of one attack by their values, those of which nothing is known
        last.
        """
        values, entry = self.values(attack, label), catalog.find(attack)
        names = [one.name for one in entry.parameters] if entry else sorted(values)
        choices = {one.name: list(one.choices) for one in entry.parameters} if entry else {}
        return not values, [_rank(values.get(name), choices.get(name, [])) for name in names]

    def lines(self, attack: str, labels: Iterable[str]) -> dict[str, list[Line]]:
        """What a parameter does: by its name the settings that differ in it alone, two at least."""
        known = {label: self.values(attack, label) for label in dict.fromkeys(labels)}
        known = {label: values for label, values in known.items() if values}
        told = dict(zip(known, catalog.named(attack, list(known.values())), strict=True))
        found: dict[str, list[Line]] = {}
        for name in dict.fromkeys(name for values in known.values() for name in values):
            groups: dict[tuple, list[tuple[float, str]]] = {}
            for label, values in known.items():
                if _is_number(values.get(name)):
                    rest = tuple((key, value) for key, value in values.items() if key != name)
                    groups.setdefault(rest, []).append((float(values[name]), label))
            for members in groups.values():
                members.sort(key=lambda member: member[0])
                if members[0][0] < members[-1][0]:
                    rest = ", ".join(
                        f"{key}={text}" for key, text in told[members[0][1]].items() if key != name
                    )
                    values, names = zip(*members, strict=True)
                    found.setdefault(name, []).append(Line(rest, list(names), list(values)))
        return found


NOTHING = RunSettings()
"""Of rows that say nothing of their settings."""


def has_budget(attack: str) -> bool:
    """Whether an attack has a fixed budget, so that its success is what tells networks apart."""
    entry = catalog.find(attack)
    return entry is None or not entry.searches


def budgets(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each attack with a fixed budget of a table, and its rows."""
    for key, rows in table.groupby("attack", sort=False):
        if has_budget(str(key)):
            yield str(key), rows


def _plain(attack: str, values: Mapping[str, Any]) -> dict[str, Any]:
    entry = catalog.find(attack)
    if entry is None:
        return {name: value for name, value in values.items() if name not in ALSO_SETTINGS}
    return {
        one.name: values[one.name] if one.choices else one.kind(values[one.name])
        for one in entry.parameters
        if one.name in values
    }


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value == value}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rank(value: Any, choices: list[str]) -> tuple:
    """So that 10 comes after 2, and a choice as the catalogue lists it."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, str):
        return (2, float(choices.index(value) if value in choices else len(choices)), value)
    return (1, float(value), "")
