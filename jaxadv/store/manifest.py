"""manifest.json: what a run is, in JSON with a checksum of its own.

Its entries "identity" and "only" are the run's identity (`jaxadv.store.identity`), and "machines" are the kinds of machine
that have worked on it. Whatever else is lost with it is written again when the run goes on.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxadv.store.identity import Identity, plain
from jaxadv.store.parts import FORMAT, About
from jaxadv.store.rows import KINDS, one_line
from jaxadv.support.files import Damaged, Foreign, write_atomically

NAME, CHECKSUM = "manifest.json", "checksum"


def write(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest. NumPy values become plain, inf and NaN text. Raises InputError where it cannot be written."""
    entries = {
        name: value for name, value in plain(manifest).items() if name not in (CHECKSUM, "format")
    }
    entries = {"format": FORMAT} | entries
    entries[CHECKSUM] = _checksum(entries)
    text = json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(directory / NAME, text.encode())


def read(directory: Path) -> dict[str, Any]:
    """What `write` was given, and "format"; empty where nothing is there.

    Raises:
        Damaged: for a file that is not what was written.
        Foreign: for one that this program did not write, or in another format.
    """
    path = directory / NAME
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{str(path)!r} is not a readable manifest ({one_line(error)})") from error
    if not isinstance(value, dict):
        raise Foreign(
            f"{str(path)!r} is no manifest of a run: it holds a JSON {type(value).__name__}"
        )
    if CHECKSUM not in value and "format" not in value:
        if isinstance(value.get("identity"), dict):
            raise Foreign(
                f"{str(path)!r} is of a run of format 1, and this version reads and writes {FORMAT} alone"
            )
        raise Foreign(f"{str(path)!r} is no manifest of a run")
    try:
        whole = value.pop(CHECKSUM, None) == _checksum(value)
    except RecursionError:  # deeper than what reads it allows
        whole = False
    if not whole:
        raise Damaged(f"{str(path)!r} was changed or damaged")
    if value["format"] != FORMAT:
        raise Foreign(
            f"{str(path)!r} is of a run of format {value['format']}, and this version reads and writes {FORMAT} alone"
        )
    return value


def begun(
    known: Mapping[str, Any], identity: Identity, *, any_machine: bool = False
) -> dict[str, Any]:
    """The manifest of a run that begins or goes on.

    Args:
        known: the manifest that is there; empty for a new run.
        identity: of the run, and the machine that begins it.
        any_machine: whether other kinds of machine may go on with it.
    """
    machines = known.get("machines", [])
    entries = {"identity": identity.facts, "only": identity.to_json()["only"]}
    entries["machines"] = machines + [identity.machine] * (identity.machine not in machines)
    return {**known, **entries} | ({"any_machine": True} if any_machine else {})


def rebuilt(parts: Iterable[About]) -> dict[str, Any]:
    """A manifest from what the parts of a run say: that of the run to which most of them belong; empty without parts."""
    parts = list(parts)
    candidates = {
        json.dumps([part.identity.facts, part.identity.only]): part.identity for part in parts
    }
    belonging = Counter(
        {
            key: sum(part.digest == identity.digest(part.kind) for part in parts)
            for key, identity in candidates.items()
        }
    )
    if not belonging:
        return {}
    best = candidates[belonging.most_common(1)[0][0]]
    digests = {kind: best.digest(kind) for kind in KINDS}
    manifest: dict[str, Any] = {"format": FORMAT}
    for part in parts:
        if digests.get(part.kind) == part.digest:
            manifest = begun(manifest, dataclasses.replace(best, machine=part.identity.machine))
    return manifest | ({"any_machine": True} if len(manifest["machines"]) > 1 else {})


def _checksum(entries: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
