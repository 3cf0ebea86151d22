"""Reads the wire format of protocol buffers (protobuf.dev/programming-guides/encoding).

A message is a sequence of fields. Each field is a varint `number << 3 | type` and a payload: a
varint (type 0), 8 bytes (1), a length and as many bytes (2), or 4 bytes (5). Payloads are views of
the file, so nothing is copied.
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np

Value = int | memoryview
Kind = TypeVar("Kind", int, memoryview)


class Malformed(ValueError):
    """The bytes are not the expected message."""


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read the unsigned varint at ``at``. Returns its value, and the position after it."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at
    raise Malformed("a number does not end")


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Read each field's number and payload, in the order of the message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        length = 0
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
    """Read a small message: all payloads by field number."""
    payloads: dict[int, list[Value]] = {}
    for number, value in fields(view(data)):
        payloads.setdefault(number, []).append(value)
    return payloads


def last(payloads: dict[int, list[Value]], number: int, default: Kind) -> Kind:
    """The last payload of a field that is not repeated. It must be of the default's kind."""
    value = payloads.get(number, [default])[-1]
    if not isinstance(value, type(default)):
        raise Malformed(f"field {number} has the wrong type")
    return value


def view(value: Value) -> memoryview:
    """The payload as bytes. A number raises Malformed."""
    if isinstance(value, int):
        raise Malformed("a number where bytes should be")
    return value


def text(value: Value) -> str:
    """The payload as text. A number raises Malformed."""
    return str(view(value), "utf-8", "backslashreplace")


def signed(value: int) -> int:
    """An int64 from a varint, which holds it in two's complement."""
    return value - 2**64 if value >= 2**63 else value


def shape(data: Value) -> tuple[int, ...]:
    """The shape in a TensorShapeProto, whose dim = 2 has size = 1."""
    return tuple(signed(last(message(dim), 1, 0)) for dim in message(data).get(2, []))


def numbers(payloads: list[Value], kind: str) -> np.ndarray:
    """The values of a repeated float or double field, packed or not; kind: "float32" or
    "float64".
    """
    size = np.dtype(kind).itemsize
    parts = [view(payload) for payload in payloads]
    if any(len(part) % size for part in parts):
        raise Malformed(f"numbers that are not {size} bytes wide")
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    return np.frombuffer(data, np.dtype(kind).newbyteorder("<"))
