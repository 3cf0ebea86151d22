"""Downloads one file over https. A download continues after an interruption.

A part file holds what has arrived. It grows at its end, so that a killed process loses nothing. A
server that supports Range sends only the rest. A server that ignores Range sends everything again.
That is compared with the part file, which is rewritten from the first difference on. No file
becomes longer than the server announced.
"""

import contextlib
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from jaxadv.support import log
from model_ports.errors import InputError

Report = Callable[[int, int | None], None]
"""Called with the number of bytes that have arrived, and with the final number if it is known."""

BLOCK = 2**18
TIMEOUT = 30
"""Seconds without a byte until a connection counts as lost."""
WAITS = (1, 2, 4, 8, 15, 30)
"""Seconds of waiting before each new attempt.

After that many attempts without a byte, we give up.
"""
SPARE = 2**28
"""Bytes of the disk that stay free when the length of the file is unknown."""

_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that may be temporary


class _Lost(Exception):
    """The connection ended early. What has arrived is kept."""


class _Unranged(Exception):
    """The answer to a Range request is not usable. Ask for the whole file."""


class _Head(NamedTuple):
    """The facts from the header of an answer."""

    start: int  # position in the file of the first byte of the body
    total: int | None  # bytes of the file
    tag: str  # strong ETag, or empty


def receive(
    url: str, part: Path, *, size: int | None = None, certain: bool = False, report: Report
) -> None:
    """Download a file. Continue a part file, if there is one.

    Args:
        url: an address with https://, or with http:// if the user gives one.
        part: the part file. NAME.tag beside it has the server's ETag.
        size: the size that the file must have, in bytes, if known.
        certain: True if a SHA-256 will be checked afterwards. Otherwise a part file is continued
            only with an ETag, which shows that the server still has the same file.
        report: called after each block.

    Raises:
        InputError: if the address refuses, the length differs from ``size``, the disk is full, or
            the connection is lost too often. The message says what is kept.
    """
    fruitless = 0
    ranged = True
    arrived = False
    while True:
        before = length(part)
        try:
            _attempt(url, part, size=size, certain=certain, ranged=ranged, report=report)
            return
        except _Unranged:
            if not ranged:
                raise InputError(
                    f"{url} sends a part of the file where all is asked for; get it elsewhere and "
                    "give its folder as --source"
                ) from None
            ranged = False
            continue
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _TRY_AGAIN:
                raise InputError(
                    f"{url} is refused ({error.code} {error.reason}); get the file elsewhere and "
                    "give its folder as --source"
                ) from None
            reason = f"{error.code} {error.reason}"
            hopeless = False
        except (_Lost, OSError, HTTPException) as error:  # URLError is an OSError
            cause = getattr(error, "reason", None) or error
            reason = str(cause) or type(cause).__name__
            hopeless = isinstance(cause, ssl.SSLCertVerificationError)
        gained = length(part) > before
        arrived |= gained
        fruitless = 0 if gained else fruitless + 1
        if hopeless or fruitless == len(WAITS) or not arrived:
            raise _unreachable(url, part, reason)
        wait = WAITS[fruitless]
        log.warn(f"{url}: {reason}; {length(part)} bytes are kept, trying again in {wait} s")
        time.sleep(wait)


def length(path: Path) -> int:
    """The size of a file in bytes; 0 if it does not exist."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _unreachable(url: str, part: Path, reason: str) -> InputError:
    have = length(part)
    kept = f"{have} bytes are kept, and the same command continues" if have else "nothing is kept"
    return InputError(
        f"{url} cannot be reached ({reason}); {kept}: try later, or give --source=FOLDER"
    )


def _attempt(
    url: str, part: Path, *, size: int | None, certain: bool, ranged: bool, report: Report
) -> None:
    """Use one connection. A lost connection raises _Lost or another network error."""
    tag = part.with_name(part.name + ".tag")
    have = length(part)
    if size is not None and have == size:
        report(have, size)
        return
    known = _known_tag(tag)
    longer = size is not None and have > size  # then the part is from another file
    start = have if ranged and not longer and (certain or known) else 0
    try:
        answer = _open(url, start=start, tag=known)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        if not known or error.headers.get("Content-Range") != f"bytes */{have}":
            raise _Unranged from None  # the part is longer than the file, or from another one
        _check_size(url, have, size)
        report(have, have)
        return
    with answer:
        head = _head(answer, start)
        _check_size(url, head.total, size)
        with _on_disk(part):
            part.parent.mkdir(parents=True, exist_ok=True)
            if head.tag:
                tag.write_text(head.tag)
            else:
                tag.unlink(missing_ok=True)
        _write(answer, part, head, size, report)


def _known_tag(path: Path) -> str:
    """The ETag that was kept; empty where there is none, or what is there is none."""
    try:
        text = path.read_bytes().decode("ascii", errors="replace")
    except OSError:
        return ""
    return text if re.fullmatch(r'"[!#-~]*"', text) else ""


def _check_size(url: str, total: int | None, size: int | None) -> None:
    if None not in (total, size) and total != size:
        raise InputError(
            f"{url} has {total} bytes, {size} are recorded: the file there is another; "
            "if you know that it is right, give --sha256= with its SHA-256"
        )


def _open(url: str, *, start: int, tag: str):
    headers = {"User-Agent": "jaxadv", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag:
            headers["If-Range"] = tag
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    if url.startswith("https:") and not answer.geturl().startswith("https:"):
        answer.close()
        raise InputError(
            f"{url} leads to {answer.geturl()}, which is not https; get the file elsewhere and "
            "give its folder as --source"
        )
    return answer


def _head(answer, asked: int) -> _Head:
    """Parse the header of an answer.

    Raises:
        _Unranged: if the server sends a part of the file that we did not ask for.
        _Lost: if the server sends no file.
    """
    etag = answer.headers.get("ETag") or ""
    etag = "" if etag.startswith("W/") else etag
    if answer.status == 200:
        announced = answer.headers.get("Content-Length") or ""
        return _Head(0, int(announced) if announced.isdigit() else None, etag)
    if answer.status != 206:
        raise _Lost(f"the server answers {answer.status}")
    span, _, total = (answer.headers.get("Content-Range") or "").partition("/")
    if not asked or not span.startswith(f"bytes {asked}-"):
        raise _Unranged
    return _Head(asked, int(total) if total.isdigit() else None, etag)


def _write(answer, part: Path, head: _Head, size: int | None, report: Report) -> None:
    """Write the body to the part file. Where the two overlap, only differences are written."""
    total = size if head.total is None else head.total
    with _on_disk(part):
        free = shutil.disk_usage(part.parent).free
    missing = 0 if total is None else total - length(part)
    if missing > free:
        raise InputError(
            f"{os.fspath(part)!r} needs {missing} more bytes, {free} are free; free some, and the "
            "same command continues"
        )
    limit = length(part) + max(0, free - SPARE) if total is None else total
    at = head.start
    with _on_disk(part), open(part, "r+b" if part.exists() else "w+b") as file:
        file.seek(at)
        while block := _block(answer):
            if at + len(block) > limit:
                what = "the disk can take" if total is None else "the server announced"
                raise InputError(
                    f"{part.name} has more than the {limit} bytes that {what}; get the file "
                    "elsewhere and give its folder as --source"
                )
            old = file.read(len(block))
            if old != block:
                same = len(old) if block.startswith(old) else 0
                file.seek(at + same)
                file.truncate()
                file.write(block[same:])
            at += len(block)
            report(at, total)
        if total is None or at == total:
            file.truncate(at)
    if total is not None and at != total:
        raise _Lost(f"the connection ended after {at} of {total} bytes")


def _block(answer) -> bytes:
    """Read what has arrived. An error here comes from the connection, not from the disk."""
    try:
        return answer.read1(BLOCK)
    except (OSError, HTTPException) as error:
        raise _Lost(str(error) or type(error).__name__) from None


@contextlib.contextmanager
def _on_disk(part: Path):
    """Turn an error of the file system into one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {os.fspath(part)!r} ({error.strerror or error}); {length(part)} bytes "
            "are kept: free the disk, and the same command continues"
        ) from None
