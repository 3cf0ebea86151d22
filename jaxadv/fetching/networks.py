"""Converts networks from the study's archive of frozen graphs, one after another."""

import gc
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from jaxadv import __version__
from jaxadv.fetching import tarball
from jaxadv.fetching.addresses import GRAPHS
from jaxadv.fetching.bring import MB, Brought
from jaxadv.fetching.folder import Folder
from jaxadv.support import files
from jaxadv.support.progress import Progress
from model_ports import checkpoint
from model_ports.errors import InputError

SLACK = 2**24
"""The bytes that a graph may have beyond 16 per parameter, for its nodes and double precision."""

Made = Callable[[str, dict[str, Any]], None]
"""Called with the name of a converted network, and the metadata of its checkpoint."""


def from_archive(
    brought: Brought,
    folder: Folder,
    names: Collection[str],
    *,
    keep_graphs: bool,
    progress: bool,
    made: Made,
) -> None:
    """Convert networks from the study's archive. Other members are ignored.

    At any time, at most one graph is on disk and one network in memory.

    Args:
        brought: the verified archive.
        folder: the folder for the checkpoints.
        names: the networks.
        keep_graphs: True to keep each frozen graph in DIR/graphs.
        progress: True to show progress on standard error.
        made: called after each network.

    Raises:
        InputError: if a network is missing from the archive or in it twice, or if its graph does
            not fit. Networks that are already converted stay.
    """
    wanted = {GRAPHS[name].member: name for name in names}
    seen: set[str] = set()
    total = brought.path.stat().st_size // MB
    with Progress("unpack and convert weights", total, "MB", show=progress) as bar:
        for member in tarball.members(
            brought.path, report=lambda at: bar.advance(at // MB - bar.count)
        ):
            name = wanted.get(member.name)
            if name is None:
                continue
            if member.name in seen:
                raise InputError(
                    f"{brought.path} has {member.name} twice; it is not known which one is right: "
                    "give another archive"
                )
            seen.add(member.name)
            graph = extract(member, folder.scratch("graph"), limit=_limit(name))
            _check_graph(graph, brought, name)
            made(name, checkpoint_of(name, graph, folder, brought.facts()))
            if keep_graphs:
                _keep(graph, folder.graphs)
            shutil.rmtree(graph.parent)
            gc.collect()  # a network's arrays are in cycles; the next one needs their memory
    missing = [member for member in wanted if member not in seen]
    if missing:
        raise InputError(
            f"{brought.path} lacks {', '.join(missing)}; {len(seen)} of {len(wanted)} networks are "
            f"in {folder.weights}: give an archive that has them, or --models without them"
        )


def extract(member: tarball.Member, folder: Path, *, limit: int) -> Path:
    """Write the content of a member to a file with the member's bare name.

    Args:
        member: the member of an archive.
        folder: the folder for the file.
        limit: the largest allowed size, in bytes.

    Returns:
        The path of the file.

    Raises:
        InputError: if the member is not a file or is too large, or if the disk is full.
    """
    path = folder / member.name
    if not member.is_file:
        raise InputError(f"{member.path} is a link or a folder in the archive; a file is needed")
    if member.size > limit:
        raise InputError(
            f"{member.path} has {member.size} bytes in the archive, more than the {limit} that "
            "this network can use; give another archive"
        )
    try:
        with open(path, "xb") as file:
            for block in member.blocks():
                file.write(block)
    except OSError as error:
        raise files.cannot_write(path, error) from None
    return path


def checkpoint_of(
    name: str, source: Path, folder: Folder, archive: Mapping[str, Any]
) -> dict[str, Any]:
    """Convert a file into DIR/weights/NAME, which appears when it is complete.

    Args:
        name: the network.
        source: a file that `model_ports.convert.sources` can read.
        folder: the folder for the checkpoint.
        archive: facts about the origin, which the checkpoint records.

    Returns:
        The metadata of the checkpoint.

    Raises:
        InputError: if the file does not fit the network, or if the disk is full.
    """
    from model_ports import registry
    from model_ports.convert import conversion

    scratch = folder.scratch("checkpoint")
    final = folder.weights / name
    network = registry.network(name, zoo="imagenet")
    facts = {"archive": dict(archive)}
    conversion.convert(network, source, scratch, version=__version__, facts=facts)
    meta = checkpoint.read_meta(scratch / name)
    try:
        folder.weights.mkdir(parents=True, exist_ok=True)
        if final.exists():
            os.replace(final, scratch / "old")
        os.replace(scratch / name, final)
        files.sync_folder(folder.weights)
    except OSError as error:
        raise files.cannot_write(final, error) from None
    shutil.rmtree(scratch)
    return meta


def _limit(name: str) -> int:
    return 16 * GRAPHS[name].parameters + SLACK


def _check_graph(graph: Path, brought: Brought, name: str) -> None:
    """Check a graph's hash, if it is known and the archive is the recorded one."""
    recorded = GRAPHS[name].sha256
    if recorded is None or not brought.recorded:
        return
    with open(graph, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != recorded:
        raise InputError(
            f"{graph.name} in {brought.path} has SHA-256 {actual}, {recorded} is recorded; give "
            "another archive"
        )


def _keep(graph: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.replace(graph, folder / graph.name)
    except OSError as error:
        raise files.cannot_write(folder / graph.name, error) from None
