"""Claims: who works on which unit of a run, as files in the run's folder.

A process claims a unit by creating a file, which the file system lets only one process do. It
renews its claims every few seconds. A claim that was not renewed for some time is free. Times are
those that the file server wrote. A judge compares a claim's time with that of its own file, which
it has just renewed in the same folder. No machine's clock matters.

The name of a claim ends in its generation. Whoever takes over a claim creates the next generation.
The old owner, if it wakes up, sees that and gives up. A journal's name has the claim's generation
and its owner, so two processes never write one file.

Claims are for speed. Whatever happens to them, a part is committed by a rename, and whoever finds a
part committed discards its own.
"""

import functools
import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jaxadv.store.claim_folder import ClaimFolder
from jaxadv.support.files import cannot_write, short
from model_ports.errors import InputError

SECONDS = 90.0
"""A claim that was not renewed for so long is free. A network file system may show times that are a
minute old.
"""
RENEWALS = 9
"""How many times a claim is renewed before it would become free."""
FOLDER = "claims"
_ALIVE = "process@"  # the beginning of the name of a process's own file
_SEPARATOR = "+"


class Folder(Protocol):
    """What a claim needs of a file server; see `jaxadv.store.claim_folder.ClaimFolder`."""

    def open(self) -> None: ...
    def names(self) -> list[str]: ...
    def create(self, name: str, content: str) -> bool: ...
    def touch(self, name: str) -> bool: ...
    def time(self, name: str) -> float | None: ...
    def read(self, name: str) -> str: ...
    def remove(self, name: str) -> None: ...
    def lock(self, name: str) -> int | None: ...
    def vanish(self) -> None: ...


class Claim(NamedTuple):
    """A unit that this process has claimed."""

    unit: str
    generation: int  # 0 for the first owner of the unit
    writer: str  # a name for journals that no other process has

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{short(self.unit)}{_SEPARATOR}{self.generation}"


class Claims:
    """The claims of one process. Inside the context a thread renews them.

    Args:
        directory: the run's folder.
        seconds: a claim that was not renewed for so long is free.
        folder: stands in for the folder on disk, in tests.
        owner: a name of this process that no other has; None for a random one.
    """

    def __init__(
        self,
        directory: Path,
        *,
        seconds: float = SECONDS,
        folder: Folder | None = None,
        owner: str | None = None,
    ):
        self.folder: Folder = folder or ClaimFolder(Path(directory) / FOLDER)
        self.seconds = seconds
        self.owner = owner or f"{_host()}-{os.getpid()}-{os.urandom(4).hex()}"
        self._mine: dict[str, Claim] = {}  # name of the file -> claim
        self._lost: set[str] = set()  # names of claims that another process has taken over
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Claims":
        self.open()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="claims")
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self.close()

    def open(self) -> None:
        """Make this process known. Raises InputError if the folder cannot be written."""
        try:
            self.folder.open()
            self.folder.create(self._file, self._about())
        except OSError as error:
            raise cannot_write(self.folder_place, error) from error
        self._handle = self.folder.lock(self._file)

    def close(self) -> None:
        """Give up all claims, so that others need not wait for them."""
        with self._lock:
            mine = list(self._mine.values())
            self._mine = {}
        for claim in mine:
            self.folder.remove(claim.name)
        self.folder.remove(self._file)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self.folder.vanish()

    @property
    def folder_place(self) -> Path:
        """The folder, for messages."""
        return getattr(self.folder, "directory", Path(FOLDER))

    def taken(self) -> dict[str, int]:
        """The claimed units: their names, shortened as for files, with the latest generation."""
        return _latest(self.folder.names())

    def look(self) -> tuple[dict[str, int], int]:
        """What `taken` returns, and how many processes have the run open.

        This process counts. The dead count until somebody notices.
        """
        names = self.folder.names()
        return _latest(names), max(1, sum(name.startswith(_ALIVE) for name in names))

    def take(self, unit: str, known: Mapping[str, int] | None = None) -> Claim | None:
        """Claim a unit that nobody has.

        Args:
            unit: the name of the unit.
            known: what `taken` returned; None to ask now.

        Returns:
            The claim, or None if another process has the unit.

        Raises:
            InputError: if the folder cannot be written.
        """
        known = self.taken() if known is None else known
        return None if short(unit) in known else self._create(unit, 0)

    def take_over(self, unit: str, known: Mapping[str, int] | None = None) -> Claim | None:
        """Claim a unit whose owner has not renewed its claim.

        Args:
            unit: the name of the unit.
            known: as for `take`.

        Returns:
            The claim, or None if the owner lives, or if another process was faster.

        Raises:
            InputError: if the folder cannot be written.
        """
        generation = (self.taken() if known is None else known).get(short(unit))
        if generation is None:
            return self._create(unit, 0)
        old = Claim(unit, generation, "")
        if old.name in self._mine or not self._is_dead(old.name):
            return None
        claim = self._create(unit, generation + 1)
        owner = _read(self.folder.read(old.name)).get("owner")
        if claim and isinstance(owner, str) and self._is_silent(_ALIVE + owner):
            self.folder.remove(_ALIVE + owner)
        return claim

    def is_lost(self, claim: Claim) -> bool:
        """Whether another process has taken over a claim, as the last renewal saw it."""
        return claim.name in self._lost

    def release(self, claim: Claim) -> None:
        """Give up a claim. The claims of earlier generations go first.

        Args:
            claim: the claim.
        """
        with self._lock:
            self._mine.pop(claim.name, None)
        if claim.generation:
            for generation in range(claim.generation):
                self.folder.remove(claim._replace(generation=generation).name)
        self.folder.remove(claim.name)

    def renew(self) -> None:
        """Renew this process's file and all its claims, and notice lost claims."""
        if self._handle is None:
            self._handle = self.folder.lock(self._file)
        if not self.folder.touch(self._file):
            with suppress(OSError):  # a full disk
                self.folder.create(self._file, self._about())
        with self._lock:
            mine = list(self._mine.values())
        for claim in mine:
            following = claim._replace(generation=claim.generation + 1)
            if self.folder.time(following.name) is not None:
                self._lost.add(claim.name)
            elif not self.folder.touch(claim.name):  # it has vanished
                with suppress(OSError):
                    self.folder.create(claim.name, self._about())
            with self._lock:
                released = claim.name not in self._mine
            if released:  # between the copy above and its renewal
                self.folder.remove(claim.name)

    def others(self) -> list[str]:
        """The other processes that have the run open, as words; without the dead."""
        found = []
        for name in sorted(self._living(self.folder.names())):
            about = _read(self.folder.read(name))
            found.append(f"process {about.get('pid', '?')} on {about.get('host', '?')}")
        return found

    def _living(self, names: list[str]) -> list[str]:
        """The files of other processes that live, among the names of files."""
        others = [name for name in names if name.startswith(_ALIVE) and name != self._file]
        return [name for name in others if not self._is_silent(name)]

    def refuse_others(self) -> None:
        """Remove what dead processes have left.

        Raises:
            InputError: if another process has the run open.
        """
        if not self.folder.names():
            return
        self.open()
        try:
            if others := self.others():
                more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                raise InputError(
                    f"run directory {str(self.folder_place.parent)!r} is in use by {others[0]}"
                    f"{more}; add --join to work on it together, wait for it, or give another --out"
                )
            self.sweep()
        finally:
            self.close()

    def sweep(self) -> None:
        """Remove what dead processes have left. Call it where nothing of theirs is wanted."""
        names = self.folder.names()
        living = {self._file, *self._living(names)}
        for name in set(names) - living:
            if _ALIVE + str(_read(self.folder.read(name)).get("owner")) not in living:
                self.folder.remove(name)

    @property
    def _file(self) -> str:
        return _ALIVE + self.owner

    def _about(self) -> str:
        return json.dumps(
            {
                "owner": self.owner,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "boot": _boot(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            }
        )

    def _create(self, unit: str, generation: int) -> Claim | None:
        claim = Claim(unit, generation, f"{generation}-{self.owner}")
        try:
            if not self.folder.create(claim.name, self._about()):
                return None
        except OSError as error:
            raise cannot_write(self.folder_place / claim.name, error) from error
        with self._lock:
            self._lost.discard(claim.name)
            self._mine[claim.name] = claim
        return claim

    def _is_dead(self, name: str) -> bool:
        """Whether the owner of a claim has ended, or was silent for too long."""
        about = _read(self.folder.read(name))
        owner = about.get("owner")
        if isinstance(owner, str) and about.get("boot") == _boot() and self._has_ended(owner):
            return True
        return self._is_old(name)

    def _is_silent(self, name: str) -> bool:
        """The same of a process's own file."""
        about = _read(self.folder.read(name))
        owner = name.removeprefix(_ALIVE)
        return (about.get("boot") == _boot() and self._has_ended(owner)) or self._is_old(name)

    def _has_ended(self, owner: str) -> bool:
        """Whether a process of this machine has ended: the system has dropped its lock."""
        handle = self.folder.lock(_ALIVE + owner)
        if handle is None:
            return False
        os.close(handle)
        return True

    def _is_old(self, name: str) -> bool:
        """Whether a file was not renewed for `seconds`, by the file server's clock."""
        then = self.folder.time(name)
        if then is None or not self.folder.touch(self._file):
            return False
        now = self.folder.time(self._file)
        return now is not None and now - then > self.seconds

    def _beat(self) -> None:
        while not self._ended.wait(self.seconds / RENEWALS):
            with suppress(OSError):  # the file server is away for a while
                self.renew()


def _latest(names: list[str]) -> dict[str, int]:
    """The claimed units among the names of files, each with its latest generation."""
    latest: dict[str, int] = {}
    for name in names:
        unit, _, generation = name.rpartition(_SEPARATOR)
        if unit and generation.isdecimal():
            latest[unit] = max(int(generation), latest.get(unit, 0))
    return latest


def _read(text: str) -> dict[str, Any]:
    """What a file says of its owner; nothing if it is damaged."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _host() -> str:
    """The name of this machine, of letters and digits that every file system takes."""
    return "".join(one if one.isalnum() else "-" for one in socket.gethostname())[:40]


@functools.cache
def _boot() -> str:
    """A name of this machine since it was started; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
