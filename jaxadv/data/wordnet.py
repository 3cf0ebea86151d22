"""The 1000 classes of ILSVRC2012: WordNet ids in sorted order, which are classes 0..999.

A fact of the challenge; checked against the lists that TF-Slim (imagenet_lsvrc_2015_synsets.txt), timm and TensorFlow Datasets carry.
"""

import functools
import re
from importlib import resources

from model_ports.errors import InputError

COUNT = 1000
PATTERN = re.compile(r"n\d{8}")


@functools.cache
def classes() -> dict[str, int]:
    """WordNet id -> class, in order."""
    text = (resources.files("jaxadv.data") / "lists" / "wordnet_ids.txt").read_text()
    return {wordnet_id: number for number, wordnet_id in enumerate(text.split())}


def label(wordnet_id: str, *, where: str) -> int:
    """The class of a WordNet id. Raises InputError for one that is none of the 1000; where: what had it."""
    if wordnet_id not in classes():
        raise InputError(
            f"{where}: {wordnet_id!r} is none of ILSVRC2012's 1000 classes (n01440764 ... n15075141); leave it out"
        )
    return classes()[wordnet_id]
