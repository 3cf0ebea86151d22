"""Files that appear whole or not at all, and sealed files, which reveal later changes."""

import errno
import hashlib
import io
import json
import os
import socket
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ports.errors import InputError

if TYPE_CHECKING:
    import numpy as np

UNREADABLE = (
    *(
        OSError,
        ValueError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        MemoryError,
        SyntaxError,
    ),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, struct.error),
    tokenize.TokenError,  # NumPy reads headers as Python
)
"""The exceptions that NumPy, zipfile and parsers raise for damaged or hostile files."""
MOST = 180
"""The largest part of a file name that comes from a name, in bytes.

File systems allow 255 in all.
"""


class Damaged(InputError):
    """A file whose content has changed since it was written."""


class Foreign(InputError):
    """An undamaged file that belongs to another place or another run."""


TRIES = 10
"""How often a file is written whose temporary one is removed on the way."""


def write_atomically(path: Path, content) -> None:
    """Write a file so that ``path`` has either the old or the new content, never a part of one.

    Args:
        path: the file. Its folder is made if needed.
        content: bytes, or a buffer of bytes.

    Raises:
        InputError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A process that ends a run removes temporary files. It may meet one that is just written.
        if not any(_replaced(path, content) for _ in range(TRIES)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def _replaced(path: Path, content) -> bool:
    """Write a file by way of a temporary one. False if that was removed on the way."""
    temporary = temporary_of(path)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            if path.parent.is_dir():
                return False
            raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True


def temporary_of(path: Path) -> Path:
    """A temporary name beside a file, which no process on any machine has."""
    return path.with_name(f".{path.name}.{int.from_bytes(os.urandom(6))}.tmp")


def write_sealed(path: Path, content, label: str) -> None:
    """Write a file that `read_sealed` can verify. It appears whole or not at all.

    Args:
        path: the file.
        content: bytes, or a buffer of bytes.
        label: what the file is. It can be read under the same label only.

    Raises:
        InputError: if the file cannot be written.
    """
    write_atomically(path, b"".join((_seal(content, label), content)))


def read_sealed(path: Path, label: str) -> memoryview:
    """Read and verify a file that `write_sealed` wrote.

    Args:
        path: the file.
        label: the label that it was written under.

    Returns:
        The content.

    Raises:
        FileNotFoundError: if there is no such file.
        Damaged: if the content has changed.
        Foreign: if the file was written under another label.
    """
    try:
        data = memoryview(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"{str(path)!r} cannot be read ({error.strerror or error})") from error
    head, _, _ = bytes(data[:4096]).partition(b"\n")
    content = data[len(head) + 1 :]
    try:
        stored = json.loads(head)["label"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged(f"{str(path)!r} is damaged") from None
    if not isinstance(stored, str) or bytes(data[: len(head) + 1]) != _seal(content, stored):
        raise Damaged(f"{str(path)!r} is damaged")
    if stored != label:
        raise Foreign(f"{str(path)!r} belongs to another run or another place")
    return content


def label(path: Path) -> str:
    """The label of a sealed file, without verifying the content; empty if it cannot be read."""
    try:
        with open(path, "rb") as file:
            stored = json.loads(file.read(4096).partition(b"\n")[0])["label"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return stored if isinstance(stored, str) else ""


def _seal(content, label: str) -> bytes:
    digest = hashlib.sha256(label.encode() + b"\0")
    digest.update(content)
    return json.dumps({"sha256": digest.hexdigest(), "label": label}).encode() + b"\n"


def save_arrays(path: Path, arrays: "dict[str, np.ndarray]", label: str = "") -> None:
    """Write arrays to a sealed file. It appears whole or not at all.

    Args:
        path: the file.
        arrays: the arrays by name.
        label: what the file is; see `write_sealed`.

    Raises:
        InputError: if the file cannot be written.
    """
    write_sealed(path, _npz(arrays), label)


def save_npz(path: Path, arrays: "dict[str, np.ndarray]") -> None:
    """Write a plain .npz for other programs. It appears whole or not at all.

    Args:
        path: the file.
        arrays: the arrays by name.

    Raises:
        InputError: if the file cannot be written.
    """
    write_atomically(path, _npz(arrays))


def _npz(arrays: "dict[str, np.ndarray]") -> memoryview:
    import numpy as np

    stream = io.BytesIO()
    named: dict[str, Any] = {**arrays}
    np.savez(stream, **named)
    return stream.getbuffer()


def load_arrays(path: Path, label: str = "") -> "dict[str, np.ndarray]":
    """Read and verify arrays that `save_arrays` wrote.

    Args:
        path: the file.
        label: the label that it was written under.

    Returns:
        The arrays by name; none if there is no such file.

    Raises:
        Damaged: if the content has changed.
        Foreign: if the file was written under another label.
    """
    try:
        content = read_sealed(path, label)
        import numpy as np

        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        return {}
    except InputError:
        raise
    except UNREADABLE as error:
        raise Damaged(f"{str(path)!r} holds no arrays") from error


def short(name: str) -> str:
    """Shorten a name so that it fits into a file name.

    A name of more than `MOST` bytes is cut, and a checksum of the whole name is appended.
    """
    if len(name.encode()) <= MOST:
        return name
    cut = name.encode()[: MOST - 60].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def set_aside(path: Path) -> Path:
    """Rename a file so that no run reads it any more.

    Args:
        path: the file.

    Returns:
        The new path, which ends in ".set-aside" or ".set-aside-NUMBER".

    Raises:
        InputError: if the file cannot be renamed.
    """
    number = 0
    place = path.with_name(f"{path.name}.set-aside")
    while place.exists():
        number += 1
        place = path.with_name(f"{path.name}.set-aside-{number}")
    try:
        path.rename(place)
    except OSError as error:
        raise cannot_write(path, error) from error
    return place


def remove(path: Path) -> None:
    """Remove a file, if it is there. Raises InputError where it cannot be."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot remove {str(path)!r}: {error.strerror or error}; make its folder writable, "
            "and give the command again"
        ) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """The error for a file that cannot be written."""
    return InputError(
        f"cannot write {str(path)!r}: {error.strerror or error}; free it or choose another, and "
        "give the command again"
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a crash of the machine, if the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def locked(path: Path, busy: Callable[[str], InputError]) -> int:
    """Open a file, and lock it for this process alone.

    The lock ends with the process, in whatever way it ends, or when the handle is closed.

    Args:
        path: the lock file, which is made if needed.
        busy: makes the error from the name of the lock's owner, such as "process 7 on host".

    Returns:
        The handle of the open file.

    Raises:
        InputError: if another process has the lock.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 200).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise busy(owner) from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except (
        OSError
    ):  # of a full disk: nobody would close it, and the lock would stay with this process
        os.close(handle)
        raise
    return handle
