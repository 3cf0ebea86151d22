"""Fetches one network from its own address: an archive with a checkpoint, or a frozen graph."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from jaxadv.fetching import bring, tarball
from jaxadv.fetching.addresses import GRAPHS, SINGLE
from jaxadv.fetching.folder import Folder
from jaxadv.fetching.networks import SLACK, checkpoint_of, extract
from jaxadv.fetching.record import Record, now
from jaxadv.fetching.study import Order
from model_ports.errors import InputError, unknown

_CHECKPOINT = re.compile(r"([\w.-]+\.ckpt)(?:-\d+)?(\.index|\.data-\d{5}-of-\d{5})?")


def fetch(name: str, order: Order) -> dict[str, Any] | None:
    """Bring one network into DIR/weights/NAME.

    Args:
        name: the network.
        order: where to put it, where it comes from, and what to keep.

    Returns:
        The metadata of the checkpoint; None if the network is there already.

    Raises:
        InputError: if no address is known, if the download fails, or if it is another network.
    """
    order.check()
    if name not in GRAPHS:
        raise unknown("network", name, ["study", "rerun", *GRAPHS])
    if name not in SINGLE:
        raise InputError(
            f"no address of {name} alone is known; the study's archive has it: "
            f"fetch study --only=weights --models={name}"
        )
    archive = SINGLE[name]
    folder = Folder(order.to)
    whence = str(bring.place(archive, folder.archives, order.source))
    hashes = {*order.accepted, *([archive.sha256] if archive.sha256 else [])}
    is_there = folder.has_network(name, hashes, None if hashes else whence)
    if is_there and not folder.work.exists():
        return None
    with folder.opened():
        if is_there:  # an earlier call was killed before it removed its download
            bring.done(archive, folder.work, folder.archives if order.keep_archives else None)
            return None
        brought = bring.bring(
            archive,
            folder.work,
            folder.archives,
            title=name,
            source=order.source,
            accepted=order.accepted,
            progress=order.progress,
        )
        meta = _convert(name, brought, folder)
        record = Record(order.to)
        record.add("archives", {name: brought.facts() | {"at": now()}})
        record.add_network(name, meta)
        bring.done(archive, folder.work, folder.archives if order.keep_archives else None)
    return meta


def _convert(name: str, brought: bring.Brought, folder: Folder) -> dict[str, Any]:
    inside = folder.scratch("source")
    file = brought.path.name.removesuffix(".part")
    if file.endswith((".tar.gz", ".tgz")):
        source = unpack(brought.path, inside, limit=16 * GRAPHS[name].parameters + SLACK)
    elif brought.ours:
        source = inside / file  # the format is known by this name
        try:
            os.link(brought.path, source)
        except OSError:  # the file system has no links
            shutil.copyfile(brought.path, source)
    else:
        source = brought.path
    meta = checkpoint_of(name, source, folder, brought.facts())
    shutil.rmtree(inside)
    return meta


def unpack(archive: Path, folder: Path, *, limit: int) -> Path:
    """Unpack the only checkpoint of an archive. Other members are ignored.

    Args:
        archive: a .tar.gz file.
        folder: an empty folder.
        limit: the largest allowed size of a file, in bytes.

    Returns:
        The checkpoint's prefix, or its only file (version 1), for `sources.find`.

    Raises:
        InputError: if the archive is damaged, or if it does not have exactly one checkpoint.
    """
    prefixes = set()
    for member in tarball.members(archive):
        match = _CHECKPOINT.fullmatch(member.name)
        if match and member.is_file:
            if (folder / member.name).exists():
                raise InputError(f"{archive} has {member.name} twice; give another archive")
            extract(member, folder, limit=limit)
            prefixes.add(member.name.removesuffix(match[2] or ""))
    if len(prefixes) != 1:
        raise InputError(
            f"{archive} has {len(prefixes)} checkpoints, one is needed; unpack it yourself and "
            "convert the right one"
        )
    return folder / prefixes.pop()
