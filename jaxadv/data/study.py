"""The study's selection of images and its random targets, reproduced from its seed.

The study's code sorts the 50,000 names as strings, shuffles them with Python's `random`, and takes
the first 1000. It drops pictures that are not RGB after that. For random targets it seeds `random`
again, and draws once for each remaining image, right or wrong. The released code does this in
setup_imagenet.py and utils_for_test.py.

The 100 pairs of its CLEVER run are in target.tsv, on the development branch of the CLEVER
repository. Nobody has documented how they were selected. lists/clever_positions.txt has their
positions among the 1000.
"""

import functools
import random
from importlib import resources

import numpy as np

from jaxadv.data import validation
from model_ports.errors import InputError

SEED = 1215
COUNT = 1000


@functools.cache
def order(seed: int = SEED) -> np.ndarray:
    """The order into which the study's shuffle puts the validation images.

    Args:
        seed: the seed of the shuffle.

    Returns:
        (50000,) int64 numbers of images, from 1.
    """
    names = sorted(
        f"{label + 1}.{number:08d}.jpg" for number, label in enumerate(validation.study_labels(), 1)
    )
    random.Random(seed).shuffle(names)
    return np.array([int(name.split(".")[1]) for name in names])


def images(seed: int = SEED) -> np.ndarray:
    """The images that the study's code selects.

    Args:
        seed: the seed of its shuffle. 1215 is the README's, which the CLEVER run confirms. 1216 is
            the default of the code.

    Returns:
        (1000,) int64 numbers of images in the study's order, pictures that are not RGB included.
    """
    return order(seed)[:COUNT]


def clever_images(seed: int = SEED) -> np.ndarray:
    """The images that the study's CLEVER run scores.

    Args:
        seed: 1215, the only seed whose list is known.

    Returns:
        (100,) int64 numbers of images.

    Raises:
        InputError: for another seed.
    """
    if seed != SEED:
        raise InputError(
            f"--study_seed is {seed}; the images of clever100 are known for {SEED} alone: take "
            "selection study"
        )
    text = (resources.files("jaxadv.data") / "lists" / "clever_positions.txt").read_text()
    return images()[np.array(text.split(), int)]


def random_targets(labels: np.ndarray, *, num_classes: int = 1000, seed: int = SEED) -> np.ndarray:
    """The study's random targets.

    The k-th draw belongs to the k-th remaining image, whether a network classifies it correctly or
    not. In the CLEVER run it belongs to the k-th of the 100 pairs.

    Args:
        labels: (N,) labels from 0 of all images that are not dropped, in the study's order.
        num_classes: the number of classes.
        seed: the seed of the draws.

    Returns:
        (N,) int32 target classes from 0, never the label.
    """
    generator = random.Random(seed)
    draws = np.array([generator.randrange(num_classes - 1) for _ in labels], np.int32).reshape(
        len(labels)
    )
    return draws + (draws >= labels).astype(np.int32)
