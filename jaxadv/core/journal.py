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

from jaxadv.support.files import load_arrays, save_arrays

SHARE = 20  # at most a twentieth of the time goes into writing


class Journal:
    """The unfinished work of one queue, ``name``, of items 0, 1, ...

    seconds: the time between two writings, or longer where a writing takes long.
    """

    def __init__(self, directory: Path, name: str, *, seconds: float):
        self._directory, self._name, self._seconds = Path(directory), name, seconds
        self._waiting: dict[int, list[np.ndarray]] = {}  # item -> arrays
        began = time.monotonic()
        self._written: dict[str, float] = defaultdict(lambda: began)  # lanes -> when they were written last
        self._took = 0.0
        self._lock = threading.Lock()  # devices are driven by threads of their own

    def outcomes(self) -> dict[int, list[np.ndarray]]:
        """Item -> the arrays of its outcome, of all outcomes that were written down."""
        found = {}
        for path in self._files("outcomes"):
            stacks = load_arrays(path)
            for kind in range(sum(name.endswith("items") for name in stacks)):
                leaves = [stacks[f"{kind}.{number}"] for number in range(sum(name.startswith(f"{kind}.") for name in stacks) - 1)]
                found |= {int(item): [leaf[row] for leaf in leaves] for row, item in enumerate(stacks[f"{kind}.items"])}
        return found

    def lanes(self, name: str) -> dict[str, np.ndarray]:
        """What `write` was given last of the lanes of that name; empty if nothing."""
        return load_arrays(self._path(f"lanes-{name}"))

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
            save_arrays(self._path(f"lanes-{name}"), lanes)
        self._written[name] = time.monotonic()
        self._took = self._written[name] - began

    def _write_outcomes(self) -> None:
        if self._waiting:
            kinds: dict[tuple[Any, ...], list[int]] = {}  # items whose arrays have the same shapes are stacked
            for item, arrays in self._waiting.items():
                kinds.setdefault(tuple((array.shape, array.dtype) for array in arrays), []).append(item)
            stacks = {}
            for kind, items in enumerate(kinds.values()):
                stacks[f"{kind}.items"] = np.array(items)
                leaves = zip(*(self._waiting[item] for item in items), strict=True)
                stacks |= {f"{kind}.{number}": np.stack(leaf) for number, leaf in enumerate(leaves)}
            save_arrays(self._path(f"outcomes-{len(self._files('outcomes')):05d}"), stacks)
            self._waiting = {}

    def remove(self) -> None:
        """The queue is finished, and its rows are written."""
        for path in self._files(""):
            path.unlink(missing_ok=True)

    def _path(self, what: str) -> Path:
        return self._directory / f"{self._name}+{what}.npz"

    def _files(self, what: str) -> list[Path]:
        return sorted(self._directory.glob(f"{self._name}+{what}*.npz"))

