"""The journal of an unfinished queue: the outcomes so far, and the lanes of each device.

Both are written to one folder at intervals while the queue runs, and removed when its rows are
written. A killed process loses only the work since the last write, even if one item takes long. The
queue then continues with exactly the same results.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from jaxadv.support import log
from jaxadv.support.files import (
    Damaged,
    Foreign,
    load_arrays,
    remove,
    save_arrays,
    set_aside,
    short,
)

SHARE = 20  # writing takes at most one twentieth of the time


class Journal:
    """The unfinished work of one queue with items 0, 1, ...

    Args:
        directory: the folder of its files.
        name: the name of the queue.
        seconds: the least time between two writes. Slow writes make it longer.
        digest: a hash of everything that the outcomes depend on. Files with another digest are not
            used.
        writer: the name of whoever writes, which begins with a number and "-". A journal reads the
            files of all writers, and writes only its own. The highest number has the latest lanes.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        seconds: float,
        digest: str = "",
        writer: str = "0-",
    ):
        self._directory = Path(directory)
        self._name = short(name)
        self._writer = writer
        self._seconds = seconds
        self._digest = digest
        self._waiting: dict[int, list[np.ndarray]] = {}  # item -> arrays
        began = time.monotonic()
        self._written: dict[str, float] = defaultdict(
            lambda: began
        )  # name of lanes -> time of their last write
        self._took = 0.0
        own = [path for path in self._files("outcomes") if self._is_own(path)]
        self._next = 1 + max(map(_number, own), default=-1)
        self._lock = threading.Lock()  # each device has a thread
        self._stages: list[Journal] = []

    def of_stage(self, number: int) -> "Journal":
        """The journal of one stage of a queue with several stages. `remove` removes it too."""
        stage = Journal(
            self._directory,
            f"{self._name}.stage{number}",
            seconds=self._seconds,
            digest=self._digest,
            writer=self._writer,
        )
        self._stages.append(stage)
        return stage

    def outcomes(self) -> dict[int, list[np.ndarray]]:
        """All outcomes on disk: item -> the arrays of its outcome."""
        outcomes = {}
        for path in self._files("outcomes"):
            stacks = self._load(path)
            for kind in range(sum(name.endswith("items") for name in stacks)):
                leaves = [
                    stacks[f"{kind}.{number}"]
                    for number in range(sum(name.startswith(f"{kind}.") for name in stacks) - 1)
                ]
                outcomes |= {
                    int(item): [leaf[row] for leaf in leaves]
                    for row, item in enumerate(stacks[f"{kind}.items"])
                }
        return outcomes

    def lanes(self, name: str) -> dict[str, np.ndarray]:
        """The lanes of this name as they were last written. Empty if they were never written."""
        for path in reversed(self._lanes(name)):
            if lanes := self._load(path):
                return lanes
        return {}

    def add(self, item: int, arrays: Sequence[np.ndarray]) -> None:
        """Add the outcome of an item. The next `write` saves it.

        Args:
            item: its number.
            arrays: the leaves of its outcome.
        """
        with self._lock:
            self._waiting[item] = list(arrays)

    def due(self, name: str = "") -> bool:
        """Whether it is time to `write` the lanes of this name."""
        return time.monotonic() - self._written[name] > max(self._seconds, SHARE * self._took)

    def write(self, name: str = "", lanes: dict[str, np.ndarray] | None = None) -> None:
        """Write the new outcomes, then the lanes. In this order no finished item is lost.

        Args:
            name: the name of the lanes.
            lanes: their arrays; None to write outcomes alone.

        Raises:
            InputError: if a file cannot be written.
        """
        began = time.monotonic()
        with self._lock:
            self._write_outcomes()
        if lanes is not None:
            self._save(f"lanes-{name}", lanes)
            for path in self._lanes(name):  # these lanes go on from those of earlier writers
                if not self._is_own(path) and _generation(path) < _generation(self._path("")):
                    remove(path)
        self._written[name] = time.monotonic()
        self.took(self._written[name] - began)

    def took(self, seconds: float) -> None:
        """Take note of how long the last `write` took, also of journals beside this one."""
        self._took = seconds

    def _write_outcomes(self) -> None:
        if self._waiting:
            kinds: dict[
                tuple[Any, ...], list[int]
            ] = {}  # shapes and types of arrays -> the items that have them
            for item, arrays in self._waiting.items():
                kinds.setdefault(tuple((array.shape, array.dtype) for array in arrays), []).append(
                    item
                )
            stacks = {}
            for kind, items in enumerate(kinds.values()):
                stacks[f"{kind}.items"] = np.array(items)
                leaves = zip(*(self._waiting[item] for item in items), strict=True)
                stacks |= {f"{kind}.{number}": np.stack(leaf) for number, leaf in enumerate(leaves)}
            self._save(f"outcomes-{self._next:05d}", stacks)
            self._next += 1
            self._waiting = {}

    def __enter__(self) -> Self:
        """The journal. Its files are removed at the end of the block, unless an error ends it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.remove()

    def remove(self) -> None:
        """Remove all files, after the queue is finished and its rows are written."""
        self._waiting = {}
        for stage in self._stages:
            stage.remove()
        for path in self._files(""):
            remove(path)

    def _lanes(self, name: str) -> list[Path]:
        """The files of lanes of this name, of all writers, in the order of their numbers."""
        paths = self._directory.glob(f"{self._name}@*+lanes-{name}.npz")
        return sorted(paths, key=lambda path: (_generation(path), self._is_own(path)))

    def _is_own(self, path: Path) -> bool:
        return path.name.startswith(f"{self._name}@{self._writer}+")

    def _save(self, what: str, arrays: dict[str, np.ndarray]) -> None:
        path = self._path(what)
        save_arrays(path, arrays, self._label(path))

    def _load(self, path: Path) -> dict[str, np.ndarray]:
        """The arrays of a file.

        For a damaged file, or one of another run, print a warning and return none.
        """
        try:
            return load_arrays(path, self._label(path))
        except Damaged as error:
            log.warn(f"{error}; the unfinished work in it is done again")
            remove(path)
        except Foreign as error:
            log.warn(f"{error}; it is not used, and is renamed to {set_aside(path).name!r}")
        return {}

    def _label(self, path: Path) -> str:
        return f"{self._digest} {self._name}+{path.name.rpartition('+')[2]}"

    def _path(self, what: str) -> Path:
        return self._directory / f"{self._name}@{self._writer}+{what}.npz"

    def _files(self, what: str) -> list[Path]:
        return sorted(self._directory.glob(f"{self._name}@*+{what}*.npz"))


def _generation(path: Path) -> int:
    """The number at the beginning of a file's writer."""
    number = path.name.rpartition("@")[2].partition("-")[0]
    return int(number) if number.isdecimal() else -1


def _number(path: Path) -> int:
    """The number of a file of outcomes; -1 for any other file."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
