"""The identity of a run: everything that its rows depend on.

The manifest and every part contain it.
"""

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 3
"""The number of differences that an error names. It counts the others."""


@dataclass(frozen=True)
class Identity:
    """Everything that rows depend on.

    Args:
        facts: settings, fingerprints of data and weights, and versions, by the names that a user
            knows.
        only: the kinds of rows that depend on a fact, by the fact's name. All kinds depend on a
            fact that is not listed here.
        machine: facts about the machine that computes. They are not part of the digest, because a
            user may allow another kind of machine to continue a run.
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
        """The sha256 of all facts that rows of ``kind`` depend on."""
        facts = {name: value for name, value in self.facts.items() if self.depends(kind, name)}
        return hashlib.sha256(json.dumps([kind, facts], sort_keys=True).encode()).hexdigest()

    def differing(self, other: "Identity", kinds: Collection[str]) -> list[str]:
        """The names of the facts that differ and that rows of at least one kind depend on.

        Args:
            other: the other identity.
            kinds: the kinds of rows.

        Returns:
            Names of facts.
        """
        return [
            name
            for name in {**self.facts, **other.facts}
            if self.facts.get(name) != other.facts.get(name)
            and any(self.depends(kind, name) or other.depends(kind, name) for kind in kinds)
        ]

    def to_json(self) -> dict[str, Any]:
        """The entries of a manifest or a part's footer."""
        groups: dict[str, list[str]] = {}
        for name, kinds in self.only.items():
            groups.setdefault(",".join(kinds), []).append(name)
        return {"identity": self.facts, "only": groups, "machine": self.machine}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Identity | None":
        """The identity from entries of `to_json`. None if they are missing or malformed.

        Args:
            value: the entries of a manifest or a footer.

        Returns:
            The identity, or None.
        """
        facts, groups, machine = (value.get(name) for name in ("identity", "only", "machine"))
        if not isinstance(facts, dict) or not isinstance(groups, dict):
            return None
        only = {str(name): kinds.split(",") for kinds, names in groups.items() for name in names}
        return cls(
            facts, only, machine if isinstance(machine, dict) else {}
        )  # a manifest has "machines" instead


def as_identity(value: Identity | Mapping[str, Any] | None) -> Identity:
    """An identity unchanged, or facts as an identity."""
    return value if isinstance(value, Identity) else Identity(facts=value or {})


def difference(known: Mapping[str, Any], asked: Mapping[str, Any], names: Sequence[str]) -> str:
    """The differences between two runs as text, such as ``--seed 3 there, 1215 now``.

    Args:
        known: the facts of the run on disk.
        asked: the facts of the requested run.
        names: the names of the facts that differ.

    Returns:
        One line.
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
    """Convert a value for JSON: NumPy values to Python's, infinity and NaN to text, and text to
    valid UTF-8.

    Args:
        value: any value.

    Returns:
        A value for JSON.
    """
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
    return str(value).encode(errors="backslashreplace").decode()  # a path may not be UTF-8
