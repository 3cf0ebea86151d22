"""One writer at a time: a lock on a run's folder."""

from pathlib import Path

from jaxadv.support import files
from model_ports.errors import InputError


def locked(path: Path) -> int:
    """An open file that this process alone has locked. The lock ends with the process, however that ends. Raises InputError."""

    def busy(owner: str) -> InputError:
        return InputError(
            f"run directory {str(path.parent)!r} is in use by {owner}; wait for it, or give another --out"
        )

    return files.locked(path, busy)
