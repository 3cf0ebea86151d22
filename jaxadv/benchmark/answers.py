"""Measures how a less precise gradient changes the results of attacks and CLEVER, image by image.

Every attack runs in precision `highest` first, and the other variants are compared with that. The
variant "nudged" is `highest` with one setting moved to the next float32. It shows the effect of
rounding alone.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxadv.api import clever_scores, run_attacks
from jaxadv.attacks.carlini_wagner import CarliniWagnerL2
from jaxadv.attacks.elastic_net import ElasticNetL1
from jaxadv.attacks.fgsm import IFGSM
from jaxadv.benchmark.cases import Case
from jaxadv.benchmark.comparison import compare, rounding
from jaxadv.benchmark.programs import Whole
from jaxadv.benchmark.runner import Group, Item
from jaxadv.core import oracle
from jaxadv.core.classifier import Classifier

VARIANTS = ("highest", "default", "nudged", "bfloat16")
REFERENCE = VARIANTS[0]
NUDGED = {"cw": "learning_rate", "ead": "learning_rate", "ifgsm_search": "initial_eps"}
OWN_NORM = {"cw": "l2", "ead": "l1", "ifgsm_search": "linf", "clever": "l2"}
SKIPPED = {REFERENCE: ("rounding",), "nudged": ("rounding", "clever")}
NORMS = ("l0", "l1", "l2", "linf")


class Scale(NamedTuple):
    """How long the attacks and CLEVER run."""

    steps: int = 100  # for each constant of C&W and EAD
    constants: int = 3
    attempts: int = 9  # of I-FGSM's search
    ifgsm_steps: int = 20
    scored: int = 74  # images that CLEVER scores
    batches: int = 16
    samples: int = 64


def attacks(scale: Scale) -> dict:
    """The attacks that search, with short searches."""
    shared = {"steps": scale.steps, "search_steps": scale.constants, "initial_const": 1.0}
    return {
        "cw": CarliniWagnerL2(learning_rate=0.01, **shared),
        "ead": ElasticNetL1(learning_rate=0.01, **shared),
        "ifgsm_search": IFGSM(initial_eps=0.02, attempts=scale.attempts, steps=scale.ifgsm_steps),
    }


class Answers:
    """Runs attacks and CLEVER. Keeps the result of every image in a CSV file.

    Args:
        path: the CSV file. An existing file is continued.
        device: the kind of device.
        scale: how long the attacks and CLEVER run.
    """

    def __init__(self, path: Path, device: str, scale: Scale):
        self._path = path
        self._device = device
        self._scale = scale

    def items(self, cases: dict[str, Case], compiling: float, guess: float) -> list[Item]:
        """The measurements of part b, ordered by variant, then by network.

        Args:
            cases: the networks with their images, by name.
            compiling: the estimated seconds to compile all programs.
            guess: the estimated seconds of one attack on all images.
        """
        group = Group(f"programs of {', '.join(cases)}", compiling)
        items: list[Item] = []
        for variant in VARIANTS:
            for name, case in cases.items():
                variant_classifier = case.precise(variant)
                both = ("ask", "logits") if variant == REFERENCE else ("ask",)
                need = Whole(f"{name} {variant}", variant_classifier, case.lanes, both)
                needs = () if variant == "nudged" else (need,)
                steps = {
                    "rounding": partial(self._rounding, case, variant_classifier),
                    **{
                        each: partial(self._attack, name, case, variant_classifier, each, variant)
                        for each in attacks(self._scale)
                    },
                    "clever": partial(self._clever, name, case, variant_classifier, variant),
                }
                for what, measure in steps.items():
                    if what not in SKIPPED.get(variant, ()):
                        key = ("b", name, what, variant, case.lanes)
                        seconds = 1.5 if what == "rounding" else guess
                        items.append(Item(*key, seconds, measure, needs, group))
        return items

    def _attack(
        self, name: str, case: Case, classifier: Classifier, what: str, variant: str
    ) -> dict:
        attack = attacks(self._scale)[what]
        if variant == "nudged":
            value = np.float32(getattr(attack, NUDGED[what]))
            moved = float(np.nextafter(value, np.float32(2 * value)))
            attack = dataclasses.replace(attack, **{NUDGED[what]: moved})
        classes = np.where(case.targeted, case.targets, case.labels)
        count = len(case.images)
        result = run_attacks(
            classifier, [attack] * count, case.images, classes, case.targeted, lanes=case.lanes
        )
        path = result.details["eps" if what == "ifgsm_search" else "const"]
        columns = {norm: getattr(result, norm) for norm in NORMS}
        columns |= {"success": result.success, "revoked": result.revoked}
        columns |= {
            "gradients": result.gradients,
            "path": [" ".join(f"{x:.6g}" for x in row) for row in path],
        }
        return self._keep(name, what, variant, case.ids, columns)

    def _clever(self, name: str, case: Case, classifier: Classifier, variant: str) -> dict:
        use = slice(self._scale.scored)
        scale = self._scale
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
        columns = dict(zip(("l1", "l2", "linf"), scores.score.T, strict=True)) | {
            "success": scores.margin > 0
        }
        return self._keep(
            name, "clever", variant, case.ids[use], columns | {"revoked": False, "path": ""}
        )

    def _keep(self, name: str, what: str, variant: str, ids: np.ndarray, columns: dict) -> dict:
        key = {"device": self._device, "network": name, "what": what, "variant": variant}
        names = ("image", "success", "revoked", *NORMS, "gradients", "path")
        rows = pd.DataFrame({"image": ids, **columns}).reindex(columns=names)
        rows = rows.assign(**key)[[*key, *names]]
        rows.to_csv(
            self._path, mode="a", header=not self._path.exists(), index=False, float_format="%.8g"
        )
        stored = pd.read_csv(self._path).drop_duplicates([*key, "image"], keep="last")
        same = (stored[["device", "network", "what"]] == [self._device, name, what]).all(axis=1)
        reference = stored[same & (stored["variant"] == REFERENCE)]
        return compare(reference, stored[same & (stored["variant"] == variant)], OWN_NORM[what])

    def _rounding(self, case: Case, classifier: Classifier) -> dict:
        """The errors of the gradient program, relative to the program in the highest precision."""
        filled = np.resize(case.images, (case.lanes, *case.images.shape[1:]))
        rows = np.arange(case.lanes) % len(case.images)
        labels = case.labels[rows]
        targets = case.targets[rows]
        one_hot = np.eye(case.classifier.num_classes, dtype=np.float32)
        objectives = jax.vmap(oracle.linear)(jnp.asarray(one_hot[labels] - one_hot[targets]))
        device = jax.local_devices()[0]
        question = jax.device_put((filled, objectives), device)
        exact, rough = (
            jax.device_get(each.oracle.ask(each.params, *question))
            for each in (case.classifier, classifier)
        )
        return rounding(exact, rough, labels, targets)
