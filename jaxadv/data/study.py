"""Which images the study took, and its random targets: made again from its seed.

Its code sorts the 50,000 names as strings, shuffles them with Python's `random`, and takes the first 1000; pictures that are not RGB are
left out only then. Random targets come from the same seed afresh, a draw for each image left, right or wrong (released code,
setup_imagenet.py and utils_for_test.py). The 100 pairs of its CLEVER run (target.tsv of the CLEVER repository's development branch)
are a selection that nobody documented: lists/clever_positions.txt has their places among the 1000.
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
    """(50000,) int64: the numbers of the validation images as the study's shuffle puts them."""
    names = sorted(
        f"{label + 1}.{number:08d}.jpg" for number, label in enumerate(validation.study_labels(), 1)
    )
    random.Random(seed).shuffle(names)
    return np.array([int(name.split(".")[1]) for name in names])


def images(seed: int = SEED) -> np.ndarray:
    """The images that the study's code chooses.

    Args:
        seed: of its shuffle. 1215 is the README's, and the one that the CLEVER run attests; 1216 is the code's default.

    Returns:
        (1000,) int64: their numbers, in its order, those included that are not RGB.
    """
    return order(seed)[:COUNT]


def clever_images(seed: int = SEED) -> np.ndarray:
    """The images that the study's CLEVER run scores.

    Args:
        seed: 1215, the only one of which the list is known.

    Returns:
        (100,) int64: their numbers.

    Raises:
        InputError: for another seed.
    """
    if seed != SEED:
        raise InputError(
            f"--study_seed is {seed}, and the images of clever100 are known of {SEED} alone; take selection study"
        )
    text = (resources.files("jaxadv.data") / "lists" / "clever_positions.txt").read_text()
    return images()[np.array(text.split(), int)]


def random_targets(labels: np.ndarray, *, num_classes: int = 1000, seed: int = SEED) -> np.ndarray:
    """The study's random targets (N,) int32 for images with these labels (N,), 0-based, never the label.

    The k-th draw belongs to the k-th image that is not left out, whether a network has it right or not; so give the labels of all of them,
    in the study's order. In the CLEVER run the k-th draw belongs to the k-th of the 100 pairs.
    """
    generator = random.Random(seed)
    draws = np.array([generator.randrange(num_classes - 1) for _ in labels], np.int32).reshape(
        len(labels)
    )
    return draws + (draws >= labels).astype(np.int32)
