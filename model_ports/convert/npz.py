"""Archives of NumPy arrays (.npz), one member `<name>.npy` an array.

Read by hand rather than by `numpy.load`, because every size is compared with what the network can use before memory is
spent on it. Names are only names: nothing is extracted. A pickle is refused unread.
"""

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from model_ports.convert.arrays import LIMIT, Collector
from model_ports.errors import InputError

_MEMBERS = 100_000
# What zipfile, zlib and NumPy's header parser raise for bytes that are not theirs.
_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    TypeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
)


def read(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Name -> float32 array. Raises InputError."""
    collector = Collector(path, limit)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MEMBERS:
                raise InputError(
                    f"{path} has {len(members)} members; no network has more than {_MEMBERS} arrays: give its own file"
                )
            for member in members:
                _member(collector, archive, member)
    except InputError:
        raise
    except (*_ERRORS, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{path} is not an .npz, or it is cut short ({reason}): copy or convert it again"
        ) from None
    return collector.arrays


def _member(collector: Collector, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    name = member.filename.removesuffix(".npy")
    if name == member.filename:
        raise InputError(
            f"{collector.path} has a member {member.filename!r}: only arrays, as numpy.savez writes them, are read"
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise collector.damaged(f"{name!r} is compressed in a way that numpy.savez does not use")
    with archive.open(member) as stream:
        # Version 1 has a header of at most 64 kB; NumPy writes the others for structured arrays only.
        if np.lib.format.read_magic(stream) != (1, 0):
            raise collector.damaged(f"{name!r} is not a plain array")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.hasobject:
            raise InputError(
                f"{collector.path}: {name!r} is a pickle, which was not loaded: it could run code; save plain float32 arrays"
            )
        if not collector.wants(name, dtype.name, shape):
            return
        size = math.prod(shape) * dtype.itemsize
        if member.file_size - stream.tell() != size:
            raise collector.damaged(f"{name} has not the size of its shape {shape}")
        data = stream.read(size)
        if len(data) != size or stream.read(1):  # at the end zipfile compares the checksum
            raise collector.damaged(f"{name} ends early")
    collector.put(name, np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C"))
