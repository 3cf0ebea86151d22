"""Safetensors: the length of a JSON header (8 bytes, little-endian), the header, and the arrays' bytes.

The format is that of github.com/huggingface/safetensors (README, "Format"). Reading it takes fewer lines than depending on
a library for it, and the arrays stay views of the file.
"""

import json
import math
import mmap
from collections import Counter
from pathlib import Path

import numpy as np

from model_ports.convert.arrays import LIMIT, Collector
from model_ports.errors import InputError

_HEADER = 100_000_000  # bytes, the format's own limit
_KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def read(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Name -> float32 array, a view of the file where it can be. Raises InputError."""
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
    """A JSON object as a dict; JSON itself lets a name come twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InputError(
            f"{path} has two entries called {double[:80]!r}: each variable once is needed"
        )
    return found


def _entry(entry: dict) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    begin, end = entry["data_offsets"]
    shape, kind = tuple(entry["shape"]), entry["dtype"]
    if not isinstance(kind, str) or not all(
        type(number) is int and number >= 0 for number in (begin, end, *shape)
    ):
        raise ValueError
    return kind[:20], shape, (begin, end)


def _check_places(collector: Collector, places: list[tuple[int, int]], size: int) -> None:
    """As the format has it: end to end, without holes and without overlaps, up to the end of the file."""
    at = 0
    for begin, end in sorted(places):
        if begin != at or end < begin:
            raise collector.damaged("its arrays overlap or leave holes")
        at = end
    if at != size:
        raise collector.damaged(f"{size} bytes of arrays where the header has {at}")
