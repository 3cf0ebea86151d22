"""Decoded pictures on disk: shards that are mapped into memory, 8-bit where the pictures are.

A shard is two files: NAME.npy with the pictures, then NAME.json with their places. The name is a sha256 of all that the pixels follow from,
so a shard is never out of date, and serves every selection in which the same pictures come together. One with unreadable pictures is not
kept: a disk may recover.
"""

import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxadv.support.files import write_atomically


class Shard(NamedTuple):
    """Some pictures of a selection, as they were decoded."""

    images: np.ndarray  # (N, S, S, 3) uint8 of 0..255 or float32 of [0, 1]
    kept: list[int]  # N, their places in the shard, ascending
    reasons: dict[int, str]  # of the other places

    @classmethod
    def of(cls, drawn: list[np.ndarray | str], size: int) -> "Shard":
        """From pictures, and reasons to leave one out, in the order of their places."""
        kept = [place for place, picture in enumerate(drawn) if not isinstance(picture, str)]
        reasons = {place: picture for place, picture in enumerate(drawn) if isinstance(picture, str)}
        images = np.stack([drawn[place] for place in kept]) if kept else np.zeros((0, size, size, 3), np.uint8)
        return cls(images, kept, reasons)


def read_shard(folder: Path, name: str) -> Shard | None:
    """A shard, its pictures mapped from disk; None where it is not there or damaged."""
    try:
        places = json.loads((folder / f"{name}.json").read_text())
        images = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return Shard(images, places["kept"], {int(place): reason for place, reason in places["reasons"].items()})
    except (OSError, ValueError, KeyError, EOFError):
        return None


def write_shard(folder: Path, name: str, shard: Shard) -> None:
    """Raises InputError where the folder cannot be written."""
    if any(reason.startswith("unreadable") for reason in shard.reasons.values()):
        return
    stream = io.BytesIO()
    np.save(stream, shard.images)
    write_atomically(folder / f"{name}.npy", stream.getbuffer())
    write_atomically(folder / f"{name}.json", json.dumps({"kept": shard.kept, "reasons": shard.reasons}).encode())
