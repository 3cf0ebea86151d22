"""Decoded pictures on disk: shards that are mapped into memory, 8-bit where the pictures are.

A shard is two files: NAME.npy with the pictures, then NAME.json with their places, what they were decoded from, and a checksum of the
pictures; it has one of its own. The name is a sha256 of all that the pixels follow from but the files' content: a shard whose files were
written anew is not used. It serves every selection in which the same pictures come together. One with unreadable pictures is not kept: a
disk may recover.
"""

import io
import json
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxadv.support.files import UNREADABLE, read_sealed, write_atomically, write_sealed


class Shard(NamedTuple):
    """Some pictures of a selection, as they were decoded."""

    images: np.ndarray  # (N, S, S, 3) uint8 of 0..255 or float32 of [0, 1]
    kept: list[int]  # N, their places in the shard, ascending
    reasons: dict[int, str]  # of the other places
    digests: list[str]  # of all places: of the bytes that were decoded, or empty

    @classmethod
    def of(cls, drawn: list[np.ndarray | str], size: int, digests: list[str]) -> "Shard":
        """From pictures, and reasons to leave one out, in the order of their places."""
        kept = [place for place, picture in enumerate(drawn) if not isinstance(picture, str)]
        reasons = {
            place: picture for place, picture in enumerate(drawn) if isinstance(picture, str)
        }
        images = (
            np.stack([drawn[place] for place in kept])
            if kept
            else np.zeros((0, size, size, 3), np.uint8)
        )
        return cls(images, kept, reasons, digests)


def read_shard(folder: Path, name: str, stamps: list[list[int]]) -> Shard | None:
    """A shard, its pictures mapped from disk; None where it is not there, damaged, or of files that were written anew.

    stamps: of the files of all places (`jaxadv.data.source.Source.stamp`).
    """
    try:
        places = json.loads(bytes(read_sealed(folder / f"{name}.json", name)))
        images = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if places["stamps"] != stamps or places["sum"] != _sum(images):
            return None
        reasons = {int(place): reason for place, reason in places["reasons"].items()}
        return Shard(images, places["kept"], reasons, places["digests"])
    except UNREADABLE:
        return None


def write_shard(folder: Path, name: str, shard: Shard, stamps: list[list[int]]) -> None:
    """Raises InputError where the folder cannot be written."""
    if any(reason.startswith("unreadable") for reason in shard.reasons.values()):
        return
    stream = io.BytesIO()
    np.save(stream, shard.images)
    write_atomically(folder / f"{name}.npy", stream.getbuffer())
    places = {
        "kept": shard.kept,
        "reasons": shard.reasons,
        "digests": shard.digests,
        "stamps": stamps,
        "sum": _sum(shard.images),
    }
    write_sealed(folder / f"{name}.json", json.dumps(places).encode(), name)


def _sum(images: np.ndarray) -> list:
    """What the pictures must be: their shape, type and CRC-32."""
    return [list(images.shape), images.dtype.str, zlib.crc32(np.ascontiguousarray(images).data)]
