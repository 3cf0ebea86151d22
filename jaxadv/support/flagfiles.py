"""Reads flagfiles: text files with one flag per line, in UTF-8 or UTF-16."""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from jaxadv.support import places
from model_ports.errors import InputError

_PACKAGE = Path(__file__).parents[1]
FOLDER = next(
    folder for folder in (_PACKAGE / "flags", _PACKAGE.parent / "flags") if folder.is_dir()
)
"""The flagfiles of jaxadv: inside the installed package, or beside it in a checkout."""
EMBEDDED_JOB = FOLDER / "embedded.flags"

MOST = 2**20
"""The largest size of a flagfile, in bytes."""
MOST_FILES = 100
"""The most flagfiles that a flagfile may name, counted with those that they name."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def find(name: str) -> Path:
    """Find a flagfile: the named file, or else the file of that name among jaxadv's flagfiles.

    Args:
        name: a path, such as "mine.flags", "paper/fig4.flags" or "flags/paper/fig4.flags".

    Returns:
        The path. It may not exist.

    Raises:
        InputError: for an impossible path.
    """
    place = places.place("--flagfile", name)
    inside = place.relative_to("flags") if place.parts[:1] == ("flags",) else place
    if not place.exists() and not place.is_absolute() and (FOLDER / inside).is_file():
        return FOLDER / inside
    return place


def read(path: Path, find: Callable[[str], Path] = find) -> list[str]:
    """Read the flags of a file. A line --flagfile=NAME is replaced by the flags of that file.

    Args:
        path: the file.
        find: finds the path of a named flagfile.

    Returns:
        The flags in order, each as "--name=value".

    Raises:
        InputError: if a file cannot be read or names itself, if a line is not a flag, or if there
            are too many files.
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
            f"flagfile {str(opened[0])!r} names more than {MOST_FILES} others, with those that "
            "they name; give fewer"
        )
    flags: list[str] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", "//")):
            continue
        if not re.match(r"--?[A-Za-z]", line):  # behind a bare -- nothing would be a flag
            raise InputError(
                f"flagfile {str(path)!r}, line {number}: {line[:60]!r} is no flag; a flag begins "
                "with --, a comment with #"
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
