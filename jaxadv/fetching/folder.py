"""The folder that fetch fills, and what is there already.

    DIR/weights/NAME/     a checkpoint a network; its meta.json says from which archive it is
    DIR/pictures/         the pictures under the study's names, and .fetched.json
    DIR/fetched.json      what was brought, from where, with which hashes, and when
    DIR/archives/         with --keep_archives
    DIR/graphs/           with --keep_graphs
    DIR/.fetch/           downloads and work in progress; removed in the end

Checkpoints and pictures appear when they are whole. What says where they are from lies inside
them, so that an interruption at any moment leaves nothing that could be mistaken.
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
"""Folders of work in progress, which nobody goes on with."""
PICTURE = re.compile(r"([1-9]\d{0,3})\.(\d{8})\.jpe?g", re.IGNORECASE)
"""The study's names: the label 1..1000 and the number of the validation image."""


class Folder:
    """The paths in it, and what is whole."""

    def __init__(self, to: Path):
        self.to = to
        self.weights, self.pictures = to / "weights", to / "pictures"
        self.archives, self.graphs = to / "archives", to / "graphs"
        self.work = to / ".fetch"

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder and lock it. Work in progress goes, at the begin and in the end.

        Raises:
            InputError: it cannot be made, or another process is at work in it.
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
            path.unlink()  # files that were being written

    def scratch(self, name: str) -> Path:
        """An empty folder for work in progress, one of SCRATCH."""
        path = self.work / name
        try:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        except OSError as error:
            raise files.cannot_write(path, error) from None
        return path

    def has_network(self, name: str, hashes: Collection[str], whence: str | None = None) -> bool:
        """Whether a network's weights are here, from an archive of one of these hashes.

        Args:
            name: of the network.
            hashes: SHA-256 of the archives that would do.
            whence: the address that would do where no hash is known.

        Raises:
            InputError: something else is there.
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
            f"{path} is there already, from {meta.get('source', 'another file')}; remove it, or give "
            "another --to"
        )

    def has_pictures(self, hashes: Collection[str]) -> bool:
        """Whether the pictures of an archive of one of these hashes are here, all of them.

        Raises:
            InputError: something else is there.
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
        """What DIR/pictures says of itself: "sha256" of the archive, number of "pictures".

        Returns:
            That; empty where it says nothing, and None where what it says is damaged.
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
    """Files with the study's names in a folder."""
    return sum(bool(PICTURE.fullmatch(entry.name)) for entry in os.scandir(folder))
