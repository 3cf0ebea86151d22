"""Keeps decoded pictures on disk, in shards that are mapped into memory.

A shard is two files. NAME.npy has the pictures, as uint8 if they were decoded to that. NAME.json
has their places in the shard, the stamps of their files, and a checksum of the pictures. It is
sealed. NAME is a SHA-256 of everything that determines the pixels, except the content of the files.
The stamps stand for that: if a file is written again, its shard is not used. Selections share a
shard if they group the same pictures. A shard with unreadable pictures is not kept, because a
faulty disk may recover.
"""

import io
import json
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxadv.support.files import UNREADABLE, read_sealed, write_atomically, write_sealed


class Shard(NamedTuple):
    """Some decoded pictures of a selection."""

    images: np.ndarray  # (N, S, S, 3) uint8 in 0..255, or float32 in [0, 1]
    kept: list[int]  # the places of the N pictures in the shard, ascending
    reasons: dict[int, str]  # why the pictures at other places were left out
    digests: list[str]  # for each place, the SHA-256 of the decoded bytes, or an empty string

    @classmethod
    def of(cls, drawn: list[np.ndarray | str], size: int, digests: list[str]) -> "Shard":
        """Make a shard.

        Args:
            drawn: for each place a picture (S, S, 3), or the reason why it is left out.
            size: the side S in pixels.
            digests: for each place the SHA-256 of the decoded bytes, or an empty string.
        """
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
    """Open a shard. Its pictures are mapped from disk.

    Args:
        folder: the folder of the shard.
        name: the name of the shard.
        stamps: the stamps of the pictures' files (`jaxadv.data.source.Source.stamp`).

    Returns:
        The shard. None if it does not exist or is damaged, or if a picture's file has changed.
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
    """Write a shard, unless it has unreadable pictures.

    Args:
        folder: the folder of the shard.
        name: the name of the shard.
        shard: the shard.
        stamps: the stamps of the pictures' files.

    Raises:
        InputError: if the folder cannot be written.
    """
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
    """The shape, type and CRC-32 of the pictures."""
    return [list(images.shape), images.dtype.str, zlib.crc32(np.ascontiguousarray(images).data)]
