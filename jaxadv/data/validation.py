"""The 50,000 validation images of ILSVRC2012: their numbers and labels.

An image is known by its number 1..50000, which its name bears as published (ILSVRC2012_val_00029510.JPEG) and as the study
renamed it (139.00029510.jpg, the label in front, 1..1000). lists/validation_labels.npy has the classes in order of the numbers: facts
of the challenge's development kit, in sorted WordNet order as TensorFlow Datasets lists them (datasets/imagenet2012/validation_labels.txt).

The study's names say 518 (the construction crane) of the 50 birds called crane, too, whose class is 135: with that slip, and only
with it, the recorded order of its 1000 images comes out of its seed (`jaxadv.data.study`). The folder's own labels stand where
they differ from ours by that alone.
"""

import functools
import re
from importlib import resources

import numpy as np

from model_ports.errors import InputError

COUNT = 50_000
BIRD_CRANE, STUDY_CRANE = 134, 517
PUBLISHED = re.compile(r"ILSVRC2012_val_(\d{8})\.[A-Za-z]+")
RENAMED = re.compile(r"(\d+)\.(\d{8})\.[A-Za-z]+")


@functools.cache
def labels() -> np.ndarray:
    """(50000,) int32, 0..999, of the images 1..50000."""
    with (resources.files("jaxadv.data") / "lists" / "validation_labels.npy").open("rb") as file:
        return np.load(file, allow_pickle=False).astype(np.int32)


def study_labels() -> np.ndarray:
    """The same as the study had them."""
    return np.where(labels() == BIRD_CRANE, STUDY_CRANE, labels())


def number(name: str) -> int | None:
    """Which validation image a file name means, 1..50000; None for any other name."""
    found = PUBLISHED.fullmatch(name)
    value = int(found[1]) if found else 0
    return value if 1 <= value <= COUNT else None


def check(ids: np.ndarray, given: np.ndarray, *, where: str) -> None:
    """Require labels to be those of the validation images of these numbers. Raises InputError."""
    wrong = np.flatnonzero((given != labels()[ids - 1]) & (given != study_labels()[ids - 1]))
    if len(wrong):
        first = wrong[0]
        raise InputError(
            f"{where}: label {given[first]} of ILSVRC2012_val_{ids[first]:08d}; it is {labels()[ids[first] - 1]} in sorted WordNet order "
            f"from 0 ({len(wrong)} of {len(ids)} differ); correct the labels: the development kit's own count in another order"
        )
