"""Reads TensorFlow checkpoints: V2 bundles without TensorFlow, and V1 files with it.

A V2 bundle is `<prefix>.index` and data files such as `<prefix>.data-00000-of-00001`. The index is
a sorted string table in LevelDB's format (github.com/google/leveldb, doc/table_format.md). It has
blocks of entries, whose keys share prefixes. The end of the file locates a block that points to the
others. The values are BundleEntryProto messages (TensorFlow's tensor_bundle.proto). They say where
an array is in the data files.

Data files are mapped into memory, not copied. The checksums (CRC-32C) of the index's blocks and of
every array are verified.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import google_crc32c
import numpy as np

from model_ports.convert.arrays import LIMIT, Collector
from model_ports.convert.protobuf import Malformed, Value, last, message, shape, varint, view
from model_ports.errors import InputError, said

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
"""The last 8 bytes of a table: of V2's index, or of a V1 checkpoint."""

_FOOTER = 48  # bytes: two block handles, padding, MAGIC
_CHUNK = 2**20
_TRAILER = 5  # bytes after a block: its compression, and the checksum of both
_KINDS = {
    1: "float32",
    2: "float64",
    3: "int32",
    7: "string",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    19: "float16",
}


def prefix_of(path: Path) -> Path | None:
    """The prefix of a V2 bundle, from the prefix or one of its files; None if there is no such
    bundle.
    """
    head, _, tail = path.name.rpartition(".")
    prefix = (
        path.with_name(head)
        if head and (tail in ("index", "meta") or tail.startswith("data-"))
        else path
    )
    return prefix if _beside(prefix, ".index").is_file() else None


def files(prefix: Path) -> list[Path]:
    """The files of a V2 bundle with its arrays, the index first."""
    pattern = ".data-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]"
    data = sorted(
        file
        for file in prefix.parent.iterdir()
        if file.match("*" + pattern) and file.name.startswith(prefix.name + ".data-")
    )
    return [_beside(prefix, ".index"), *data]


def read(prefix: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the arrays of a V2 bundle.

    Args:
        prefix: its prefix.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by variable name, as views of the files if possible.

    Raises:
        InputError: if the bundle cannot be used.
    """
    collector = Collector(prefix, limit)
    try:
        entries = _table(_map(_beside(prefix, ".index")))
        key, value = next(entries, (b"", memoryview(b"")))
        header = message(value)
        count = last(header, 1, 0)
        order: Literal[">", "<"] = ">" if last(header, 2, 0) else "<"
        if key or not 1 <= count <= 99_999:
            raise Malformed("no header")
        shards: dict[int, memoryview] = {}
        for key, value in entries:
            if key == b"_CHECKPOINTABLE_OBJECT_GRAPH":
                raise InputError(
                    f"{prefix} names its arrays by objects: save it by variable names, with "
                    "tf.compat.v1.train.Saver"
                )
            _collect(
                collector,
                str(key, "utf-8", "backslashreplace"),
                message(value),
                order=order,
                shards=shards,
                count=count,
            )
    except Malformed as error:
        raise collector.damaged(f"index: {error}") from None
    return collector.arrays


def _collect(
    collector: Collector,
    name: str,
    entry: dict[int, list[Value]],
    *,
    order: Literal[">", "<"],
    shards: dict[int, memoryview],
    count: int,
) -> None:
    """Read the array of an entry.

    Its fields are dtype = 1, shape = 2, shard_id = 3, offset = 4, size = 5, crc32c = 6, slices = 7.
    """
    code = last(entry, 1, 0)
    dimensions = shape(entry[2][-1]) if 2 in entry else ()
    if not collector.wants(name, _KINDS.get(code, f"of TensorFlow's type {code}"), dimensions):
        return
    if 7 in entry:
        raise InputError(
            f"{collector.path}: {name} is stored in slices; save the variables whole, with "
            "tf.compat.v1.train.Saver"
        )
    shard, offset, size = (last(entry, number, 0) for number in (3, 4, 5))
    if shard not in shards:
        file = _beside(collector.path, f".data-{shard:05d}-of-{count:05d}")
        if shard >= count or not file.is_file():
            raise InputError(
                f"no file {file}: a checkpoint needs all its data files beside "
                f"{collector.path.name}.index"
            )
        shards[shard] = _map(file)
    dtype = np.dtype(_KINDS[code]).newbyteorder(order)
    if size != int(np.prod(dimensions, dtype=object)) * dtype.itemsize or offset + size > len(
        shards[shard]
    ):
        raise collector.damaged(
            f"{name} has {size} bytes at {offset} for shape {dimensions}, its file "
            f"{len(shards[shard])}"
        )
    content = shards[shard][offset : offset + size]
    if _checksum(content) != bytes(view(last(entry, 6, memoryview(bytes(4))))):
        raise collector.damaged(f"the checksum of {name} is wrong")
    collector.put(name, np.frombuffer(content, dtype).reshape(dimensions))


def read_v1(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the arrays of a V1 checkpoint, by TensorFlow.

    Args:
        path: the file.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by variable name.

    Raises:
        InputError: if the file cannot be used, or if TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError:
        raise InputError(
            f"{path} is a TensorFlow checkpoint of version 1, which takes TensorFlow: pip install "
            "'jaxadv[tf]'"
        ) from None
    collector = Collector(path, limit)
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(str(path))
        kinds = reader.get_variable_to_dtype_map()
        for name, dimensions in reader.get_variable_to_shape_map().items():
            if collector.wants(name, kinds[name].name, tuple(dimensions)):
                collector.put(name, reader.get_tensor(name))
    except tf.errors.OpError as error:
        raise collector.damaged(said(error)) from None
    return collector.arrays


def _beside(prefix: Path, ending: str) -> Path:
    return prefix.with_name(prefix.name + ending)


def _map(path: Path) -> memoryview:
    if not path.stat().st_size:
        return memoryview(b"")
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _table(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The key and the value of each entry of a table."""
    if len(data) < _FOOTER or data[-8:] != MAGIC:
        raise Malformed("no table")
    footer = data[-_FOOTER:-8]
    _, at = _handle(footer, 0)  # the filters' block, which is empty
    index, _ = _handle(footer, at)
    for _, value in _block(data, index):
        yield from _block(data, _handle(value, 0)[0])


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    """The (offset, size) of a block from its handle at ``at``, and the position after the
    handle.
    """
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: memoryview, handle: tuple[int, int]) -> Iterator[tuple[bytes, memoryview]]:
    """The entries of a block.

    An entry has four parts: how many bytes its key shares with the key before, how many are new,
    the size of the value, and both contents.
    """
    offset, size = handle
    if offset + size + _TRAILER > len(data) or size < 4:
        raise Malformed("a block beyond the end")
    if _checksum(data[offset : offset + size + 1]) != bytes(
        data[offset + size + 1 : offset + size + _TRAILER]
    ):
        raise Malformed("the checksum of a block is wrong")
    if data[offset + size] != 0:
        raise Malformed("a compressed block, which TensorFlow does not write")
    block = data[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 * (restarts + 1)
    if end < 0:
        raise Malformed("a block without entries")
    at = 0
    key = b""
    while at < end:
        shared, at = varint(block, at)
        new, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + new + length > end:
            raise Malformed("an entry beyond its block")
        key = key[:shared] + bytes(block[at : at + new])
        yield key, block[at + new : at + new + length]
        at += new + length


def _checksum(content: memoryview) -> bytes:
    """The CRC-32C of some bytes in LevelDB's form: rotated by 15 bits, with a constant added."""
    value = 0
    for start in range(0, len(content), _CHUNK):  # google_crc32c does not take a view
        value = google_crc32c.extend(value, bytes(content[start : start + _CHUNK]))
    return ((((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
