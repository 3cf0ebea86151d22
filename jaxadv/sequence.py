"""Sequences of attacks, such as AutoAttack: each stage is a queue of the images that still stand."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from jaxadv.attacks.autoattack import AutoAttack
from jaxadv.core import metrics
from jaxadv.core.classifier import Classifier
from jaxadv.core.journal import Journal
from jaxadv.core.result import AttackResult

OF_SUCCESS = ("adversarial", "success", "near_tie", "predicted", *metrics.DISTANCES)
"""What a broken image has from the stage that broke it."""


class RunStage(Protocol):
    """Runs one attack on each image, as `jaxadv.api.run_attacks` does."""

    def __call__(
        self, attacks: list[Any], rows: np.ndarray, journal: Journal | None
    ) -> AttackResult: ...


def run(
    clf: Classifier,
    attacks: Sequence[AutoAttack],
    images: np.ndarray,
    classes: np.ndarray,
    run_stage: RunStage,
    *,
    lanes: int,
    logits: np.ndarray | None = None,
    advance: Callable[[int, int | None], None] | None = None,
    journal: Journal | None = None,
) -> AttackResult:
    """Sequence i on image i, away from class i, for all i: stage by stage.

    Args:
        clf: the network.
        attacks: N sequences, their settings checked.
        images: (N, S, S, 3) float32 in [0, 1], checked.
        classes: (N,) int32, the true classes.
        run_stage: runs a stage on the images of these numbers.
        lanes: images of one call of the network.
        logits: (N, K) of the images, if they are known.
        advance: called with how many images are through, and how many of them are broken.
        journal: has a journal for each stage.

    Returns:
        As `jaxadv.api.run_attacks`; details: "broken_by" (N,), the name of a stage, or "".
    """
    sequences = [attack.sequence for attack in attacks]
    count, standing = len(images), np.arange(len(images))
    clean = np.zeros((0, clf.num_classes), np.float32)
    if count:
        clean = clf.logits_in_batches(images, lanes) if logits is None else logits
    whole = AttackResult(
        adversarial=images.copy(),
        predicted=metrics.predicted(clean),
        gradients=np.zeros(count, np.int32),
        forwards=np.zeros(count, np.int32),
        details={"broken_by": np.full(count, "", "U16")},
        clean=images,
        classes=classes,
        targeted=np.zeros(count, bool),
        **{name: np.full(count, np.nan, np.float32) for name in metrics.DISTANCES},
        **{
            name: np.zeros(count, bool)
            for name in ("success", "near_tie", "revoked", "invalid", "zero_gradient")
        },
    )
    flat = np.full(count, True)  # every gradient so far was zero everywhere
    for number in range(max(map(len, sequences), default=0)):
        through = np.array([i for i in standing if len(sequences[i]) <= number], int)
        standing = np.array([i for i in standing if len(sequences[i]) > number], int)
        if advance:
            advance(len(through), 0)
        if not len(standing):
            break
        stages = [sequences[i][number] for i in standing]
        part = run_stage(
            [stage.probe for stage in stages], standing, journal and journal.of_stage(number)
        )
        whole.gradients[standing] += part.gradients
        whole.forwards[standing] += part.forwards
        whole.revoked[standing] |= part.revoked
        whole.invalid[standing] |= part.invalid
        asks = np.array([stage.probe.schedule.evaluations()[0] > 0 for stage in stages], bool)
        flat[standing] &= part.zero_gradient | ~asks
        broken = standing[part.success]
        for name in OF_SUCCESS:
            getattr(whole, name)[broken] = getattr(part, name)[part.success]
        whole.details["broken_by"][broken] = [
            stage.name for stage, gone in zip(stages, part.success, strict=True) if gone
        ]
        whole.revoked[broken] = whole.invalid[broken] = False
        if advance:
            advance(len(broken), len(broken))
        standing = standing[~part.success]
    if advance:
        advance(len(standing), 0)
    asks_some = np.array(
        [any(one.probe.schedule.evaluations()[0] for one in stages) for stages in sequences], bool
    )
    whole.zero_gradient[:] = flat & asks_some & ~whole.success & ~whole.invalid
    return whole
