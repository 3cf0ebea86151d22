"""A lock on a run's folder, so that only one process writes."""

from pathlib import Path

from jaxadv.support import files
from model_ports.errors import InputError


def locked(path: Path) -> int:
    """Lock a file for this process. The lock ends when the file is closed, or when the process ends
    in any way.

    Args:
        path: the file.

    Returns:
        The descriptor of the open file.

    Raises:
        InputError: if another process has the lock.
    """

    def busy(owner: str) -> InputError:
        return InputError(
            f"run directory {str(path.parent)!r} is in use by {owner}; add --join to work on it "
            "together, wait for it, or give another --out"
        )

    return files.locked(path, busy)
