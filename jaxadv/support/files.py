"""Files that appear whole or not at all."""

import io
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model_ports.errors import InputError


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


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz so that ``path`` is the old or the new content. Raises InputError."""
    stream = io.BytesIO()
    named: dict[str, Any] = {**arrays}
    np.savez(stream, **named)
    write_atomically(path, stream.getbuffer())


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz; none if it is not there or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return {}


def cannot_write(path: Path, error: OSError) -> InputError:
    """What to tell a user."""
    return InputError(f"cannot write {str(path)!r}: {error.strerror or error}; free it or choose another, and give the command again")


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
    os.ftruncate(handle, 0)
    os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return handle
