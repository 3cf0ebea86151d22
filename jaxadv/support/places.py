"""Files and folders that a user names: one function for every flag that is a place."""

import errno
import os
from pathlib import Path

from model_ports.errors import InputError

LONGEST = 255
"""Bytes of a name in a path, as file systems allow them."""


def place(flag: str, text: str | os.PathLike[str]) -> Path:
    """A path as all of this program takes it.

    Args:
        flag: what a message calls it, such as "--out".
        text: the path. ``~`` and ``~NAME`` at its beginning are home directories.

    Returns:
        The path, its home directory written out. It may not be there.

    Raises:
        InputError: for a path that cannot be: no home directory is known, a name is too long, links go
            in a circle, or a folder on the way may not be entered.
    """
    shown = os.fspath(text).encode(errors="backslashreplace").decode()
    try:
        path = Path(text).expanduser()
        if path != Path(text) and not path.is_absolute():  # of a HOME that is empty or relative
            raise RuntimeError
        if Path(text).parts[:1] == ("~",) and os.environ.get("HOME") == "":
            raise RuntimeError
    except RuntimeError:
        raise InputError(
            f"{flag} is {shown!r}; no such home directory is known: give the whole path"
        ) from None
    if "\0" in os.fspath(path):
        raise InputError(f"{flag} is {shown!r}; a path has no zero byte: give another")
    long = next((name for name in path.parts if len(os.fsencode(name)) > LONGEST), None)
    if long:
        raise InputError(
            f"{flag} has a name of {len(os.fsencode(long))} bytes, {long[:20]!r}...; at most {LONGEST} are allowed"
        )
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        if error.errno != errno.EACCES or not os.path.lexists(path):
            raise InputError(
                f"{flag} is {shown!r}; it cannot be reached: {error.strerror or error}; give another place"
            ) from None
    return path
