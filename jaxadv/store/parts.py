"""One part of a run's rows: a Parquet file whose footer describes its content and its run.

The footer has two additional entries. ``jaxadv.part`` is JSON: the format of run folders, the kind
of rows, the unit of work, the number of rows, and the run's identity with its digest.
``jaxadv.seal`` holds two CRC-32. The first is that of all bytes before the footer. The second is
that of the footer, computed with zeros in place of the second. Both are compared before the file is
parsed.
"""

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from jaxadv.store.identity import Identity
from jaxadv.support.files import UNREADABLE, Damaged, Foreign
from model_ports.errors import InputError, said

FORMAT = 2
"""The version of the format of run folders."""
ENTRY = "jaxadv.part"
SEAL = "jaxadv.seal"
_OPEN = b"seal:00000000:00000000"
_SEAL = re.compile(rb"seal:([0-9a-f]{8}):([0-9a-f]{8})")
_MAGIC = b"PAR1"
_TRAILER = 8  # bytes at the end: the footer's length, and the magic number


class About(NamedTuple):
    """A part's description of itself."""

    format: int
    kind: str  # of its rows
    unit: str  # the unit of work
    rows: int  # how many
    digest: str  # of the identity, for this kind
    identity: Identity  # of the run


class Part(NamedTuple):
    """A part after its checksums were compared."""

    about: About
    file: pq.ParquetFile

    def entry(self, name: str) -> bytes | None:
        """An entry of the footer; None if there is none of this name."""
        return (self.file.metadata.metadata or {}).get(name.encode())

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of the part.

        Args:
            columns: the columns to read; None for all. Unknown names are ignored.

        Returns:
            A table of Arrow.

        Raises:
            Damaged: if the rows cannot be decoded, though the checksums are right.
        """
        names = columns and [name for name in columns if name in self.file.schema_arrow.names]
        try:
            # Threads are slower for small parts.
            return self.file.read(columns=names, use_threads=False)
        except (*UNREADABLE, pa.ArrowException) as error:
            what = f"part {self.about.unit!r} of {self.about.kind} rows"
            raise Damaged(f"{what} cannot be decoded ({said(error)})") from error


def encode(content: pa.Table, about: About, entries: Mapping[str, str]) -> bytes:
    """The bytes of a part.

    Args:
        content: its rows.
        about: its description.
        entries: further entries of the footer.

    Returns:
        The content of the file.
    """
    sink = pa.BufferOutputStream()
    text = json.dumps(about._asdict() | about.identity.to_json())
    with pq.ParquetWriter(
        sink, content.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        writer.write_table(content)
        writer.add_key_value_metadata({**entries, ENTRY: text, SEAL: _OPEN.decode()})
    data = bytearray(sink.getvalue())
    start = len(data) - _footer(bytes(data[-_TRAILER:]), _MAGIC, len(data))
    seal = data.rindex(_OPEN)
    view = memoryview(data)
    data[seal + 5 : seal + 13] = b"%08x" % zlib.crc32(view[:start])
    data[seal + 14 : seal + 22] = b"%08x" % zlib.crc32(view[start:])
    return bytes(data)


def read(path: Path) -> Part:
    """Read a part with its rows, and check every byte by the checksums.

    Args:
        path: the file.

    Returns:
        The part.

    Raises:
        FileNotFoundError: if there is no file.
        Damaged: if the part is damaged.
        Foreign: if this program did not write the file, or if it has another format.
        InputError: if the file cannot be read.
    """
    with _naming(path):
        data = path.read_bytes()
        length = _footer(data, data[:4], len(data))
        part, body = _of_footer(data[len(data) - length :], data)
        if zlib.crc32(memoryview(data)[: len(data) - length]) != body:
            raise Damaged("its checksum is wrong")
        return part


def read_footer(path: Path) -> Part:
    """Read and check only the footer of a part. Its rows cannot be read from the result.

    Args:
        path: the file.

    Returns:
        The part without rows.

    Raises:
        FileNotFoundError: if there is no file.
        Damaged: if the footer is damaged.
        Foreign: if this program did not write the file, or if it has another format.
        InputError: if the file cannot be read.
    """
    with _naming(path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(4)
        file.seek(max(0, size - _TRAILER))
        length = _footer(file.read(), head, size)
        file.seek(size - length)
        data = file.read()
        return _of_footer(data, _MAGIC + data)[0]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the name of the file to errors."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except Damaged as error:
        remedy = "run the command that made it again, or remove it"
        raise Damaged(f"{str(path)!r} is not a readable part ({error}); {remedy}") from error
    except Foreign as error:
        raise Foreign(f"{str(path)!r} {error}") from error


def _footer(end: bytes, head: bytes, size: int) -> int:
    """The number of bytes of a file's footer, including its length field and the magic number.

    Args:
        end: the end of the file, at least 8 bytes.
        head: its first 4 bytes.
        size: the size of the file, bytes.

    Raises:
        Damaged: if the file has no footer but begins like a part, or is empty.
        Foreign: if any other file has no footer.
    """
    length = int.from_bytes(end[-_TRAILER:-4], "little") + _TRAILER
    if end[-4:] == _MAGIC and length <= size:
        return length
    if head == _MAGIC or not head.strip(b"\0"):
        raise Damaged("it is cut short")
    raise Foreign("is not a Parquet file")


def _of_footer(footer: bytes, data: bytes) -> tuple[Part, int]:
    """The part that a footer describes, and the CRC-32 of the bytes before the footer.

    ``data`` are the bytes for the parser. Raises Damaged or Foreign.
    """
    seal = next(reversed(list(_SEAL.finditer(footer))), None)
    if seal is None and ENTRY.encode() in footer:
        raise Damaged("its checksums are missing")
    if seal is None:
        raise Foreign("was written by another program, or by another version of this one")
    opened = footer[: seal.start(2)] + b"00000000" + footer[seal.end(2) :]
    if zlib.crc32(opened) != int(seal[2], 16):
        raise Damaged("the checksum of its footer is wrong")
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        says = json.loads((file.metadata.metadata or {})[ENTRY.encode()])
        identity = Identity.from_json(says)
        if identity is None:
            raise ValueError("it has no identity")
        about = About(
            **{name: says[name] for name in About._fields if name != "identity"}, identity=identity
        )
        if not all(isinstance(text, str) for text in (about.kind, about.unit, about.digest)):
            raise ValueError("it does not say which part it is")
    except (*UNREADABLE, pa.ArrowException) as error:  # another file with an entry like our seal
        raise Foreign(f"was written by another program ({said(error)})") from error
    return Part(about, file), int(seal[1], 16)
