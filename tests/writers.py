"""Writes weight files byte by byte. This needs no framework, and can put in every mistake."""

import io
import json
import struct
import zipfile

import numpy as np

FLOAT, DOUBLE, INT32, HALF, BFLOAT16 = 1, 2, 3, 19, 14
CODES = {"float32": FLOAT, "float64": DOUBLE, "float16": HALF, "int32": INT32, "int64": 9}


def varint(number: int) -> bytes:
    number %= 2**64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes | str) -> bytes:
    """A protobuf field: a varint, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def shape(dimensions) -> bytes:
    return b"".join(field(2, field(1, int(size))) for size in dimensions)


def tensor(array: np.ndarray, *, code: int | None = None) -> bytes:
    """A TensorProto with its values in tensor_content."""
    code = CODES[array.dtype.name] if code is None else code
    return field(1, code) + field(2, shape(array.shape)) + field(4, array.tobytes())


def node(name: str, op: str, *inputs: str, **attributes: bytes) -> bytes:
    """A field of a GraphDef; attributes are AttrValue messages."""
    entries = b"".join(
        field(5, field(1, key) + field(2, value)) for key, value in attributes.items()
    )
    return field(
        1, field(1, name) + field(2, op) + b"".join(field(3, source) for source in inputs) + entries
    )


def constant(name: str, tensor_proto: bytes) -> bytes:
    return node(name, "Const", dtype=field(6, FLOAT), value=field(8, tensor_proto))


def variable(name: str, array: np.ndarray) -> bytes:
    """What freezing makes of a variable."""
    return constant(name, tensor(array)) + node(f"{name}/read", "Identity", name, T=field(6, FLOAT))


def frozen_graph(arrays: dict[str, np.ndarray]) -> bytes:
    """A GraphDef with the odds and ends of a real one."""
    parts = [node("input", "Placeholder", shape=field(7, shape([1, 24, 24, 3])))]
    parts += [variable(name, array) for name, array in arrays.items()]
    parts += [
        constant(
            "net/batchnorm/add/y",
            field(1, FLOAT) + field(2, b"") + field(5, struct.pack("<f", 1e-3)),
        ),
        constant(
            "net/BatchNorm/Const",
            field(1, FLOAT) + field(2, shape([4])) + field(5, struct.pack("<f", 1)),
        ),
        constant("net/Reshape/shape", tensor(np.array([-1, 10], np.int32))),
        node("net/batchnorm/Rsqrt", "Rsqrt", "net/batchnorm/add"),
        node("logits", "Merge", "^input"),
        field(4, field(1, 27)),  # versions
    ]
    return b"".join(parts)


def safetensors(arrays: dict[str, np.ndarray], *, change=lambda header: header) -> bytes:
    kinds = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64"}
    header, at = {"__metadata__": {"format": "tf"}}, 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": kinds[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = change(json.dumps(header)).encode()
    return (
        struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values())
    )


def bundle(arrays: dict[str, np.ndarray], *, per_block: int = 7) -> tuple[bytes, bytes]:
    """The .index and the one data file of a TensorFlow V2 checkpoint; keys share prefixes, blocks
    are several.
    """
    entries, data = [(b"", field(1, 1) + field(3, field(1, 1)))], b""
    for name in sorted(arrays, key=str.encode):
        array = arrays[name]
        place = field(4, len(data)) + field(5, array.nbytes)
        crc = b"\x35" + masked(array.tobytes())
        entries.append(
            (
                name.encode(),
                field(1, CODES[array.dtype.name]) + field(2, shape(array.shape)) + place + crc,
            )
        )
        data += array.tobytes()
    index, handles = b"", []
    for start in range(0, len(entries), per_block):
        part = entries[start : start + per_block]
        block = _block(part)
        handles.append((part[-1][0], varint(len(index)) + varint(len(block))))
        index += _checked(block)
    filters = varint(len(index)) + varint(len(_block([])))
    index += _checked(_block([]))
    top = _block(handles)
    footer = filters + varint(len(index)) + varint(len(top))
    index += _checked(top) + footer.ljust(40, b"\0") + 0xDB4775248B80FB57.to_bytes(8, "little")
    return index, data


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


_REMAINDERS = [_remainder(byte) for byte in range(256)]


def masked(content: bytes) -> bytes:
    """CRC-32C, byte by byte, as TensorFlow writes it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _REMAINDERS[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _checked(block: bytes) -> bytes:
    return block + b"\0" + masked(block + b"\0")


def _block(entries) -> bytes:
    out, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        out += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        before = key
    return out + struct.pack("<II", 0, 1)


def npz(members: dict[str, bytes | np.ndarray], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of .npy files or of any bytes; a name may be anything."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, value in members.items():
            archive.writestr(name, value if isinstance(value, bytes) else npy(value))
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npy_header(dimensions) -> bytes:
    """Of a float32 .npy that says to have this shape."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "<f4", "fortran_order": False, "shape": tuple(dimensions)}
    )
    return out.getvalue()
