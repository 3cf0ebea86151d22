"""Networks and images of which the answers are compared in several precisions."""

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
    """A network with what it is asked about. Every other image is attacked with a random target."""

    classifier: Classifier
    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    ids: np.ndarray  # (N,) numbers of the images

    @property
    def lanes(self) -> int:
        """One for each image, in eights."""
        return -(-len(self.images) // 8) * 8

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """(N,) int32, what the network says."""
        return self.classifier.logits_in_batches(self.images, self.lanes).argmax(1).astype(np.int32)

    @functools.cached_property
    def targets(self) -> np.ndarray:
        """(N,) int32, other classes than the labels."""
        most = self.classifier.num_classes
        steps = np.random.default_rng(SEED).integers(1, most, size=len(self.images))
        return ((self.labels + steps) % most).astype(np.int32)

    @property
    def targeted(self) -> np.ndarray:
        """(N,) bool: towards the target, or away from the label."""
        return np.arange(len(self.images)) % 2 == 0

    def precise(self, variant: str) -> Classifier:
        """The classifier with the gradient precision of a variant; they share the other program."""
        if variant == "nudged":
            return self.classifier
        other = self.classifier.with_gradient_precision(variant)
        other.oracle.logits = self.classifier.oracle.logits
        return other


def photographs(folder: Path, size: int, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, size, size, 3) of a folder, and their numbers. Raises InputError."""

    source = open_source(f"imagefolder:{folder}")
    batch = Pictures(source, np.arange(len(source))[:most], size=size).load()
    return batch.images, batch.ids


def of_photographs(
    data: Path, networks: Sequence[tuple[str, int]], most: int | None
) -> dict[str, Case]:
    """MobileNets with real weights on photographs.

    Args:
        data: folder with weights/NETWORK.npz and images/val.
        networks: names and input sizes.
        most: images, None for all.
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
    """The two small nets of the recorded attacks; ``module``: the tests' `recorded`."""
    cases = {}
    for name in module.NETS:
        net = module.net(name)
        images = np.tile(net.images, (4, 1, 1, 1))  # towards other targets each time
        cases[name] = Case(net.classifier, images, np.arange(len(images)))
    return cases
