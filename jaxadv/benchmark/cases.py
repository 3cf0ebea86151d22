"""The networks and images whose results are compared in several precisions."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxadv.core.classifier import Classifier, load_classifier
from jaxadv.data.loader import Pictures
from jaxadv.data.sources import open_source

SEED = 1215


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and its images. Every other image is attacked with a random target."""

    classifier: Classifier
    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    ids: np.ndarray  # (N,) ids of the images

    @property
    def lanes(self) -> int:
        """The number of images, rounded up to a multiple of 8."""
        return -(-len(self.images) // 8) * 8

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """(N,) int32, the classes that the network gives to the images."""
        return self.classifier.logits_in_batches(self.images, self.lanes).argmax(1).astype(np.int32)

    @functools.cached_property
    def targets(self) -> np.ndarray:
        """(N,) int32, random classes other than the labels."""
        most = self.classifier.num_classes
        steps = np.random.default_rng(SEED).integers(1, most, size=len(self.images))
        return ((self.labels + steps) % most).astype(np.int32)

    @property
    def targeted(self) -> np.ndarray:
        """(N,) bool: True where the attack aims at the target."""
        return np.arange(len(self.images)) % 2 == 0

    def precise(self, variant: str) -> Classifier:
        """The classifier with the gradient precision of a variant.

        It shares the program for logits alone with the original classifier.
        """
        if variant == "nudged":
            return self.classifier
        other = self.classifier.with_gradient_precision(variant)
        other.oracle.logits = self.classifier.oracle.logits
        return other


def photographs(folder: Path, size: int, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Load photographs.

    Args:
        folder: a folder of pictures.
        size: the side of the images, in pixels.
        most: the largest number of images; None for all.

    Returns:
        Images (N, size, size, 3) float32 in [0, 1], and their ids (N,).

    Raises:
        InputError: if the folder cannot be used.
    """
    source = open_source(f"imagefolder:{folder}")
    batch = Pictures(source, np.arange(len(source))[:most], size=size).load()
    return batch.images, batch.ids


def of_photographs(
    data: Path, networks: Sequence[tuple[str, int]], most: int | None
) -> dict[str, Case]:
    """Make cases of MobileNets with real weights and of photographs.

    Args:
        data: a folder with weights/NETWORK.npz and images/val.
        networks: names and input sizes in pixels.
        most: the largest number of images; None for all.

    Raises:
        InputError: if weights or pictures are missing.
    """
    cases = {}
    for name, size in networks:
        weights = data / "weights" / f"{name}.npz"
        classifier = load_classifier(name, zoo="imagenet", weights=weights, input_size=size)
        cases[f"{name}_at_{size}"] = Case(
            classifier, *photographs(data / "images" / "val", size, most)
        )
    return cases


def of_recordings(module) -> dict[str, Case]:
    """Make cases of the two small networks of the recorded attacks.

    Args:
        module: the module `recorded` of the tests.
    """
    cases = {}
    for name in module.NETS:
        net = module.net(name)
        images = np.tile(net.images, (4, 1, 1, 1))  # each copy gets other targets
        cases[name] = Case(net.classifier, images, np.arange(len(images)))
    return cases
