"""What the catalogue says of one attack: its settings, its flags, its distance, its place in
tables.

This module imports no JAX; an entry names its settings class, which is imported when an attack
runs.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One setting of an attack: a field of its class, a flag, and a column of its rows.

    Args:
        name: the field and the column.
        default: the usual value.
        help: the flag's help.
        flag: the flag's name, where it differs from ``name``.
        kind: float, int, bool or str.
        swept: whether the flag takes a list, which makes a sweep.
        sweep: the flag's default list, where it is not the usual value alone.
        label: when the label of a setting names it: "always"; "unusual", if it is not the default;
            or "swept", if the run has several values.
        choices: of a str, the allowed values by name, as the class takes them.
        title: what figures call it.
    """

    name: str
    default: Any
    help: str
    flag: str = ""
    kind: type = float
    swept: bool = True
    sweep: tuple[Any, ...] = ()
    label: str = "swept"
    choices: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""

    @property
    def flag_name(self) -> str:
        return self.flag or self.name

    @property
    def defaults(self) -> tuple[Any, ...]:
        """The values that the flag has if it is not given."""
        return self.sweep or (self.default,)

    def plain(self, value: Any) -> Any:
        """The class's value as rows, labels and manifests have it: a float, int, bool or str."""
        if self.choices:
            return next(name for name, choice in self.choices.items() if choice == value)
        return self.kind(value)

    def made(self, plain: Any) -> Any:
        """The value as the class takes it; the opposite of `plain`."""
        return self.choices[plain] if self.choices else plain


@dataclass(frozen=True)
class Attack:
    """One attack of the catalogue.

    Args:
        name: on the command line and in rows.
        title: in tables, figures and the page.
        home: "module:Class" of its settings, a probe (see `jaxadv.core.probe`).
        group: the heading of its flags in ``--help``.
        parameters: in the order of their flags.
        searches: whether it searches for the smallest perturbation; else its budget is fixed.
        distance: the distance that it makes small, or that bounds it ("l1", "l2", "linf").
        distance_by: a parameter that changes the distance, and the distance of each of its values.
        bench: the number of steps -> the fields of the setting that ``bench`` measures; None for
            an attack that is made of others.
        bench_also: further settings that it measures, by the end of their names: the fields that
            differ.
        budget: a parameter of a search that ends it, if it is not 0, with the first success within
            it. Such a search finds no least distance.
        notes: details of a result that become columns of the rows beside the settings.
        is_default: whether ``--attacks`` has it if it is not given.
        hands_on_failures: whether its image is shown to others where it has failed. The study does
            so for FGSM alone; attacks that it did not run have no rule of its to follow.
    """

    name: str
    title: str
    home: str
    group: str
    parameters: tuple[Parameter, ...]
    searches: bool
    distance: str
    bench: Callable[[int], dict[str, Any]] | None
    bench_also: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    budget: str = ""
    notes: tuple[str, ...] = ()
    distance_by: tuple[str, Mapping[str, str]] = ("", {})
    is_default: bool = False
    hands_on_failures: bool = False

    @property
    def kind(self) -> type:
        """The class of its settings. Imports JAX."""
        module, _, name = self.home.partition(":")
        return getattr(importlib.import_module(module), name)

    def make(self, plain: Mapping[str, Any]) -> Any:
        """The probe with these plain values; a parameter that is not given has the class's
        default.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        return self.kind(**{name: known[name].made(value) for name, value in plain.items()})

    def plain(self, probe: Any) -> dict[str, Any]:
        """The plain values of all parameters of a probe."""
        return {one.name: one.plain(getattr(probe, one.name)) for one in self.parameters}

    def matches(self, probe: Any) -> bool:
        """Whether a probe is of this entry. Several entries may share a class."""
        return (
            type(probe) is self.kind and getattr(probe, "searches", self.searches) == self.searches
        )

    def minimises(self, plain: Mapping[str, Any]) -> str | None:
        """The distance that a setting makes small; None for a fixed budget."""
        if not self.searches or plain.get(self.budget):
            return None
        return self.norm_of(plain)

    def norm_of(self, plain: Mapping[str, Any]) -> str:
        """The distance that a setting makes small, or that bounds it."""
        name, distances = self.distance_by
        return distances.get(plain.get(name, ""), self.distance)

    def is_studied(self, plain: Mapping[str, Any]) -> bool:
        """Whether a setting has the norm, loss and rule that the study ran, where others can be
        chosen.
        """
        unusual = [one for one in self.parameters if one.label == "unusual"]
        return all(plain.get(one.name, one.default) == one.default for one in unusual)


def same(names: Iterable[str]) -> dict[str, str]:
    """Choices that the class takes by their own names."""
    return {name: name for name in names}
