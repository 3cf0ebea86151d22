"""A source of labelled pictures."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jaxadv.data.pictures import Reading, Unusable, decode

MOST_CLASSES = 10**6
"""The most classes of a source that says only its labels."""


@dataclass(frozen=True)
class Source:
    """N labelled pictures.

    ``draw(index, size, reading)`` returns a picture (size, size, 3), RGB: uint8 in 0..255, or
    float32 in [0, 1]. It raises `Unusable` if that is impossible. Several threads call it.
    """

    name: str  # the name that the user gave, such as "imagefolder:DIR"
    ids: np.ndarray  # (N,) int64, all different
    labels: np.ndarray  # (N,) int32, 0..num_classes-1
    names: Sequence[str]  # N names, for messages
    num_classes: int
    fingerprint: str  # a SHA-256 of the names, the sizes and the labels
    draw: Callable[[int, int, Reading], np.ndarray]
    validation: bool = (
        False  # True if the ids are the numbers 1..50000 of ILSVRC2012's validation set
    )
    content: Callable[[int], bytes] | None = None
    """Returns the bytes of a picture, which are decoded in place of a call of ``draw``. None if the
    fingerprint covers the content of all pictures."""
    stamp: Callable[[int], list[int]] | None = None
    """Returns numbers that change when the file of a picture is written again: its size and times.
    """

    def picture(self, index: int, size: int, reading: Reading) -> tuple[np.ndarray | Unusable, str]:
        """Get a picture.

        Args:
            index: the index of the picture.
            size: the side of the result, in pixels.
            reading: how to preprocess.

        Returns:
            The picture (size, size, 3), or the reason why it is left out; and the SHA-256 of the
            decoded bytes, which is empty if the source has no ``content``.
        """
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
        """The facts that the manifest records."""
        return {
            "name": self.name,
            "images": len(self),
            "classes": self.num_classes,
            "sha256": self.fingerprint,
        }


def fingerprint(*facts) -> str:
    """The SHA-256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
