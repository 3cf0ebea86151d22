"""The wire format of protocol buffers, as far as reading needs it (protobuf.dev/programming-guides/encoding).

A message is a sequence of fields, each a varint `number << 3 | type` and a payload: a varint (type 0), 8 bytes (1), a
length and as many bytes (2), or 4 bytes (5). Nothing is copied: payloads are views of the file.
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np

Value = int | memoryview
Kind = TypeVar("Kind", int, memoryview)


class Malformed(ValueError):
    """These bytes are not the message that they should be."""


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The unsigned varint at `at`, and where it ends."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise Malformed("a number does not end")


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Each field's number and payload, in the order of the message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind, length = tag & 7, 0
        if kind == 0:
            value, at = varint(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise Malformed(f"field type {kind}")
        if length > len(data) - at:
            raise Malformed(f"a field of {length} bytes where {len(data) - at} are left")
        yield tag >> 3, data[at : at + length]
        at += length


def message(data: Value) -> dict[int, list[Value]]:
    """All payloads by field number; for small messages."""
    found: dict[int, list[Value]] = {}
    for number, value in fields(view(data)):
        found.setdefault(number, []).append(value)
    return found


def last(found: dict[int, list[Value]], number: int, default: Kind) -> Kind:
    """A field that is not repeated: its last payload counts, and it must be of the default's kind."""
    value = found.get(number, [default])[-1]
    if not isinstance(value, type(default)):
        raise Malformed(f"field {number} has the wrong type")
    return value


def view(value: Value) -> memoryview:
    if isinstance(value, int):
        raise Malformed("a number where bytes should be")
    return value


def text(value: Value) -> str:
    return str(view(value), "utf-8", "backslashreplace")


def signed(value: int) -> int:
    """An int64 as it is written: two's complement in a varint."""
    return value - 2**64 if value >= 2**63 else value


def shape(data: Value) -> tuple[int, ...]:
    """Of a TensorShapeProto: dim = 2 with size = 1."""
    return tuple(signed(last(message(dim), 1, 0)) for dim in message(data).get(2, []))


def numbers(payloads: list[Value], kind: str) -> np.ndarray:
    """A repeated float or double field, packed or not; kind: "float32" or "float64"."""
    size = np.dtype(kind).itemsize
    parts = [view(payload) for payload in payloads]
    if any(len(part) % size for part in parts):
        raise Malformed(f"numbers that are not {size} bytes wide")
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    return np.frombuffer(data, np.dtype(kind).newbyteorder("<"))
