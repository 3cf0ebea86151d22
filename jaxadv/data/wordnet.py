"""The 1000 classes of ILSVRC2012: WordNet ids in sorted order are the classes 0..999.

The list agrees with those of TF-Slim (imagenet_lsvrc_2015_synsets.txt), timm and TensorFlow
Datasets.
"""

import functools
import re
from importlib import resources

from model_ports.errors import InputError

COUNT = 1000
PATTERN = re.compile(r"n\d{8}")


@functools.cache
def classes() -> dict[str, int]:
    """The class of each WordNet id, in the order of classes."""
    text = (resources.files("jaxadv.data") / "lists" / "wordnet_ids.txt").read_text()
    return {wordnet_id: number for number, wordnet_id in enumerate(text.split())}


def label(wordnet_id: str, *, where: str) -> int:
    """The class 0..999 of a WordNet id.

    Args:
        wordnet_id: the id, such as "n01440764".
        where: what has the id, for the message.

    Raises:
        InputError: if the id is none of the 1000.
    """
    if wordnet_id not in classes():
        raise InputError(
            f"{where}: {wordnet_id!r} is none of ILSVRC2012's 1000 classes (n01440764 ... "
            "n15075141); leave it out"
        )
    return classes()[wordnet_id]
