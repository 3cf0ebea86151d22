"""The rules for every reader of a weight file: which arrays are kept, and what is refused.

Sizes are checked before memory is spent on an array.
"""

import math
import os
import re
import zipfile
from pathlib import Path

import numpy as np

from model_ports.errors import InputError

LIMIT = 4 * 2**30  # in bytes; the study's largest network has 575 MB

LEFT_ASIDE = re.compile(
    r"(?:.*/)?global_step|beta[12]_power"  # variables of training
    # of TF-Slim's optimisers
    r"|.*/(?:Momentum|RMSProp(?:_1)?|Adam(?:_1)?|Adagrad|ExponentialMovingAverage)"
    # auxiliary heads (Inception, NASNet), which logits do not need
    r"|(?:.*/)?AuxLogits/.*|aux_\d+/.*"
    r"|vgg_1[69]/mean_rgb"
    r"|(?:.*\.)?num_batches_tracked"  # PyTorch's counters
)
"""Names in public checkpoints that are no parameters of a port. Plain variables are read in place
of their moving averages. TF-Slim's scripts for export and freezing do the same by default.
"""

_NARROW = {"float16": "half precision", "bfloat16": "bfloat16"}


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive. A damaged one is not."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return False


def check_members(archive: zipfile.ZipFile) -> None:
    """Check the list of members of an archive, which has no checksum.

    zipfile checks the content of members alone. A damaged list may hide a member, or call it by
    another name.

    Args:
        archive: an open archive.

    Raises:
        zipfile.BadZipFile: if the list is damaged.
    """
    assert archive.fp
    archive.fp.seek(-22 - len(archive.comment), os.SEEK_END)  # the end record, without ZIP64
    said = int.from_bytes(archive.fp.read(22)[10:12], "little")
    members = archive.infolist()
    if said not in (len(members), 0xFFFF):
        raise zipfile.BadZipFile(f"it lists {len(members)} of {said} members")
    for member in members:
        archive.open(member).close()  # compares the name with that beside the content


class Collector:
    """Collects the arrays of one file by name, as finite float32 numbers.

    Args:
        path: the file, for messages.
        limit: the largest size of all arrays together, in bytes.
    """

    def __init__(self, path: Path, limit: int = LIMIT):
        self.path = path
        self.arrays: dict[str, np.ndarray] = {}
        self._names: set[str] = set()
        self._left = self._limit = limit

    def wants(self, name: str, kind: str, shape: tuple[int, ...]) -> bool:
        """True if this array is to be read. Call it before reading.

        Half precision is refused. Its rounding, 2^-11, gives another function than the network that
        was attacked. No test of a port could tell such rounding from a mistake.

        Args:
            name: the array's name in the file.
            kind: NumPy's name of its dtype.
            shape: its shape.

        Raises:
            InputError: for a repeated or impossible name, another dtype, an impossible shape, or
                too many bytes.
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
                f"{self.path}: {name} is {kind}: {_NARROW[kind]} is not what was attacked; give "
                "the float32 file"
            )
        if kind not in ("float32", "float64"):
            raise InputError(
                f"{self.path}: {name} is {kind}; float32 or float64 is needed: give the file "
                "before quantisation"
            )
        if not all(isinstance(size, int) and size >= 0 for size in shape) or len(shape) > 32:
            raise self.damaged(f"{name} has shape {shape}")
        self._left -= math.prod(shape) * np.dtype(kind).itemsize
        if self._left < 0:
            raise InputError(
                f"{self.path}: its arrays say to be larger than {self._limit} bytes, more than "
                "the network can use: it is of another network, or made to exhaust memory; give "
                "the file of this very model"
            )
        return True

    def put(self, name: str, array: np.ndarray) -> None:
        """Keep an array.

        Raises:
            InputError: if a value is not finite in float32.
        """
        name = name.removesuffix(":0")
        if array.dtype != np.float32:  # another byte order counts as another dtype
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        if not np.isfinite(array).all():
            count = array.size - np.count_nonzero(np.isfinite(array))
            raise InputError(
                f"{self.path}: {name} has {count} values that are NaN or infinite in float32; give "
                "an undamaged file"
            )
        self.arrays[name] = array

    def damaged(self, what: str) -> InputError:
        """Make the error for a damaged file."""
        return InputError(
            f"{self.path} is damaged or cut short ({what}); copy or download it again"
        )
