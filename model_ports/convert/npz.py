"""Reads archives of NumPy arrays (.npz), with one member `<name>.npy` per array.

It does not use `numpy.load`, because every size is checked before memory is spent on it. Nothing is
extracted to files. A pickle is refused, without reading it.
"""

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from model_ports.convert.arrays import LIMIT, Collector, check_members
from model_ports.errors import InputError, said

_MEMBERS = 100_000
# The exceptions that zipfile, zlib and NumPy's header parser raise for damaged or hostile bytes.
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
    """Read the arrays of an archive.

    Args:
        path: the file.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by name.

    Raises:
        InputError: if the file cannot be used.
    """
    collector = Collector(path, limit)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MEMBERS:
                raise InputError(
                    f"{path} has {len(members)} members; no network has more than {_MEMBERS} "
                    "arrays: give its own file"
                )
            check_members(archive)
            for member in members:
                _member(collector, archive, member)
    except InputError:
        raise
    except (*_ERRORS, zipfile.BadZipFile, zlib.error) as error:
        reason = said(error)
        raise InputError(
            f"{path} is not an .npz, or it is cut short ({reason}): copy or convert it again"
        ) from None
    return collector.arrays


def _member(collector: Collector, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    name = member.filename.removesuffix(".npy")
    if name == member.filename:
        raise InputError(
            f"{collector.path} has a member {member.filename!r}: only arrays, as numpy.savez "
            "writes them, are read"
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise collector.damaged(f"{name!r} is compressed in a way that numpy.savez does not use")
    with archive.open(member) as stream:
        # A header of version 1 has at most 64 kB. NumPy writes other versions for structured
        # arrays.
        if np.lib.format.read_magic(stream) != (1, 0):
            raise collector.damaged(f"{name!r} is not a plain array")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.hasobject:
            raise InputError(
                f"{collector.path}: {name!r} is a pickle, which was not loaded: it could run "
                "code; save plain float32 arrays"
            )
        if not collector.wants(name, dtype.name, shape):
            return
        size = math.prod(shape) * dtype.itemsize
        if member.file_size - stream.tell() != size:
            raise collector.damaged(f"{name} has not the size of its shape {shape}")
        data = stream.read(size)
        if len(data) != size or stream.read(1):  # zipfile verifies the checksum at the end
            raise collector.damaged(f"{name} ends early")
    collector.put(name, np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C"))
