"""One network from its own address: an archive with its checkpoint, or a frozen graph."""

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
        name: of the network.
        order: where to, where from, and what is kept.

    Returns:
        What the checkpoint says of itself; None if it is there already.

    Raises:
        InputError: no address is known, or what arrives is not this network's.
    """
    order.check()
    if name not in GRAPHS:
        raise unknown("network", name, ["study", "rerun", *GRAPHS])
    if name not in SINGLE:
        raise InputError(
            f"no address of {name} alone is known; the study's archive has it: "
            f"fetch study --only=weights --models={name}"
        )
    archive, folder = SINGLE[name], Folder(order.to)
    whence = str(bring.place(archive, folder.archives, order.source))
    hashes = {*order.accepted, *([archive.sha256] if archive.sha256 else [])}
    is_there = folder.has_network(name, hashes, None if hashes else whence)
    if is_there and not folder.work.exists():
        return None
    with folder.opened():
        if is_there:  # and was, when a call was killed that had not tidied up
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
        source = inside / file  # under its own name, by which its format is known
        try:
            os.link(brought.path, source)
        except OSError:  # a file system without links
            shutil.copyfile(brought.path, source)
    else:
        source = brought.path
    meta = checkpoint_of(name, source, folder, brought.facts())
    shutil.rmtree(inside)
    return meta


def unpack(archive: Path, folder: Path, *, limit: int) -> Path:
    """Write the files of the one checkpoint in an archive; other members are passed over.

    Args:
        archive: a .tar.gz.
        folder: an empty one.
        limit: bytes that one of its files may have.

    Returns:
        The checkpoint's prefix, or its one file (version 1), as `sources.find` reads it.

    Raises:
        InputError: the archive is damaged, or has no checkpoint, or several.
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
