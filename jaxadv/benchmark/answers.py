"""What a less precise gradient changes in the answers of attacks and CLEVER, image by image.

Every probe runs in `highest` first; the other variants are compared with that. "nudged" is highest
again with one setting moved to the next float32: what rounding alone changes.
"""

import dataclasses
import functools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from jaxadv import clever_scores, oracle
from jaxadv.api import run_attacks
from jaxadv.attacks import IFGSM, CarliniWagnerL2, ElasticNetL1
from jaxadv.benchmark.programs import SEED, Whole
from jaxadv.benchmark.runner import Group, Item
from jaxadv.classifier import Classifier

VARIANTS = ("highest", "default", "nudged", "bfloat16")
REFERENCE = VARIANTS[0]
NUDGED = {"cw": "learning_rate", "ead": "learning_rate", "ifgsm_search": "initial_eps"}
OWN_NORM = {"cw": "l2", "ead": "l1", "ifgsm_search": "linf", "clever": "l2"}
NORMS = ("l0", "l1", "l2", "linf")


class Scale(NamedTuple):
    """How long the probes run."""

    steps: int = 100  # of each constant of C&W and EAD
    constants: int = 3
    attempts: int = 9  # of I-FGSM's search
    ifgsm_steps: int = 20
    scored: int = 74  # images
    batches: int = 16
    samples: int = 64


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


def attacks(scale: Scale) -> dict:
    """Those that search, shortened."""
    shared = {"steps": scale.steps, "search_steps": scale.constants, "initial_const": 1.0}
    return {
        "cw": CarliniWagnerL2(learning_rate=0.01, **shared),
        "ead": ElasticNetL1(learning_rate=0.01, **shared),
        "ifgsm_search": IFGSM(initial_eps=0.02, attempts=scale.attempts, steps=scale.ifgsm_steps),
    }


class Answers:
    """The probes' results of every image, kept in a CSV file beside the rows of the measurements.

    Args:
        path: of that file; one that is there is continued.
        device: what the answers are computed on.
        scale: how long the probes run.
    """

    def __init__(self, path: Path, device: str, scale: Scale):
        self._path, self._device, self._scale = path, device, scale

    def items(self, cases: dict[str, Case], compiling: float, guess: float) -> list[Item]:
        """Part b of some networks: variants in order, in each of them the networks.

        Args:
            cases: what to ask, by the name of the network.
            compiling: seconds that all their programs are guessed to take.
            guess: seconds of one attack on all images.
        """
        group, items = Group(f"programs of {', '.join(cases)}", compiling), []
        for variant in VARIANTS:
            for name, case in cases.items():
                known = case.precise(variant)
                both = ("ask", "logits") if variant == REFERENCE else ("ask",)
                need = Whole(f"{name} {variant}", known, case.lanes, both)
                needs = () if variant == "nudged" else (need,)
                steps = {
                    "rounding": partial(self._rounding, case, known),
                    **{each: partial(self._attack, name, case, known, each, variant) for each in attacks(self._scale)},
                    "clever": partial(self._clever, name, case, known, variant),
                }
                skipped = {"rounding", "clever"} if variant == "nudged" else set()
                if variant == REFERENCE:
                    skipped = {"rounding"}
                for what, measure in steps.items():
                    if what not in skipped:
                        seconds = 1.5 if what == "rounding" else guess
                        items.append(Item("b", name, what, variant, case.lanes, seconds, measure, needs, group))
        return items

    def _attack(self, name: str, case: Case, classifier: Classifier, what: str, variant: str) -> dict:
        attack = attacks(self._scale)[what]
        if variant == "nudged":
            value = np.float32(getattr(attack, NUDGED[what]))
            moved = float(np.nextafter(value, np.float32(2 * value)))
            attack = dataclasses.replace(attack, **{NUDGED[what]: moved})
        classes = np.where(case.targeted, case.targets, case.labels)
        count = len(case.images)
        result = run_attacks(classifier, [attack] * count, case.images, classes, case.targeted, lanes=case.lanes)
        path = result.details["eps" if what == "ifgsm_search" else "const"]
        columns = {norm: getattr(result, norm) for norm in NORMS}
        columns |= {"success": result.success, "revoked": result.revoked}
        columns |= {"gradients": result.gradients, "path": [" ".join(f"{x:.6g}" for x in row) for row in path]}
        return self._keep(name, what, variant, case.ids, columns)

    def _clever(self, name: str, case: Case, classifier: Classifier, variant: str) -> dict:
        use, scale = slice(self._scale.scored), self._scale
        scores = clever_scores(
            classifier,
            case.images[use],
            case.labels[use],
            case.targets[use],
            batches=scale.batches,
            samples=scale.samples,
            ids=case.ids[use],
            lanes=case.lanes,
        )
        columns = dict(zip(("l1", "l2", "linf"), scores.score.T, strict=True)) | {"success": scores.margin > 0}
        return self._keep(name, "clever", variant, case.ids[use], columns | {"revoked": False, "path": ""})

    def _keep(self, name: str, what: str, variant: str, ids: np.ndarray, columns: dict) -> dict:
        key = {"device": self._device, "network": name, "what": what, "variant": variant}
        names = ("image", "success", "revoked", *NORMS, "gradients", "path")
        rows = pd.DataFrame({"image": ids, **columns}).reindex(columns=names)
        rows = rows.assign(**key)[[*key, *names]]
        rows.to_csv(self._path, mode="a", header=not self._path.exists(), index=False, float_format="%.8g")
        told = pd.read_csv(self._path, keep_default_na=True)
        same = (told[["device", "network", "what"]] == [self._device, name, what]).all(axis=1)
        reference = told[same & (told["variant"] == REFERENCE)]
        return compare(reference, told[same & (told["variant"] == variant)], OWN_NORM[what])

    def _rounding(self, case: Case, classifier: Classifier) -> dict:
        """How far logits and gradients of the gradient program are from those in the highest precision."""
        filled = np.resize(case.images, (case.lanes, *case.images.shape[1:]))
        rows = np.arange(case.lanes) % len(case.images)
        labels, targets = case.labels[rows], case.targets[rows]
        one_hot = np.eye(case.classifier.num_classes, dtype=np.float32)
        objectives = jax.vmap(oracle.linear)(one_hot[labels] - one_hot[targets])
        device = jax.local_devices()[0]
        question = jax.device_put((filled, objectives), device)
        exact, rough = (jax.device_get(each.oracle.ask(each.params, *question)) for each in (case.classifier, classifier))
        return rounding(exact, rough, labels, targets)


def rounding(exact: oracle.Answer, rough: oracle.Answer, labels: np.ndarray, targets: np.ndarray) -> dict:
    """Errors of the margin between two classes, logit units, and of the gradient, relative; medians.

    Args:
        exact, rough: answers of N images, the gradients of that margin.
        labels, targets: (N,) the two classes.
    """
    rows = np.arange(len(labels))
    margins = [answer.logits[rows, labels] - answer.logits[rows, targets] for answer in (exact, rough)]
    error = np.abs(margins[1] - margins[0])
    axes = (1, 2, 3)
    apart = np.sqrt(np.square(rough.gradient - exact.gradient).sum(axes) / np.square(exact.gradient).sum(axes))
    return {
        "margin_error": float(np.median(error)),
        "largest_margin_error": float(error.max()),
        "gradient_error": float(np.median(apart)),
    }


def compare(reference: pd.DataFrame, rows: pd.DataFrame, norm: str) -> dict:
    """What became of the answers.

    Args:
        reference, rows: the same images, with columns image, success, revoked, ``norm`` and path.
        norm: of the distance (of the score) that is compared, where both have succeeded.

    Returns:
        Counts; the median of the relative changes and of their sizes, the change of the median, and
        the share of images with the same values of the searched setting.
    """
    pairs = reference.merge(rows, on="image", suffixes=("_before", ""), validate="one_to_one")
    before, after = pairs["success_before"].astype(bool), pairs["success"].astype(bool)
    both = pairs[before & after]
    old, new = both[f"{norm}_before"].astype(float), both[norm].astype(float)
    change = (new / old - 1)[old > 0]
    return {
        "images": len(pairs),
        "successes": int(after.sum()),
        "changed": int((before != after).sum()),
        "lost": int((before & ~after).sum()),
        "revoked": int(pairs["revoked"].astype(bool).sum()),
        "median_change": float(change.median()),
        "median_size": float(change.abs().median()),
        "change_of_median": float(new.median() / old.median() - 1) if len(both) else np.nan,
        "same_path": float((pairs["path_before"].fillna("") == pairs["path"].fillna("")).mean()),
    }


def photographs(folder: Path, size: int, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, size, size, 3) of a folder of photographs, and their numbers. Raises InputError."""
    from jaxadv.data.loader import Pictures
    from jaxadv.data.sources import open_source

    source = open_source(f"imagefolder:{folder}")
    batch = Pictures(source, np.arange(len(source))[:most], size=size).load()
    return batch.images, batch.ids


def of_photographs(data: Path, networks: Sequence[tuple[str, int]], most: int | None) -> dict[str, Case]:
    """MobileNets with real weights on photographs.

    Args:
        data: folder with weights/NETWORK.npz and images/val.
        networks: names and input sizes.
        most: images, None for all.
    """
    from jaxadv import load_classifier

    cases = {}
    for name, size in networks:
        weights = data / "weights" / f"{name}.npz"
        classifier = load_classifier(name, zoo="imagenet", weights=weights, input_size=size)
        cases[f"{name}_at_{size}"] = Case(classifier, *photographs(data / "images" / "val", size, most))
    return cases


def of_recordings(module) -> dict[str, Case]:
    """The two small nets of the recorded attacks; ``module``: the tests' `recorded`."""
    known = {name: module.net(name) for name in module.NETS}
    return {
        name: Case(net.classifier, np.tile(net.images, (4, 1, 1, 1)), np.arange(4 * len(net.images)))
        for name, net in known.items()
    }
