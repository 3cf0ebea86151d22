"""Checks the files and folders that a user names. Every flag that is a path goes through here."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from model_ports.errors import InputError

MOST_SHOWN = 300
"""Characters of a path in a message."""
LONGEST = 255
"""The longest name in a path that file systems allow, in bytes."""


def place(flag: str, text: str | os.PathLike[str]) -> Path:
    """Check a path, and write out its home directory.

    Args:
        flag: what the error calls it, such as "--out".
        text: the path. ``~`` and ``~NAME`` at its beginning are home directories.

    Returns:
        The path. It may not exist.

    Raises:
        InputError: for an impossible path: the home directory is unknown, a name is too long, links
            form a circle, or a folder on the way may not be entered.
    """
    shown = os.fspath(text).encode(errors="backslashreplace").decode()
    shown = shown if len(shown) <= MOST_SHOWN else f"{shown[: MOST_SHOWN - 3]}..."
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
            f"{flag} has a name of {len(os.fsencode(long))} bytes, {long[:20]!r}...; at most "
            f"{LONGEST} are allowed"
        )
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        if error.errno != errno.EACCES or not os.path.lexists(path):
            raise InputError(
                f"{flag} is {shown!r}; it cannot be reached: {error.strerror or error}; give "
                "another place"
            ) from None
    return path


def working_folder() -> Path:
    """The working folder, to which relative paths and libraries refer.

    Raises:
        InputError: if it was removed, or may not be entered.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise InputError(
            f"the working folder cannot be reached: {error.strerror or error}; change to another"
        ) from None


def file_to_write(flag: str, text: str, suffixes: Sequence[str]) -> Path:
    """Check the name of a file that a command will write.

    Args:
        flag: what the error calls it, such as "--save".
        text: the path.
        suffixes: the allowed endings, such as ".csv".

    Returns:
        The path.

    Raises:
        InputError: for another ending, or if the file's folder does not exist.
    """
    path = Path(text)
    if path.suffix not in suffixes or not path.parent.is_dir():
        raise InputError(
            f"{flag} is {text!r}; a file name that ends in {', '.join(suffixes)}, in a folder that "
            "exists, is needed"
        )
    return path
