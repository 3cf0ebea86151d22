"""The folder that fetch fills, and what it already has.

    DIR/weights/NAME/     The checkpoint of a network. Its meta.json names its archive.
    DIR/pictures/         The pictures under the study's names, and .fetched.json.
    DIR/fetched.json      What was fetched, from where, with which hashes, and when.
    DIR/archives/         The archives, with --keep_archives.
    DIR/graphs/           The frozen graphs, with --keep_graphs.
    DIR/.fetch/           Downloads and work in progress. It is removed at the end.

A checkpoint, and the folder of pictures, appear when they are complete. Their origin is recorded
inside them. An interruption at any moment therefore leaves nothing ambiguous.
"""

import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from jaxadv.fetching.record import NAME
from jaxadv.support import files, log
from model_ports import checkpoint
from model_ports.errors import InputError

MARK = ".fetched.json"
SCRATCH = ("graph", "source", "checkpoint")
"""Folders of work in progress. A later call does not continue this work."""
PICTURE = re.compile(r"([1-9]\d{0,3})\.(\d{8})\.jpe?g", re.IGNORECASE)
"""The study's names: the label 1..1000, and the number of the validation image."""


class Folder:
    """The paths in the folder, and what is complete."""

    def __init__(self, to: Path):
        self.to = to
        self.weights = to / "weights"
        self.pictures = to / "pictures"
        self.archives = to / "archives"
        self.graphs = to / "graphs"
        self.work = to / ".fetch"

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, and lock it within a ``with`` block.

        Work in progress is removed at the beginning and at the end.

        Raises:
            InputError: if it cannot be made, or if another process uses it.
        """
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise files.cannot_write(self.work, error) from None

        def busy(owner: str) -> InputError:
            return InputError(f"{self.to} is in use by {owner}; wait for it, or give another --to")

        handle = files.locked(self.work / "lock", busy)
        try:
            self._clear()
            yield
        finally:
            self._clear()
            if [path.name for path in self.work.iterdir()] == ["lock"]:
                (self.work / "lock").unlink()
                self.work.rmdir()
            os.close(handle)

    def _clear(self) -> None:
        for name in SCRATCH:
            shutil.rmtree(self.work / name, ignore_errors=True)
        for path in (*self.to.glob(f".{NAME}.*.tmp"), *self.work.glob(".*.tmp")):
            path.unlink()  # half-written files

    def scratch(self, name: str) -> Path:
        """Make an empty folder for work in progress.

        Args:
            name: one of `SCRATCH`.

        Raises:
            InputError: if it cannot be made.
        """
        path = self.work / name
        try:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        except OSError as error:
            raise files.cannot_write(path, error) from None
        return path

    def has_network(self, name: str, hashes: Collection[str], whence: str | None = None) -> bool:
        """True if the folder has a network's weights from an acceptable archive.

        Args:
            name: the network.
            hashes: the SHA-256 hashes of acceptable archives.
            whence: the acceptable address if no hash is known.

        Raises:
            InputError: if the folder has other weights of that name.
        """
        path = self.weights / name
        if not path.exists():
            return False
        meta = checkpoint.read_meta(path)
        archive = meta.get("archive")
        archive = archive if isinstance(archive, dict) else {}
        if archive.get("sha256") in hashes or (
            whence is not None and archive.get("from") == whence
        ):
            return True
        raise InputError(
            f"{path} is there already, from {meta.get('source', 'another file')}; remove it, or "
            "give another --to"
        )

    def has_pictures(self, hashes: Collection[str]) -> bool:
        """True if the folder has all pictures from an acceptable archive.

        Args:
            hashes: the SHA-256 hashes of acceptable archives.

        Raises:
            InputError: if the folder has pictures from elsewhere.
        """
        if not self.pictures.exists():
            return False
        mark = self.mark()
        if mark is None:
            path = str(self.pictures / MARK)
            log.warn(f"{path!r} is damaged; the pictures are compared with the archive again")
            return False
        if mark.get("sha256") not in hashes:
            raise InputError(
                f"{self.pictures} is there already, and not from this archive; remove it, or give "
                "another --to"
            )
        return count_pictures(self.pictures) >= mark["pictures"]

    def mark(self) -> dict[str, Any] | None:
        """The record in DIR/pictures.

        Returns:
            "sha256" of the archive and the number of "pictures". Empty without a record, and None
            for a damaged one.
        """
        try:
            mark = json.loads((self.pictures / MARK).read_text())
            known = marked(str(mark["sha256"]), int(mark["pictures"]))
            return known if mark.get("checksum", known["checksum"]) == known["checksum"] else None
        except OSError:
            return {}
        except files.UNREADABLE:
            return None


def marked(sha256: str, pictures: int) -> dict[str, Any]:
    """A mark, with a checksum of its own. sha256: of the archive. pictures: how many there are."""
    return {
        "sha256": sha256,
        "pictures": pictures,
        "checksum": zlib.crc32(f"{sha256} {pictures}".encode()),
    }


def count_pictures(folder: Path) -> int:
    """The number of files in a folder that have one of the study's names."""
    return sum(bool(PICTURE.fullmatch(entry.name)) for entry in os.scandir(folder))
