"""The 50,000 validation images of ILSVRC2012: their numbers and labels.

A number 1..50000 identifies an image. It is part of the published name
(ILSVRC2012_val_00029510.JPEG) and of the study's name (139.00029510.jpg, where 139 is the label in
1..1000). lists/validation_labels.npy has the classes in the order of the numbers. They are facts
from the challenge's development kit, in sorted WordNet order, as in TensorFlow Datasets
(datasets/imagenet2012/validation_labels.txt).

Two classes are called crane: the bird (label 135 of 1..1000) and the construction crane (518). The
study's names give 518 to the 50 images of the bird too. The recorded order of its 1000 images
follows from its seed only with this mistake (`jaxadv.data.study`). A folder's labels may have the
mistake or not.
"""

import functools
import re
from importlib import resources

import numpy as np

from model_ports.errors import InputError

COUNT = 50_000
BIRD_CRANE = 134
STUDY_CRANE = 517
PUBLISHED = re.compile(r"ILSVRC2012_val_(\d{8})\.[A-Za-z]+")
RENAMED = re.compile(r"(\d+)\.(\d{8})\.[A-Za-z]+")


@functools.cache
def labels() -> np.ndarray:
    """The classes of the images 1..50000: (50000,) int32 in 0..999."""
    with (resources.files("jaxadv.data") / "lists" / "validation_labels.npy").open("rb") as file:
        return np.load(file, allow_pickle=False).astype(np.int32)


def study_labels() -> np.ndarray:
    """The classes of the images 1..50000 in the study's names: (50000,) int32 in 0..999."""
    return np.where(labels() == BIRD_CRANE, STUDY_CRANE, labels())


def number(name: str) -> int | None:
    """The number 1..50000 of the validation image with a published name; None for another name."""
    match = PUBLISHED.fullmatch(name)
    value = int(match[1]) if match else 0
    return value if 1 <= value <= COUNT else None


def check(ids: np.ndarray, given: np.ndarray, *, where: str) -> None:
    """Check the labels of validation images.

    Args:
        ids: (N,) numbers of the images, 1..50000.
        given: (N,) their labels, which may have the study's mistake.
        where: what has the labels, for the message.

    Raises:
        InputError: if a label is wrong.
    """
    wrong = np.flatnonzero((given != labels()[ids - 1]) & (given != study_labels()[ids - 1]))
    if len(wrong):
        first = wrong[0]
        raise InputError(
            f"{where}: label {given[first]} of ILSVRC2012_val_{ids[first]:08d}; it is "
            f"{labels()[ids[first] - 1]} in sorted WordNet order "
            f"from 0 ({len(wrong)} of {len(ids)} differ); correct the labels: the development "
            "kit's own count in another order"
        )
