"""Flagfiles: a flag a line, in UTF-8, or in what the mark at the beginning says."""

import codecs
from collections.abc import Callable
from pathlib import Path

from model_ports.errors import InputError

MOST = 2**20
"""Bytes of a flagfile."""
MOST_FILES = 100
"""Flagfiles that one may name, and those that these name."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read(path: Path, find: Callable[[str], Path]) -> list[str]:
    """The flags of a file, those of files that it names in their place.

    Args:
        path: of the file.
        find: the path of a file that a flag ``--flagfile`` in it names.

    Raises:
        InputError: for a file that cannot be read, a line that is no flag, or too many files.
    """
    return _read(path, find, (), [])


def _read(
    path: Path, find: Callable[[str], Path], outer: tuple[Path, ...], opened: list[Path]
) -> list[str]:
    """outer: files that are being read. opened: all that were, which grows."""
    if path in outer:
        raise InputError(f"flagfile {str(path)!r} names itself; remove that line")
    opened.append(path)
    if len(opened) > MOST_FILES:
        raise InputError(
            f"flagfile {str(opened[0])!r} names more than {MOST_FILES} others, with those that they name; give fewer"
        )
    flags: list[str] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", "//")):
            continue
        if not line.startswith("-"):
            raise InputError(
                f"flagfile {str(path)!r}, line {number}: {line[:60]!r} is no flag; a flag begins with --, a remark with #"
            )
        name, _, value = line.lstrip("-").partition("=")
        inner = name == "flagfile"
        flags += _read(find(value.strip()), find, (*outer, path), opened) if inner else [line]
    return flags


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MOST + 1)
    except OSError as error:
        raise InputError(
            f"flagfile {str(path)!r} cannot be read ({error.strerror or error}); give another"
        ) from error
    if len(content) > MOST:
        raise InputError(f"flagfile {str(path)!r} has more than {MOST} bytes; give a file of flags")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"flagfile {str(path)!r} is not text in {encoding} ({error.reason}); save it in UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(f"flagfile {str(path)!r} has zero bytes; save it as text in UTF-8")
    return text
