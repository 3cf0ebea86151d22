"""The identity of a run: everything that its rows follow from. The manifest and every part carry it."""

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 3
"""How many differences an error names; it counts the others."""


@dataclass(frozen=True)
class Identity:
    """Everything that rows follow from.

    Args:
        facts: settings, fingerprints of data and weights, and versions, by the names that a user knows.
        only: the kinds of rows that depend on a fact, by the fact's name. All kinds depend on a fact
            that is not listed here.
        machine: what is known of the machine that computes. It is no part of the digest: a run may
            go on with another kind of machine where its user allows that.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("facts", "only", "machine"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    def depends(self, kind: str, name: str) -> bool:
        """Whether rows of ``kind`` depend on the fact ``name``."""
        return kind in self.only.get(name, (kind,))

    def digest(self, kind: str) -> str:
        """A sha256 of all facts that rows of ``kind`` depend on."""
        facts = {name: value for name, value in self.facts.items() if self.depends(kind, name)}
        return hashlib.sha256(json.dumps([kind, facts], sort_keys=True).encode()).hexdigest()

    def differing(self, other: "Identity", kinds: Collection[str]) -> list[str]:
        """The names of the facts on which rows of some ``kinds`` depend and that ``other`` has otherwise."""
        return [
            name
            for name in {**self.facts, **other.facts}
            if self.facts.get(name) != other.facts.get(name)
            and any(self.depends(kind, name) or other.depends(kind, name) for kind in kinds)
        ]

    def to_json(self) -> dict[str, Any]:
        """As a manifest and the footer of a part have it."""
        groups: dict[str, list[str]] = {}
        for name, kinds in self.only.items():
            groups.setdefault(",".join(kinds), []).append(name)
        return {"identity": self.facts, "only": groups, "machine": self.machine}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Identity | None":
        """What `to_json` gave; None where there is nothing of it, or something else."""
        facts, groups, machine = (value.get(name) for name in ("identity", "only", "machine"))
        if not isinstance(facts, dict) or not isinstance(groups, dict):
            return None
        only = {str(name): kinds.split(",") for kinds, names in groups.items() for name in names}
        return cls(
            facts, only, machine if isinstance(machine, dict) else {}
        )  # a manifest has several


def as_identity(value: Identity | Mapping[str, Any] | None) -> Identity:
    """Facts alone as an identity."""
    return value if isinstance(value, Identity) else Identity(facts=value or {})


def difference(known: Mapping[str, Any], asked: Mapping[str, Any], names: Sequence[str]) -> str:
    """What two runs have otherwise, such as ``--seed 3 there, 1215 now``.

    Args:
        known: the facts of what is there.
        asked: the facts of what is asked for.
        names: of the facts that differ.
    """
    texts = [
        f"{name} {_text(known.get(name))} there, {_text(asked.get(name))} now"
        for name in names[:SHOWN]
    ]
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(texts) + more


def _text(value: Any) -> str:
    text = (
        ",".join(map(str, value))
        if isinstance(value, list)
        else "not given"
        if value is None
        else str(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain(value: Any) -> Any:
    """``value`` as what JSON can hold: NumPy values as Python's, infinity and NaN as text, and text as UTF-8 can hold it."""
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (int, float, bool, type(None))):
        return value
    return str(value).encode(errors="backslashreplace").decode()  # of a path that is not UTF-8
