"""Sequences of attacks, such as AutoAttack: each stage is a queue of the images that still
stand.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxadv.core import metrics
from jaxadv.core.chain import Piece
from jaxadv.core.classifier import Classifier
from jaxadv.core.probe import AttackSequence, Stage
from jaxadv.core.result import AttackResult
from jaxadv.support import checks

OF_SUCCESS = ("adversarial", "success", "near_tie", "predicted", *metrics.DISTANCES)
"""What a broken image has from the stage that broke it."""


RunAttacks = Callable[..., AttackResult]
"""A function like `jaxadv.api.run_attacks`."""


def run(
    clf: Classifier, piece: Piece, run_attacks: RunAttacks, *, lanes: int, seed: int = 0
) -> AttackResult:
    """Sequence i on image i, away from class i, for all i: stage by stage.

    Args:
        clf: the network.
        piece: N sequences with checked settings, N images and their true classes, no targets. Its
            ``advance`` is called with how many images are through, and how many of them are broken.
            Its journal has a journal for each stage.
        run_attacks: runs a stage.
        lanes: images of one call of the network.
        seed: of all draws.

    Returns:
        As `jaxadv.api.run_attacks`; details: "broken_by" (N,), the name of a stage, or "".

    Raises:
        InputError: for sequences mixed with other attacks, and for targets.
    """
    attacks: Sequence[Any] = piece.attacks
    _, images, classes, targeted, ids, logits, advance, journal = piece
    _check(attacks, targeted)
    ids = np.arange(len(images)) if ids is None else np.asarray(ids)

    def passed_on(_: int, __: int | None) -> None:
        """A stage ends no item; but whoever waits may give up."""
        if advance:
            advance(0, None)

    def run_stage(stage: list[Any], rows: np.ndarray, number: int) -> AttackResult:
        return run_attacks(
            clf,
            stage,
            images[rows],
            classes[rows],
            targeted[rows],
            lanes=lanes,
            seed=seed,
            ids=ids[rows],
            logits=None if logits is None else logits[rows],
            advance=passed_on,
            journal=journal and journal.of_stage(number),
        )

    made = {attack: attack.sequence for attack in dict.fromkeys(attacks)}
    sequences = [made[attack] for attack in attacks]
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
        part = run_stage([stage.probe for stage in stages], standing, number)
        whole.gradients[standing] += part.gradients
        whole.forwards[standing] += part.forwards
        whole.revoked[standing] |= part.revoked
        whole.invalid[standing] |= part.invalid
        asks = np.array([_asks_gradients(stage) for stage in stages], bool)
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
    asking = {sequence: any(map(_asks_gradients, sequence)) for sequence in made.values()}
    asks_some = np.array([asking[sequence] for sequence in sequences], bool)
    whole.zero_gradient[:] = flat & asks_some & ~whole.success & ~whole.invalid
    return whole


def _asks_gradients(stage: Stage) -> bool:
    schedule = stage.probe.schedule
    return any(phase.gradient for phase in schedule.prologue + schedule.cycle)


def _check(attacks: Sequence[Any], targeted: np.ndarray) -> None:
    """Raises InputError for what no sequence can do."""
    if not all(isinstance(attack, AttackSequence) for attack in attacks):
        raise checks.InputError(
            "the attacks are sequences and others mixed; run each kind in a call of its own"
        )
    if targeted.any():
        raise checks.InputError(
            f"{attacks[0]!r} has no targeted form; leave the targets out, or give another attack"
        )
