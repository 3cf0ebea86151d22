"""Reads safetensors: the length of a JSON header (8 bytes, little-endian), the header, and the
arrays.

The format is that of github.com/huggingface/safetensors (README, "Format"). This reader is shorter
than a dependency on a library would be, and its arrays are views of the file.
"""

import json
import math
import mmap
from collections import Counter
from pathlib import Path

import numpy as np

from model_ports.convert.arrays import LIMIT, Collector
from model_ports.errors import InputError

_HEADER = 100_000_000  # bytes; the format allows no more
_KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def read(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the arrays of a file.

    Args:
        path: the file.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by name, as views of the file if possible.

    Raises:
        InputError: if the file cannot be used.
    """
    collector = Collector(path, limit)
    if not path.stat().st_size:
        raise collector.damaged("it is empty")
    with open(path, "rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_HEADER, len(data) - 8):
        raise collector.damaged("its header is longer than the file")
    try:
        header = json.loads(
            bytes(data[8 : 8 + length]), object_pairs_hook=lambda pairs: _once(path, pairs)
        )
        entries = {name: _entry(entry) for name, entry in header.items() if name != "__metadata__"}
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise collector.damaged("its header is not that of safetensors") from None
    data = data[8 + length :]
    _check_places(collector, [place for _, _, place in entries.values()], len(data))
    for name, (kind, shape, (begin, end)) in entries.items():
        if not collector.wants(name, _KINDS.get(kind, kind), shape):
            continue
        dtype = np.dtype(_KINDS[kind]).newbyteorder("<")
        if math.prod(shape) * dtype.itemsize != end - begin:
            raise collector.damaged(f"{name} has {end - begin} bytes for shape {shape}")
        collector.put(name, np.frombuffer(data[begin:end], dtype).reshape(shape))
    return collector.arrays


def _once(path: Path, pairs: list[tuple]) -> dict:
    """A JSON object as a dict. JSON allows repeated names, and this function does not."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InputError(
            f"{path} has two entries called {double[:80]!r}: each variable once is needed"
        )
    return entries


def _entry(entry: dict) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    kind = entry["dtype"]
    if not isinstance(kind, str) or not all(
        type(number) is int and number >= 0 for number in (begin, end, *shape)
    ):
        raise ValueError
    return kind[:20], shape, (begin, end)


def _check_places(collector: Collector, places: list[tuple[int, int]], size: int) -> None:
    """Check that the arrays lie end to end, from the header to the end of the file."""
    at = 0
    for begin, end in sorted(places):
        if begin != at or end < begin:
            raise collector.damaged("its arrays overlap or leave holes")
        at = end
    if at != size:
        raise collector.damaged(f"{size} bytes of arrays where the header has {at}")
