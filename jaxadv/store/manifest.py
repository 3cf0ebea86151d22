"""manifest.json: the description of a run, in JSON with a checksum.

The entries "identity" and "only" are the run's identity (`jaxadv.store.identity`). "machines" are
the kinds of machine that have worked on it. If the manifest is lost, these come from the parts. A
continued run writes all other entries again.
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
from jaxadv.store.rows import KINDS
from jaxadv.support.files import Damaged, Foreign, write_atomically
from model_ports.errors import InputError, said

NAME = "manifest.json"
CHECKSUM = "checksum"


def write(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest of a run.

    Args:
        directory: the run's folder.
        manifest: the entries. NumPy values become Python's; infinity and NaN become text.

    Raises:
        InputError: if the manifest cannot be written.
    """
    entries = {
        name: value for name, value in plain(manifest).items() if name not in (CHECKSUM, "format")
    }
    entries = {"format": FORMAT} | entries
    entries[CHECKSUM] = _checksum(entries)
    text = json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(directory / NAME, text.encode())


def read(directory: Path) -> dict[str, Any]:
    """The manifest of a run.

    Args:
        directory: the run's folder.

    Returns:
        The entries that `write` wrote, and "format". Empty if there is no file.

    Raises:
        Damaged: if the file is damaged.
        InputError: if the file cannot be read.
        Foreign: if this program did not write the file, or if it has another format.
    """
    path = directory / NAME
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except IsADirectoryError as error:
        raise Damaged(f"{str(path)!r} is not a readable manifest ({said(error)})") from error
    except OSError as error:  # it may be whole: its entries must not be lost
        raise InputError(
            f"{str(path)!r} cannot be read ({error.strerror or error}); run the command again, or "
            "remove the file: its entries then come from the parts"
        ) from error
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{str(path)!r} is not a readable manifest ({said(error)})") from error
    if not isinstance(value, dict):
        raise Foreign(
            f"{str(path)!r} is not the manifest of a run: it holds a JSON {type(value).__name__}"
        )
    if CHECKSUM not in value and "format" not in value:
        if isinstance(value.get("identity"), dict):
            raise Foreign(
                f"{str(path)!r} is of a run of format 1, but this version reads and writes only "
                f"format {FORMAT}"
            )
        raise Foreign(f"{str(path)!r} is not the manifest of a run")
    try:
        whole = value.pop(CHECKSUM, None) == _checksum(value)
    except RecursionError:  # JSON that is nested too deeply
        whole = False
    if not whole or "format" not in value:
        raise Damaged(f"{str(path)!r} was changed or damaged")
    if value["format"] != FORMAT:
        raise Foreign(
            f"{str(path)!r} is of a run of format {value['format']}, but this version reads and "
            f"writes only format {FORMAT}"
        )
    return value


def begun(
    known: Mapping[str, Any], identity: Identity, *, any_machine: bool = False
) -> dict[str, Any]:
    """The manifest of a run that begins or continues.

    Args:
        known: the manifest so far; empty for a new run.
        identity: the run's identity, with this machine.
        any_machine: whether other kinds of machine may continue the run.

    Returns:
        The new manifest.
    """
    machines = known.get("machines", [])
    entries = {"identity": identity.facts, "only": identity.to_json()["only"]}
    entries["machines"] = machines + [identity.machine] * (identity.machine not in machines)
    return {**known, **entries} | ({"any_machine": True} if any_machine else {})


def rebuilt(parts: Iterable[About]) -> dict[str, Any]:
    """A manifest from the footers of parts.

    Args:
        parts: the descriptions of all parts in a folder.

    Returns:
        The manifest of the run to which most parts belong. Empty without parts.
    """
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
