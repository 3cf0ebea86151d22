"""The folder of a run's claims on disk.

Only these few operations touch it, so a test or a simulation can stand in for the file server.
"""

import os
from contextlib import suppress
from pathlib import Path


class ClaimFolder:
    """Small files that are created once, renewed, and removed.

    Every error of the file system counts as "not there". A claim that cannot be read or renewed
    costs speed, and nothing else.

    Args:
        directory: the folder.
    """

    def __init__(self, directory: Path):
        self.directory = directory

    def open(self) -> None:
        """Make the folder. Raises OSError if it cannot be made."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """The names of all files; none if the folder is missing."""
        try:
            return os.listdir(self.directory)
        except OSError:
            return []

    def create(self, name: str, content: str) -> bool:
        """Create a file. Of several processes that create the same name, one alone succeeds.

        Args:
            name: its name.
            content: its text.

        Returns:
            Whether this call created it.

        Raises:
            OSError: if the folder cannot be written.
        """
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        try:
            try:
                handle = os.open(self.directory / name, flags, 0o644)
            except FileNotFoundError:  # the last process to leave has removed the folder
                self.open()
                handle = os.open(self.directory / name, flags, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(handle, content.encode())
        finally:
            os.close(handle)
        return True

    def touch(self, name: str) -> bool:
        """Set a file's time to the file server's clock. Returns False if the file is missing."""
        try:
            os.utime(self.directory / name)
        except OSError:
            return False
        return True

    def time(self, name: str) -> float | None:
        """The time of a file, seconds, as the file server wrote it; None if it is missing."""
        try:
            return os.stat(self.directory / name).st_mtime
        except OSError:
            return None

    def read(self, name: str) -> str:
        """The text of a file; empty if it cannot be read."""
        try:
            return (self.directory / name).read_text(errors="replace")
        except OSError:
            return ""

    def remove(self, name: str) -> None:
        """Remove a file, if it can be removed."""
        with suppress(OSError):
            os.unlink(self.directory / name)

    def lock(self, name: str) -> int | None:
        """Lock a file for as long as this process lives. None if it is locked, or cannot be."""
        try:
            import fcntl
        except ImportError:  # Windows has no such lock
            return None
        try:
            handle = os.open(self.directory / name, os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return handle

    def vanish(self) -> None:
        """Remove the folder, if it is empty."""
        with suppress(OSError):
            self.directory.rmdir()
