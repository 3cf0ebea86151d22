"""A source of labelled pictures."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jaxadv.data.pictures import Reading, Unusable, decode


@dataclass(frozen=True)
class Source:
    """N labelled pictures.

    draw(index, size, reading) -> (size, size, 3) uint8 in 0..255 or float32 in [0, 1], RGB; raises Unusable. Called from
    several threads at once.
    """

    name: str  # as given: "imagefolder:DIR"
    ids: np.ndarray  # (N,) int64, all different
    labels: np.ndarray  # (N,) int32, 0..num_classes-1
    names: Sequence[str]  # N, for messages
    num_classes: int
    fingerprint: str  # sha256 of what names, sizes and labels say
    draw: Callable[[int, int, Reading], np.ndarray]
    validation: bool = False  # the ids are numbers of ILSVRC2012's validation images, 1..50000
    content: Callable[[int], bytes] | None = None
    """The bytes of a picture, which are decoded instead of drawing it; None where the fingerprint says what all pictures hold."""
    stamp: Callable[[int], list[int]] | None = None
    """Numbers that are others when a picture's file was written anew: its size and times."""

    def picture(self, index: int, size: int, reading: Reading) -> tuple[np.ndarray | Unusable, str]:
        """A picture, or why it is left out, and the SHA-256 of the bytes that it was decoded from; empty without `content`."""
        try:
            if self.content is None:
                return self.draw(index, size, reading), ""
            data = self.content(index)
        except Unusable as error:
            return error, ""
        digest = hashlib.sha256(data).hexdigest()
        try:
            return decode(data, size, reading), digest
        except Unusable as error:
            return error, digest

    def __len__(self) -> int:
        return len(self.ids)

    def facts(self) -> dict:
        """What the manifest says of the data."""
        return {
            "name": self.name,
            "images": len(self),
            "classes": self.num_classes,
            "sha256": self.fingerprint,
        }


def fingerprint(*facts) -> str:
    """sha256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
