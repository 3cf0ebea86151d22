"""A gzipped tar archive, member after member, in memory that no archive can make large.

Python's tarfile keeps an object for each member, and reads a header of any length whole. Here a
member is forgotten when the next one comes, and long names, numbers of members and unpacked bytes
have limits. Formats: ustar, GNU and pax (POSIX.1-2001), without sparse files.
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
HEADER, HEADERS = 2**16, 8
"""Bytes that a long name or a pax header may have, and how many may stand before a member."""
MEMBERS = 200_000
RATIO, LEAST = 8, 2**33
"""An archive may unpack to so many times its size, or to LEAST bytes if these are more."""

_UNIT = tarfile.BLOCKSIZE
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_BODYLESS = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
_BODYLESS += (tarfile.DIRTYPE, tarfile.FIFOTYPE)
_RECORD = re.compile(rb"(\d{1,8}) ([^=]+)=")


class Member(NamedTuple):
    """A file, or something else, in an archive. Its content can be read until the next one comes."""

    name: str  # without folders
    path: str  # as the archive has it
    size: int  # bytes of its content
    is_file: bool  # neither a folder, nor a link, nor a device
    blocks: Callable[[], Iterator[bytes]]  # its content


def members(
    archive: Path, *, report: Callable[[int], None] = lambda count: None
) -> Iterator[Member]:
    """The members of an archive in its order.

    Args:
        archive: a .tar.gz.
        report: called with the bytes of the archive that are through.

    Raises:
        InputError: it is damaged, cut short, made to exhaust memory or disk, has a sparse file, or
            has a member outside its folder.
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
            while stream.read(BLOCK):  # what follows the end: its checksum is checked, too
                if stream.tell() > limit:
                    raise _bad(archive, f"unpacks to more than {limit} bytes")
            report(size)


@contextlib.contextmanager
def _readable(archive: Path) -> Iterator[None]:
    """Turn what damage raises into one line."""
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
    given: dict[str, str] = {}  # what headers before a member say of it
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
        given, headers = {}, 0
        body = _Body(archive, stream, size)
        yield Member(PurePosixPath(path).name, path, size, info.isreg(), body.blocks)
        _skip(stream, body.left + -size % _UNIT)


class _Body:
    """The content of one member: `left` bytes of it have not been read."""

    def __init__(self, archive: Path, stream: IO[bytes], size: int):
        self.archive, self.stream, self.left = archive, stream, size

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
    """Records "LENGTH KEY=VALUE\\n", LENGTH of the whole record."""
    found, at = {}, 0
    while at < len(text) and text[at]:
        match = _RECORD.match(text, at)
        length = int(match[1]) if match else 0
        if not match or at + length > len(text) or length <= match.end() - at:
            raise _damaged(archive, "a pax header has no records")
        key = match[2].decode("utf-8", "surrogateescape")
        found[key] = text[match.end() : at + length - 1].decode("utf-8", "surrogateescape")
        at += length
    return found


def _size(archive: Path, given: str | None, size: int) -> int:
    if given is None:
        return size
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise _damaged(archive, f"a member of {given[:40]!r} bytes")
    return int(given)
