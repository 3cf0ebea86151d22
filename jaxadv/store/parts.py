"""One part of a run's rows: a Parquet file whose footer says what it holds and of which run.

The footer has two entries of ours beside Parquet's own. ``jaxadv.part`` is JSON: the format of run folders, the kind of rows, the
unit of work, the number of rows, and the run's identity with its digest. ``jaxadv.seal`` holds two CRC-32: of all
bytes before the footer, and of the footer itself, computed with zeros in the second one's place. They are compared before
a parser sees the file.
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
from jaxadv.store.rows import one_line
from jaxadv.support.files import UNREADABLE, Damaged, Foreign
from model_ports.errors import InputError

FORMAT = 2
"""The format of run folders."""
ENTRY, SEAL = "jaxadv.part", "jaxadv.seal"
_OPEN = b"seal:00000000:00000000"
_SEAL = re.compile(rb"seal:([0-9a-f]{8}):([0-9a-f]{8})")
_MAGIC, _TRAILER = b"PAR1", 8  # bytes at the end: the footer's length, and the magic number


class About(NamedTuple):
    """What a part says of itself."""

    format: int
    kind: str
    unit: str
    rows: int
    digest: str  # of the identity, for this kind
    identity: Identity


class Part(NamedTuple):
    """A part that was read, its checksums compared."""

    about: About
    file: pq.ParquetFile

    def entry(self, name: str) -> bytes | None:
        """Another entry of the footer; None if there is none."""
        return (self.file.metadata.metadata or {}).get(name.encode())

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows, or some of their columns; names that the part lacks are left out."""
        names = columns and [name for name in columns if name in self.file.schema_arrow.names]
        return self.file.read(
            columns=names, use_threads=False
        )  # parts are small: threads take longer


def encode(content: pa.Table, about: About, entries: Mapping[str, str]) -> bytes:
    """The bytes of a part.

    Args:
        content: its rows.
        about: what the part says of itself.
        entries: further entries of the footer.
    """
    sink = pa.BufferOutputStream()
    text = json.dumps(about._asdict() | about.identity.to_json())
    with pq.ParquetWriter(
        sink, content.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        writer.write_table(content)
        writer.add_key_value_metadata({**entries, ENTRY: text, SEAL: _OPEN.decode()})
    data = bytearray(sink.getvalue())
    start, seal = (
        len(data) - _footer(bytes(data[-_TRAILER:]), _MAGIC, len(data)),
        data.rindex(_OPEN),
    )
    view = memoryview(data)
    data[seal + 5 : seal + 13] = b"%08x" % zlib.crc32(view[:start])
    data[seal + 14 : seal + 22] = b"%08x" % zlib.crc32(view[start:])
    return bytes(data)


def read(path: Path) -> Part:
    """A part with its rows; every byte is compared with the checksums.

    Raises:
        FileNotFoundError: where nothing is there.
        Damaged: for a part that is not what was written.
        Foreign: for a file that this program did not write, or not in this format.
        InputError: for a file that cannot be read.
    """
    with _told(path):
        data = path.read_bytes()
        length = _footer(data, data[:4], len(data))
        part, body = _of_footer(data[len(data) - length :], data)
        if zlib.crc32(memoryview(data)[: len(data) - length]) != body:
            raise Damaged("its checksum is wrong")
        return part


def read_footer(path: Path) -> Part:
    """A part whose footer alone is read and compared; its rows cannot be had. Raises as `read`."""
    with _told(path), open(path, "rb") as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(4)
        file.seek(max(0, size - _TRAILER))
        length = _footer(file.read(), head, size)
        file.seek(size - length)
        data = file.read()
        return _of_footer(data, _MAGIC + data)[0]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors that name the file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except Damaged as error:
        remedy = "give the command that made it again, or remove it"
        raise Damaged(f"{str(path)!r} is not a readable part ({error}); {remedy}") from error
    except Foreign as error:
        raise Foreign(f"{str(path)!r} {error}") from error


def _footer(end: bytes, head: bytes, size: int) -> int:
    """The number of bytes of a file's footer, its length and the magic number included.

    Args:
        end: what the file ends with, 8 bytes at least.
        head: its first 4 bytes.
        size: of the file, bytes.

    Raises:
        Damaged: for a file that begins as a part, or is empty, and has no footer.
        Foreign: for another file without a footer.
    """
    length = int.from_bytes(end[-_TRAILER:-4], "little") + _TRAILER
    if end[-4:] == _MAGIC and length <= size:
        return length
    if head == _MAGIC or not head.strip(b"\0"):
        raise Damaged("it is cut short")
    raise Foreign("is no Parquet file")


def _of_footer(footer: bytes, data: bytes) -> tuple[Part, int]:
    """The part that a footer describes, and the CRC-32 that it records of the bytes before it.

    data: what a parser is given. Raises Damaged and Foreign.
    """
    seal = next(reversed(list(_SEAL.finditer(footer))), None)
    if seal is None and ENTRY.encode() in footer:
        raise Damaged("its checksums are not there")
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
    except (*UNREADABLE, pa.ArrowException) as error:  # a seal of ours on something else
        raise Foreign(f"was written by another program ({one_line(error)})") from error
    return Part(about, file), int(seal[1], 16)
