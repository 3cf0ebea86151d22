"""Fetches the study's networks and pictures, from the two archives that its authors publish.

The same call again does what is missing. Weights come first. Each archive is removed when
everything that is needed from it is unpacked.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxadv.fetching import bring, networks, pictures, transfer
from jaxadv.fetching.addresses import GRAPHS, PICTURES, STUDY
from jaxadv.fetching.folder import Folder
from jaxadv.fetching.record import Record, now
from jaxadv.support.files import write_atomically
from model_ports import checkpoint
from model_ports.errors import InputError, unknown

PARTS = ("weights", "pictures")
WANTED = "wanted"
BLOCK = 2**12
"""The block size of a usual file system, in bytes. Each picture wastes half a block on average."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to fetch, where to put it, and where it comes from."""

    to: Path
    """The folder to fill."""
    only: str | None = None
    """One of PARTS; None for both."""
    models: tuple[str, ...] = tuple(GRAPHS)
    """The networks to fetch."""
    source: str | None = None
    """A folder with the archives, local or at https://; None for their own addresses."""
    accepted: frozenset[str] = frozenset()
    """SHA-256 hashes that the user trusts in addition to the recorded ones."""
    keep_archives: bool = False
    """True to keep the archives in DIR/archives."""
    keep_graphs: bool = False
    """True to keep the frozen graphs in DIR/graphs."""
    progress: bool = True
    """True to show progress on standard error."""

    def check(self) -> None:
        """Check the values.

        Raises:
            InputError: for an impossible value.
        """
        if self.only not in (None, *PARTS):
            raise unknown("part of the study", self.only, PARTS)
        for name in self.models:
            if name not in GRAPHS:
                raise unknown("model", name, GRAPHS)
        for value in self.accepted:
            if len(value) != 64 or set(value) - set("0123456789abcdef"):
                raise InputError(
                    f"--sha256 has {value!r}; 64 hexadecimal digits are needed, several hashes "
                    "separated by commas"
                )


@dataclass(frozen=True)
class Plan:
    """What is missing, and how much a download and the disk take."""

    networks: tuple[str, ...]
    """The missing networks."""
    pictures: bool
    """True if pictures are missing."""
    download: int
    """Bytes to download."""
    most: int
    """The most additional bytes on disk at any time."""
    last: int
    """The additional bytes on disk at the end."""

    def text(self, order: Order) -> str:
        """One line for the user."""
        if not self.networks and not self.pictures:
            return f"{order.to}: nothing is missing"
        what = [f"{len(self.networks)} networks"] if self.networks else []
        what += [f"{PICTURES:,} pictures"] if self.pictures else []
        return (
            f"{order.to}: {' and '.join(what)} are missing; {_gb(self.download)} to download, "
            f"{_gb(self.most)} more of the disk at a time, {_gb(self.last)} in the end, "
            f"{_gb(_free(order.to))} are free"
        )


def plan(order: Order) -> Plan:
    """Plan an order. This needs no connection.

    Raises:
        InputError: if the order has an impossible value, or if other files are in the way.
    """
    order.check()
    folder = Folder(order.to)
    todo = [
        name for name in order.models if order.only != "pictures" and _lacks(order, folder, name)
    ]
    unpack = order.only != "weights" and not folder.has_pictures(_hashes(order, "pictures"))
    graphs = [4 * GRAPHS[name].parameters for name in todo]
    most = last = download = 0
    if todo:
        download, most, last = _phase(
            order, folder, "weights", stay=sum(graphs), beside=max(graphs)
        )
        last += sum(graphs) * order.keep_graphs
    if unpack:
        size = (STUDY["pictures"].size or 0) + PICTURES * BLOCK // 2
        more, needed, kept = _phase(order, folder, "pictures", stay=size, beside=0)
        download += more
        most = max(most, last + needed)
        last += kept
    return Plan(tuple(todo), unpack, download, most, last)


def fetch(
    order: Order,
    *,
    made: Callable[[str, dict[str, Any]], None] = lambda name, meta: None,
    say: Callable[[str], None] = lambda line: None,
) -> Plan:
    """Fetch what is missing.

    Args:
        order: what to fetch.
        made: called after each network, with its name and the metadata of its checkpoint.
        say: called with the plan's line before anything is written.

    Returns:
        The plan: what was missing.

    Raises:
        InputError: for a bad order, a full disk, a failed download, or a wrong file. Finished work
            stays, and the same call continues.
    """
    missing = plan(order)
    say(missing.text(order))
    if missing.most > _free(order.to):
        raise InputError(
            f"{_gb(missing.most)} of the disk are needed for {order.to}, {_gb(_free(order.to))} "
            "are free; free some, or give another --to"
        )
    folder = Folder(order.to)
    if not missing.networks and not missing.pictures and not folder.work.exists():
        return missing
    with folder.opened():
        record = Record(order.to)
        _complete(record, order, folder, missing)
        if missing.networks:
            _want(folder, order.models)
            _weights(order, folder, record, missing.networks, made)
        if order.only != "pictures":
            _tidy_weights(order, folder)
        if missing.pictures:
            _pictures(order, folder, record)
        if order.only != "weights":
            bring.done(STUDY["pictures"], folder.work, _keep(order, folder))
    return missing


def _complete(record: Record, order: Order, folder: Folder, missing: Plan) -> None:
    """Record work that an earlier call had finished, but not recorded, when it was killed."""
    for name in set(order.models) - set(missing.networks) - set(record.content["networks"]):
        if (folder.weights / name).exists():
            record.add_network(name, checkpoint.read_meta(folder.weights / name))
    if order.only != "weights" and not missing.pictures and not record.content["pictures"]:
        mark = folder.mark() or {}
        facts = {"count": mark["pictures"], "archive": mark["sha256"], "at": now()}
        record.add("pictures", facts)


def _want(folder: Folder, names: Iterable[str]) -> None:
    """Record which networks need the archive, so that a smaller order does not remove it."""
    wanted = {*names, *_wanted(folder)}
    write_atomically(folder.work / WANTED, "\n".join(sorted(wanted)).encode())


def _wanted(folder: Folder) -> list[str]:
    path = folder.work / WANTED
    return path.read_text(errors="replace").split() if path.exists() else []


def _tidy_weights(order: Order, folder: Folder) -> None:
    """Remove the archive, or keep it aside, if no network needs it any more.

    This also happens if an earlier call was killed before it could do so.
    """
    if all((folder.weights / name).exists() for name in {*_wanted(folder), *order.models}):
        bring.done(STUDY["weights"], folder.work, _keep(order, folder))
        (folder.work / WANTED).unlink(missing_ok=True)


def _keep(order: Order, folder: Folder) -> Path | None:
    return folder.archives if order.keep_archives else None


def _weights(order: Order, folder: Folder, record: Record, names, made) -> None:
    brought = _bring(order, folder, "weights")
    record.add("archives", {"weights": brought.facts() | {"at": now()}})

    def note(name: str, meta: dict[str, Any]) -> None:
        record.add_network(name, meta)
        made(name, meta)

    networks.from_archive(
        brought,
        folder,
        names,
        keep_graphs=order.keep_graphs,
        progress=order.progress,
        made=note,
    )


def _pictures(order: Order, folder: Folder, record: Record) -> None:
    brought = _bring(order, folder, "pictures")
    record.add("archives", {"pictures": brought.facts() | {"at": now()}})
    count = pictures.from_archive(brought, folder, progress=order.progress)
    record.add("pictures", {"count": count, "archive": brought.sha256, "at": now()})


def _bring(order: Order, folder: Folder, name: str) -> bring.Brought:
    return bring.bring(
        STUDY[name],
        folder.work,
        folder.archives,
        title=name,
        source=order.source,
        accepted=order.accepted,
        progress=order.progress,
    )


def _hashes(order: Order, name: str) -> set[str]:
    return {sha256 for sha256 in (STUDY[name].sha256, *order.accepted) if sha256}


def _lacks(order: Order, folder: Folder, name: str) -> bool:
    if not folder.has_network(name, _hashes(order, "weights")):
        return True
    return order.keep_graphs and not (folder.graphs / GRAPHS[name].member).is_file()


def _phase(
    order: Order, folder: Folder, name: str, *, stay: int, beside: int
) -> tuple[int, int, int]:
    """For one archive: bytes to download, most bytes on disk, and bytes on disk at the end."""
    archive = STUDY[name]
    if isinstance(bring.place(archive, folder.archives, order.source), Path):
        return 0, stay + beside, stay
    here = transfer.length(bring.part(archive, folder.work))
    missing = max(0, (archive.size or 0) - here)
    return missing, missing + stay + beside, stay + (missing if order.keep_archives else -here)


def _free(to: Path) -> int:
    """The free bytes on the disk where a folder is or will be."""
    place = Path(os.path.abspath(to))
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
