"""RobustBench's 5000 images of the validation set.

lists/robustbench_images.txt has their numbers in RobustBench's order (its file
imagenet_test_image_ids.txt, commit 78fcc9e, November 2026).
"""

from importlib import resources

import numpy as np


def images() -> np.ndarray:
    """(5000,) int64, the numbers of the images in RobustBench's order."""
    text = resources.files("jaxadv.data").joinpath("lists/robustbench_images.txt").read_text()
    return np.array(text.split(), np.int64)
