"""A cache of compiled programs as JAX keeps them: a file each."""

from pathlib import Path


class Files:
    """As JAX keeps its programs: a file each."""

    def __init__(self, folder: Path):
        self._path = folder

    def get(self, key: str) -> bytes | None:
        path = self._path / f"{key}-cache"
        return path.read_bytes() if path.exists() else None

    def put(self, key: str, value: bytes) -> None:
        (self._path / f"{key}-cache").write_bytes(value)
