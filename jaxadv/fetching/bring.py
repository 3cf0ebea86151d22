"""Brings a complete and verified archive, from its address or from a folder."""

import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from jaxadv.fetching import transfer
from jaxadv.fetching.addresses import Archive
from jaxadv.support.progress import Progress
from model_ports.errors import InputError

MB = 10**6


class Brought(NamedTuple):
    """A complete and verified file on this machine."""

    path: Path
    whence: str  # its address, or its original path
    sha256: str
    recorded: bool  # True if the hash is the one in `addresses`
    ours: bool  # True if we downloaded it, so that we may remove it

    def facts(self) -> dict:
        """The facts that fetched.json records."""
        return {
            "file": self.path.name.removesuffix(".part"),
            "from": self.whence,
            "bytes": transfer.length(self.path),
            "sha256": self.sha256,
            "sha256_is_recorded": self.recorded,
        }


def place(archive: Archive, kept: Path, source: str | None) -> str | Path:
    """Find where to get an archive.

    Args:
        archive: the archive.
        kept: the folder where an earlier call may have kept it.
        source: the address of a folder, a local folder, or None for the archive's own address.

    Returns:
        An address, or the path of a local file.

    Raises:
        InputError: if the local folder or the file does not exist.
    """
    if (kept / archive.name).is_file():
        return kept / archive.name
    if source is None:
        return archive.url
    if re.match(r"https?://", source):
        return f"{source.rstrip('/')}/{archive.name}"
    path = Path(source).expanduser() / archive.name
    if not path.is_file():
        raise InputError(
            f"--source is {source!r}, where there is no file {archive.name}; give the folder that "
            "has it, or an address that begins with https://"
        )
    return path


def part(archive: Archive, folder: Path) -> Path:
    """The path of a downloaded archive, complete or not, in a folder."""
    return folder / f"{archive.name}.part"


def bring(
    archive: Archive,
    folder: Path,
    kept: Path,
    *,
    title: str,
    source: str | None = None,
    accepted: Collection[str] = (),
    progress: bool = True,
) -> Brought:
    """Get an archive, and verify it.

    Args:
        archive: the archive, with its size and hash if known.
        folder: the folder for a download. A local file stays where it is.
        kept: see `place`.
        title: the title of the progress lines.
        source: see `place`.
        accepted: SHA-256 hashes that the user trusts in addition to the recorded one. If there are
            any, the recorded size is not checked.
        progress: True to show progress on standard error.

    Raises:
        InputError: if the size or the SHA-256 differs from the recorded one, or if the download
            fails; see `transfer.receive`.
    """
    where = place(archive, kept, source)
    size = None if accepted else archive.size
    if isinstance(where, Path):
        path = where
        if size not in (None, transfer.length(path)):
            raise InputError(
                f"{path} has {transfer.length(path)} bytes, {size} are recorded; copy it again, or "
                "give --sha256= with its SHA-256 if you know that it is right"
            )
    else:
        path = part(archive, folder)
        have = transfer.length(path)
        with _bar(f"download {title}", size or have, have, progress) as bar:
            transfer.receive(
                where,
                path,
                size=size,
                certain=archive.sha256 is not None or bool(accepted),
                report=lambda at, total: _advance(bar, at, total),
            )
    sha256 = _hash(path, title, progress)
    if sha256 not in accepted and archive.sha256 not in (None, sha256):
        raise InputError(
            f"{where} has SHA-256 {sha256}, {archive.sha256} is recorded, by one source; nothing "
            f"was unpacked: remove {os.fspath(path)!r} to fetch it again, or give "
            f"--sha256={sha256} if you know that it is right"
        )
    if accepted and archive.sha256 is None and sha256 not in accepted:
        raise InputError(
            f"{where} has SHA-256 {sha256}, --sha256 is {','.join(sorted(accepted))}; nothing was "
            f"unpacked: remove {os.fspath(path)!r} to fetch it again, or give the right --sha256"
        )
    return Brought(path, str(where), sha256, sha256 == archive.sha256, not isinstance(where, Path))


def done(archive: Archive, folder: Path, keep: Path | None) -> None:
    """Remove a downloaded archive that is not needed any more, or move it to a folder.

    Args:
        archive: the archive.
        folder: the folder of the download.
        keep: the folder to move it to; None to remove it.

    Raises:
        InputError: if a file cannot be moved or removed.
    """
    path = part(archive, folder)
    try:
        if keep is not None and path.exists():
            keep.mkdir(parents=True, exist_ok=True)
            os.replace(path, keep / archive.name)
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".tag").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot move {os.fspath(path)!r} to {os.fspath(keep or '')!r} "
            f"({error.strerror or error}); make room, and give the same command again"
        ) from None


def _hash(path: Path, title: str, progress: bool) -> str:
    digest = hashlib.sha256()
    at = 0
    try:
        with (
            open(path, "rb") as file,
            _bar(f"check {title}", transfer.length(path), 0, progress) as bar,
        ):
            while block := file.read(2**22):
                digest.update(block)
                at += len(block)
                _advance(bar, at, None)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); give one that can"
        ) from None
    return digest.hexdigest()


def _bar(title: str, total: int, have: int, progress: bool) -> Progress:
    return Progress(title, total // MB, "MB", show=progress, done=have // MB)


def _advance(bar: Progress, at: int, total: int | None) -> None:
    if total is not None:
        bar.total = total // MB
    bar.before = min(bar.before, at // MB)  # a server that ignores Range starts from 0 again
    bar.advance(at // MB - bar.count)
