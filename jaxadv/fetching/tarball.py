"""Reads a gzipped tar archive, member after member, within limited memory.

Python's tarfile keeps an object for each member, and reads headers of any length. Here a member is
forgotten when the next one comes. The length of names, the number of members and the number of
unpacked bytes are limited. Formats: ustar, GNU and pax (POSIX.1-2001), without sparse files.
"""

import contextlib
import gzip
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from model_ports.errors import InputError

BLOCK = 2**20
HEADER = 2**16
"""The largest long name or pax header, in bytes."""
HEADERS = 8
"""The largest number of headers before a member."""
MEMBERS = 200_000
RATIO = 8
LEAST = 2**33
"""An archive may unpack to `RATIO` times its size, or to `LEAST` bytes if that is more."""

_UNIT = tarfile.BLOCKSIZE
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_BODYLESS = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
_BODYLESS += (tarfile.DIRTYPE, tarfile.FIFOTYPE)
_RECORD = re.compile(rb"(\d{1,8}) ([^=]+)=")


class Member(NamedTuple):
    """A file or another entry of an archive. Its content can be read until the next one comes."""

    name: str  # without folders
    path: str  # its full path in the archive
    size: int  # bytes of its content
    is_file: bool  # neither a folder, nor a link, nor a device
    blocks: Callable[[], Iterator[bytes]]  # reads its content


def members(
    archive: Path, *, report: Callable[[int], None] = lambda count: None
) -> Iterator[Member]:
    """Read the members of an archive in order.

    Args:
        archive: a .tar.gz file.
        report: called with the number of bytes of the archive that have been read.

    Raises:
        InputError: if the archive is damaged or cut short, exceeds a limit, has a sparse file, or
            has a member whose path leads outside of its folder.
    """
    size = archive.stat().st_size
    limit = max(RATIO * size, LEAST)
    with _readable(archive):
        with open(archive, "rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
            for count, member in enumerate(_read(archive, cast(IO[bytes], stream))):
                parts = PurePosixPath(member.path)
                if parts.is_absolute() or ".." in parts.parts:
                    raise _bad(archive, f"has a member {member.path[:80]!r} outside its folder")
                if count >= MEMBERS:
                    raise _bad(archive, f"has more than {MEMBERS} members")
                if stream.tell() + member.size > limit:
                    raise _bad(archive, f"unpacks to more than {limit} bytes")
                yield member
                report(min(raw.tell(), size))
            while stream.read(BLOCK):  # read to the end, so that gzip's checksum is verified
                if stream.tell() > limit:
                    raise _bad(archive, f"unpacks to more than {limit} bytes")
            report(size)


@contextlib.contextmanager
def _readable(archive: Path) -> Iterator[None]:
    """Turn the exceptions of a damaged archive into one line."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(archive, error) from None
    except OSError as error:
        raise InputError(
            f"{archive} cannot be read ({error.strerror or error}); give one that can"
        ) from None


def _bad(archive: Path, what: str) -> InputError:
    return InputError(f"{archive} {what}; it is not the archive that it should be: give another")


def _damaged(archive: Path, reason) -> InputError:
    return InputError(
        f"{archive} is damaged or cut short ({reason}); remove it and give the same command again"
    )


def _read(archive: Path, stream: IO[bytes]) -> Iterator[Member]:
    given: dict[str, str] = {}  # values from the headers before a member
    headers = 0
    while True:
        head = stream.read(_UNIT)
        if not head or head == bytes(_UNIT):
            return
        info = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        if info.size < 0:
            raise _damaged(archive, f"{info.name[:80]!r} has {info.size} bytes")
        if info.type in _LONG or info.type in _PAX:
            if info.size > HEADER:
                raise _bad(archive, f"has a header of {info.size} bytes, more than {HEADER}")
            headers += 1
            if headers > HEADERS:
                raise _bad(archive, f"has more than {HEADERS} headers before a member")
            text = _exactly(stream, info.size)
            _skip(stream, -info.size % _UNIT)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                given["path"] = text.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            elif info.type in _PAX and info.type != tarfile.XGLTYPE:
                given |= _pax(archive, text)
            continue
        if info.type == tarfile.GNUTYPE_SPARSE or any("sparse" in key for key in given):
            raise _bad(archive, f"has a sparse file {info.name[:80]!r}")
        path = given.get("path", info.name)
        size = 0 if info.type in _BODYLESS else _size(archive, given.get("size"), info.size)
        given = {}
        headers = 0
        body = _Body(archive, stream, size)
        yield Member(PurePosixPath(path).name, path, size, info.isreg(), body.blocks)
        _skip(stream, body.left + -size % _UNIT)


class _Body:
    """The content of one member, of which ``left`` bytes have not been read."""

    def __init__(self, archive: Path, stream: IO[bytes], size: int):
        self.archive = archive
        self.stream = stream
        self.left = size

    def blocks(self) -> Iterator[bytes]:
        while self.left:
            with _readable(self.archive):
                block = _exactly(self.stream, min(self.left, BLOCK))
            self.left -= len(block)
            yield block


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError("it ends within a member")
    return data


def _skip(stream: IO[bytes], count: int) -> None:
    while count:
        count -= len(_exactly(stream, min(count, BLOCK)))


def _pax(archive: Path, text: bytes) -> dict[str, str]:
    """Parse records "LENGTH KEY=VALUE\\n", where LENGTH counts the whole record."""
    records: dict[str, str] = {}
    at = 0
    while at < len(text) and text[at]:
        match = _RECORD.match(text, at)
        length = int(match[1]) if match else 0
        if not match or at + length > len(text) or length <= match.end() - at:
            raise _damaged(archive, "a pax header has no records")
        key = match[2].decode("utf-8", "surrogateescape")
        records[key] = text[match.end() : at + length - 1].decode("utf-8", "surrogateescape")
        at += length
    return records


def _size(archive: Path, given: str | None, size: int) -> int:
    if given is None:
        return size
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise _damaged(archive, f"a member of {given[:40]!r} bytes")
    return int(given)
