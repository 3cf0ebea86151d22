"""The removal of a run's files. A run removes only files that it wrote.

Parts, images and journals contain the digest of their run. Tables, figures and the page are in a
list, which a run writes before it writes them. The list is in files.json, and in the manifest's
entry "files".
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jaxadv.store import image_store, parts
from jaxadv.store.belonging import Belonging
from jaxadv.store.rows import KINDS
from jaxadv.support.files import Damaged, Foreign, label, read_sealed, remove, short, write_sealed
from model_ports.errors import InputError

UNFINISHED = "unfinished"
LIST = "files.json"
JOURNAL = re.compile(r".+\+(outcomes|lanes)-.+\.npz")
_LEFTOVER = re.compile(r"\.(.+)\.\d+\.tmp")
_WRITTEN = {  # pattern of folders -> names of the files that a run writes there
    **dict.fromkeys(KINDS, re.compile(r"part-.+\.parquet")),
    "tables": re.compile(r".+\.(csv|md|tex)"),
    "figures": re.compile(r".+\.(png|svg|txt)"),
    UNFINISHED: JOURNAL,
    "robustbench/*/*": re.compile(r".+\.json"),
    "": re.compile(r"(manifest|files|summary)\.json|report\.html"),
}
VIEWS = ("tables", "figures", "robustbench/*/*", "")
"""The folders of what is made from rows; "" is the run's own folder."""


def files(folder: Path) -> list[Path]:
    """The files in a folder, sorted by name, without those of subfolders.

    Empty if there is no folder.
    """
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of interrupted writes. No other process may be writing."""
    for path in leftovers(directory, _WRITTEN):
        remove(path)
    image_store.remove_leftovers(directory)


def leftovers(directory: Path, folders: Iterable[str] = VIEWS) -> list[Path]:
    """The temporary files in some folders of a run. A process may be writing some of them.

    Args:
        directory: the run's folder.
        folders: patterns of the folders; by default, those without rows.

    Returns:
        The files.
    """
    found = []
    for pattern in folders:
        for folder in sorted(directory.glob(pattern)) if pattern else [directory]:
            for path in files(folder):
                leftover = _LEFTOVER.fullmatch(path.name)
                if leftover and _WRITTEN[pattern].fullmatch(leftover[1]):
                    found.append(path)
    return found


def remove_run(directory: Path, belonging: Belonging, manifest: Mapping[str, Any]) -> None:
    """Remove the rows, images, unfinished work, tables, figures and page of a run, and nothing
    else.

    Args:
        directory: the run's folder.
        belonging: the test for its parts.
        manifest: the run's manifest.
    """
    for kind in KINDS:
        for path in files(directory / kind):
            if _WRITTEN[kind].fullmatch(path.name) and _is_part(path, kind, belonging):
                remove(path)
    image_store.remove_images(directory, belonging.digest("examples"))
    remove_unfinished(directory, belonging)
    for name in {*listed(directory), *manifest.get("files", ())}:
        if not Path(name).is_absolute() and ".." not in Path(name).parts:
            remove(directory / name)
    remove(directory / LIST)


def _is_part(path: Path, kind: str, belonging: Belonging) -> bool:
    try:
        belonging.check(parts.read_footer(path).about, path, kind)
    except (Foreign, FileNotFoundError):
        return False
    except Damaged:  # it begins like a part
        return True
    return True


def unfinished(directory: Path) -> list[Path]:
    """The journals in a run's folder."""
    return [path for path in files(directory / UNFINISHED) if JOURNAL.fullmatch(path.name)]


def remove_unfinished(directory: Path, belonging: Belonging) -> None:
    """Remove the journals of a run, and damaged journals.

    Args:
        directory: the run's folder.
        belonging: the test for its parts.
    """
    ours = {belonging.digest(kind) for kind in KINDS}
    for path in unfinished(directory):
        if label(path).partition(" ")[0] in {*ours, ""}:
            remove(path)
    with suppress(OSError):  # the folder has other files
        (directory / UNFINISHED).rmdir()


def remove_journals(directory: Path, unit: str) -> None:
    """Remove the journals of a unit whose rows are written.

    Args:
        directory: the run's folder.
        unit: the unit of work.
    """
    name = re.compile(re.escape(short(unit)) + r"(-\d+)?(\.stage\d+)?@")
    for path in unfinished(directory):
        if name.match(path.name):
            remove(path)


def listed(directory: Path) -> set[str]:
    """The tables, figures and page that the run wrote, as paths in its folder.

    Empty if the list is missing or damaged.
    """
    try:
        return set(json.loads(bytes(read_sealed(directory / LIST, LIST))))
    except (FileNotFoundError, Damaged, Foreign, ValueError):
        return set()


def claim(directory: Path, known: Iterable[str], wanted: Iterable[Path]) -> list[str]:
    """Add files to the list of the run's files, before the run writes them.

    Args:
        directory: the run's folder. Files elsewhere are ignored.
        known: the manifest's copy of the list.
        wanted: the files that the run is about to write.

    Returns:
        The new list.

    Raises:
        InputError: if the run would replace a file that it did not write.
    """
    there = listed(directory)
    names = {
        path.relative_to(directory).as_posix() for path in wanted if path.is_relative_to(directory)
    }
    for name in sorted(names - there - {*known}):
        if os.path.lexists(directory / name):
            raise InputError(
                f"{str(directory / name)!r} was not written by this run; move it away, or give "
                "another --out"
            )
    everything = sorted({*there, *known, *names})
    if everything != sorted(there):
        write_sealed(directory / LIST, (json.dumps(everything, indent=1) + "\n").encode(), LIST)
    return everything
