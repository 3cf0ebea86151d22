"""What is known of a queue that is not finished: the outcomes that are there, and the lanes of each device in the middle of their work.

Both lie in one folder, are written now and then while the queue runs, and go when its rows are written. So a process that is killed
loses the time since the last writing, whatever an item takes; and what it had is continued to the bit.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxadv.support import log
from jaxadv.support.files import Damaged, Foreign, load_arrays, save_arrays, set_aside, short

SHARE = 20  # at most a twentieth of the time goes into writing


class Journal:
    """The unfinished work of one queue, ``name``, of items 0, 1, ...

    Args:
        directory: where its files are.
        name: of the queue.
        seconds: the time between two writings, or longer where a writing takes long.
        digest: of everything that the outcomes follow from. What was written under another one is not used.
    """

    def __init__(self, directory: Path, name: str, *, seconds: float, digest: str = ""):
        self._directory, self._name, self._seconds, self._digest = (
            Path(directory),
            short(name),
            seconds,
            digest,
        )
        self._waiting: dict[int, list[np.ndarray]] = {}  # item -> arrays
        began = time.monotonic()
        self._written: dict[str, float] = defaultdict(
            lambda: began
        )  # lanes -> when they were written last
        self._took = 0.0
        self._next = 1 + max(map(_number, self._files("outcomes")), default=-1)
        self._lock = threading.Lock()  # devices are driven by threads of their own
        self._stages: list[Journal] = []

    def of_stage(self, number: int) -> "Journal":
        """The journal of one stage of a queue that has several. `remove` removes it too."""
        stage = Journal(
            self._directory,
            f"{self._name}.stage{number}",
            seconds=self._seconds,
            digest=self._digest,
        )
        self._stages.append(stage)
        return stage

    def outcomes(self) -> dict[int, list[np.ndarray]]:
        """Item -> the arrays of its outcome, of all outcomes that were written down."""
        found = {}
        for path in self._files("outcomes"):
            stacks = self._load(path)
            for kind in range(sum(name.endswith("items") for name in stacks)):
                leaves = [
                    stacks[f"{kind}.{number}"]
                    for number in range(sum(name.startswith(f"{kind}.") for name in stacks) - 1)
                ]
                found |= {
                    int(item): [leaf[row] for leaf in leaves]
                    for row, item in enumerate(stacks[f"{kind}.items"])
                }
        return found

    def lanes(self, name: str) -> dict[str, np.ndarray]:
        """What `write` was given last of the lanes of that name; empty if nothing."""
        return self._load(self._path(f"lanes-{name}"))

    def add(self, item: int, arrays: Sequence[np.ndarray]) -> None:
        """The outcome of an item, to be written with the next writing."""
        with self._lock:
            self._waiting[item] = list(arrays)

    def due(self, name: str = "") -> bool:
        """Whether it is time for `write` with the lanes of that name."""
        return time.monotonic() - self._written[name] > max(self._seconds, SHARE * self._took)

    def write(self, name: str = "", lanes: dict[str, np.ndarray] | None = None) -> None:
        """Write down the outcomes that wait, then lanes, whose finished items are thereby safe. Raises InputError."""
        began = time.monotonic()
        with self._lock:
            self._write_outcomes()
        if lanes is not None:
            self._save(f"lanes-{name}", lanes)
        self._written[name] = time.monotonic()
        self._took = self._written[name] - began

    def _write_outcomes(self) -> None:
        if self._waiting:
            kinds: dict[
                tuple[Any, ...], list[int]
            ] = {}  # items whose arrays have the same shapes are stacked
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

    def remove(self) -> None:
        """The queue is finished, and its rows are written."""
        for stage in self._stages:
            stage.remove()
        for path in self._files(""):
            path.unlink(missing_ok=True)

    def _save(self, what: str, arrays: dict[str, np.ndarray]) -> None:
        path = self._path(what)
        save_arrays(path, arrays, self._label(path))

    def _load(self, path: Path) -> dict[str, np.ndarray]:
        """The arrays of a file; none of one that is damaged, or of another run, which a line says."""
        try:
            return load_arrays(path, self._label(path))
        except Damaged as error:
            log.warn(f"{error}; the unfinished work that it kept is done again")
            path.unlink(missing_ok=True)
        except Foreign as error:
            log.warn(f"{error}; it is not used, and now called {set_aside(path).name!r}")
        return {}

    def _label(self, path: Path) -> str:
        return f"{self._digest} {path.name}"

    def _path(self, what: str) -> Path:
        return self._directory / f"{self._name}+{what}.npz"

    def _files(self, what: str) -> list[Path]:
        return sorted(self._directory.glob(f"{self._name}+{what}*.npz"))


def _number(path: Path) -> int:
    """Of a file of outcomes; -1 of another one."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
