"""What every reader of a weight file obeys: which arrays are kept, and what is refused before memory is spent on it."""

import math
import re
from pathlib import Path

import numpy as np

from model_ports.errors import InputError

LIMIT = 4 * 2**30  # bytes; the largest network of the study has 575 MB

LEFT_ASIDE = re.compile(
    r"(?:.*/)?global_step|beta[12]_power"  # of training
    r"|.*/(?:Momentum|RMSProp(?:_1)?|Adam(?:_1)?|Adagrad|ExponentialMovingAverage)"  # what TF-Slim's optimisers keep
    r"|(?:.*/)?AuxLogits/.*|aux_\d+/.*"  # auxiliary heads, no part of the logits (Inception, NASNet)
    r"|vgg_1[69]/mean_rgb"
    r"|(?:.*\.)?num_batches_tracked"  # PyTorch's counters
)
"""Names in public checkpoints that are no parameters of a port. The plain variables are read, not their moving averages:
this is what TF-Slim's export and freezing scripts do without further flags."""

_NARROW = {"float16": "half precision", "bfloat16": "bfloat16"}


class Collector:
    """The arrays of one file by name: float32, finite, each name once, all of them together within a limit of bytes."""

    def __init__(self, path: Path, limit: int = LIMIT):
        self.path = path
        self.arrays: dict[str, np.ndarray] = {}
        self._names: set[str] = set()
        self._left = self._limit = limit

    def wants(self, name: str, kind: str, shape: tuple[int, ...]) -> bool:
        """Whether to read this array; asked before it is. kind: NumPy's name of its dtype. Raises InputError.

        Arrays of half precision are refused: their rounding, 2^-11, makes another function of the network than the one
        that was attacked, and no test of a port could tell that from a mistake.
        """
        name = name.removesuffix(":0")
        if not name.isprintable() or len(name) > 300:
            raise self.damaged(f"an array is called {name[:40]!r}")
        if name in self._names:
            raise InputError(
                f"{self.path} has two arrays called {name!r}: each variable once is needed"
            )
        self._names.add(name)
        if LEFT_ASIDE.fullmatch(name):
            return False
        if kind in _NARROW:
            raise InputError(
                f"{self.path}: {name} is {kind}: {_NARROW[kind]} is not what was attacked; give the float32 file"
            )
        if kind not in ("float32", "float64"):
            raise InputError(
                f"{self.path}: {name} is {kind}; float32 or float64 is needed: give the file before quantisation"
            )
        if not all(isinstance(size, int) and size >= 0 for size in shape) or len(shape) > 32:
            raise self.damaged(f"{name} has shape {shape}")
        self._left -= math.prod(shape) * np.dtype(kind).itemsize
        if self._left < 0:
            raise InputError(
                f"{self.path}: its arrays say to be larger than {self._limit} bytes, more than the network can use: it is of another"
                " network, or made to exhaust memory; give the file of this very model"
            )
        return True

    def put(self, name: str, array: np.ndarray) -> None:
        """Keep an array that is wanted. Raises InputError unless all its values are finite float32 numbers."""
        name = name.removesuffix(":0")
        if array.dtype != np.float32:  # NumPy holds another byte order for another dtype
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        if not np.isfinite(array).all():
            count = array.size - np.count_nonzero(np.isfinite(array))
            raise InputError(
                f"{self.path}: {name} has {count} values that are NaN or infinite in float32; give an undamaged file"
            )
        self.arrays[name] = array

    def damaged(self, what: str) -> InputError:
        return InputError(
            f"{self.path} is damaged or cut short ({what}); copy or download it again"
        )
