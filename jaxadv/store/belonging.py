"""The test whether a part belongs to a run: it must have the run's identity and the name of its
unit.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxadv.store import parts
from jaxadv.store.identity import Identity, difference
from jaxadv.store.parts import About
from jaxadv.support.files import Foreign, short
from model_ports.errors import InputError


def place(directory: Path, kind: str, unit: str) -> Path:
    """The file of a part.

    Args:
        directory: the run's folder.
        kind: the kind of rows.
        unit: the unit of work.

    Returns:
        The path of the file, which need not exist.
    """
    return directory / kind / f"part-{short(unit)}.parquet"


class Belonging:
    """Decides whether a part belongs to a run.

    Args:
        directory: the run's folder.
        identity: the run's identity.
        machines: the kinds of machine that have worked on the run; None if any kind may.
    """

    def __init__(
        self, directory: Path, identity: Identity, machines: list[Mapping[str, Any]] | None = None
    ):
        self.directory = directory
        self.identity = identity
        self.machines = machines
        self._digests: dict[str, str] = {}

    @classmethod
    def of(cls, directory: Path, manifest: Mapping[str, Any]) -> "Belonging":
        """The test for the run of a manifest.

        Args:
            directory: the run's folder.
            manifest: the run's manifest.

        Returns:
            The test.
        """
        machines = None if manifest.get("any_machine") else manifest.get("machines")
        return cls(directory, Identity.from_json(manifest) or Identity(), machines)

    def digest(self, kind: str) -> str:
        """The digest of the run's identity for a kind of rows."""
        if kind not in self._digests:
            self._digests[kind] = self.identity.digest(kind)
        return self._digests[kind]

    def check(self, about: About, path: Path, kind: str) -> None:
        """Check that a part belongs to the run, and to its place.

        Args:
            about: the part's description of itself.
            path: the part's file.
            kind: the kind of rows of its folder.

        Raises:
            Foreign: if it does not.
        """
        if about.format != parts.FORMAT:
            raise Foreign(f"{str(path)!r} has format {about.format}, but the run {parts.FORMAT}")
        if about.kind != kind:
            raise Foreign(f"{str(path)!r} holds rows of kind {about.kind!r}")
        if path.name != place(self.directory, kind, about.unit).name:
            raise Foreign(
                f"{str(path)!r} is a copy of {place(self.directory, kind, about.unit).name!r}, or "
                "was renamed"
            )
        if about.digest != self.digest(kind):
            names = about.identity.differing(self.identity, [kind])
            raise Foreign(
                f"{str(path)!r} is of another run "
                f"({difference(about.identity.facts, self.identity.facts, names)})"
            )
        machine = about.identity.machine
        if machine and self.machines is not None and machine not in self.machines:
            raise Foreign(f"{str(path)!r} was made on another kind of machine ({_text(machine)})")

    def compare(self, asked: Identity, kinds: Iterable[str], *, any_machine: bool = False) -> None:
        """Compare the run in the folder with the requested run.

        Args:
            asked: the identity of the requested run.
            kinds: the kinds of rows that must agree.
            any_machine: whether another kind of machine may continue the run.

        Raises:
            InputError: if the runs differ. The message names the differences.
        """
        what = f"run directory {str(self.directory)!r} holds"
        remedy = "give another --out, or --overwrite to replace it"
        differing = self.identity.differing(asked, list(kinds))
        if differing:
            names = difference(self.identity.facts, asked.facts, differing)
            raise InputError(
                f"{what} a run of other settings ({names}); continue it with its settings, {remedy}"
            )
        if any_machine or not self.machines or not asked.machine or asked.machine in self.machines:
            return
        last = self.machines[-1]
        differing = [
            name for name in {**last, **asked.machine} if last.get(name) != asked.machine.get(name)
        ]
        raise InputError(
            f"{what} a run of another kind of machine "
            f"({difference(last, asked.machine, differing)}), whose rows may differ; "
            f"add --any_machine to continue it anyway, or {remedy}"
        )


def _text(machine: Mapping[str, Any]) -> str:
    """A kind of machine in words."""
    return ", ".join(f"{name} {value}" for name, value in machine.items())
