"""Files that appear whole or not at all, and files that say whether they are what they were when they were written."""

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
    *(RecursionError, NotImplementedError, zipfile.BadZipFile, zlib.error, struct.error),
    tokenize.TokenError,  # NumPy reads headers as Python
)
"""What NumPy, zipfile and parsers raise for bytes that are not theirs, or are hostile."""
MOST = 180
"""Bytes of a name in a file's name. File systems allow 255, of which endings and temporary names take some."""


class Damaged(InputError):
    """A file that is not what it was when it was written."""


class Foreign(InputError):
    """A file that is whole, but not the one that belongs in its place."""


def write_atomically(path: Path, content) -> None:
    """Write a file (and its folder) so that ``path`` is the old or the new content, never a part. Raises InputError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_sealed(path: Path, content, label: str) -> None:
    """Write a file that `read_sealed` compares with what was written. It is whole or not there.

    Args:
        path: of the file.
        content: bytes.
        label: what the file is. Under another label it cannot be read.

    Raises:
        InputError: where it cannot be written.
    """
    write_atomically(path, b"".join((_seal(content, label), content)))


def read_sealed(path: Path, label: str) -> memoryview:
    """The content of a file that `write_sealed` wrote under the same label.

    Raises:
        FileNotFoundError: where nothing is there.
        Damaged: for a file that is not what was written.
        Foreign: for a file that was written under another label.
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
        found = json.loads(head)["label"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged(f"{str(path)!r} is damaged") from None
    if not isinstance(found, str) or bytes(data[: len(head) + 1]) != _seal(content, found):
        raise Damaged(f"{str(path)!r} is damaged")
    if found != label:
        raise Foreign(f"{str(path)!r} is of another run or another place")
    return content


def label(path: Path) -> str:
    """The label of a sealed file, which is not compared with its content; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(4096).partition(b"\n")[0])["label"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _seal(content, label: str) -> bytes:
    digest = hashlib.sha256(label.encode() + b"\0")
    digest.update(content)
    return json.dumps({"sha256": digest.hexdigest(), "label": label}).encode() + b"\n"


def save_arrays(path: Path, arrays: "dict[str, np.ndarray]", label: str = "") -> None:
    """Write arrays so that ``path`` is the old or the new content, sealed under a label. Raises InputError."""
    write_sealed(path, _npz(arrays), label)


def save_npz(path: Path, arrays: "dict[str, np.ndarray]") -> None:
    """Write a plain .npz for other programs, so that ``path`` is the old or the new content. Raises InputError."""
    write_atomically(path, _npz(arrays))


def _npz(arrays: "dict[str, np.ndarray]") -> memoryview:
    import numpy as np

    stream = io.BytesIO()
    named: dict[str, Any] = {**arrays}
    np.savez(stream, **named)
    return stream.getbuffer()


def load_arrays(path: Path, label: str = "") -> "dict[str, np.ndarray]":
    """The arrays that `save_arrays` wrote; none if nothing is there.

    Raises:
        Damaged: for a file that is not what was written.
        Foreign: for a file that was written under another label.
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
    """``name`` as a part of a file's name: a long one is cut and gets a checksum of the whole."""
    if len(name.encode()) <= MOST:
        return name
    cut = name.encode()[: MOST - 60].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def set_aside(path: Path) -> Path:
    """Give a file a name under which nobody looks for it, and return that. Raises InputError."""
    number, place = 0, path.with_name(f"{path.name}.set-aside")
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
            f"cannot remove {str(path)!r}: {error.strerror or error}; make its folder writable, and give the command again"
        ) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """What to tell a user."""
    return InputError(
        f"cannot write {str(path)!r}: {error.strerror or error}; free it or choose another, and give the command again"
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` last, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def locked(path: Path, busy: Callable[[str], InputError]) -> int:
    """Open a file and lock it for this process alone.

    The lock ends with the process, however that ends, or when the handle is closed.

    Args:
        path: the lock file; it is made if needed.
        busy: makes the error of who has the lock, such as "process 7 on host".

    Returns:
        The open file's handle.

    Raises:
        InputError: another process has the lock.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl
    except ImportError:  # Windows: nobody is told apart
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
