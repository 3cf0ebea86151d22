"""What attacks work on: an image and its class, and what an attack needs beside them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxadv.core import targets
from jaxadv.core.classifier import Classifier
from jaxadv.core.probe import AttackItem, AttackProbe, Draw, needs_of
from jaxadv.support import checks


def items_of(
    clf: Classifier,
    attacks: Sequence[AttackProbe[Any]],
    images: np.ndarray,
    classes: np.ndarray,
    targeted: np.ndarray,
    *,
    lanes: int,
    seed: int = 0,
    ids: Any = None,
    logits: np.ndarray | None = None,
) -> list[AttackItem]:
    """The item of each attack.

    Args:
        clf: the network that is attacked; it ranks the classes where ``logits`` are not given.
        attacks: N attacks.
        images: (N, S, S, 3) float32 in [0, 1].
        classes: (N,) int32, targets where ``targeted``, else true classes.
        targeted: (N,) bool.
        lanes: images of one call of the network.
        seed: of all draws.
        ids: (N,) whole numbers of the images, which fix their draws; None for 0..N-1.
        logits: (N, K) float32 of the images, if they are known.

    Raises:
        InputError: for a seed or number that int32 does not hold, and for a target of an attack
            that has no targeted form.
    """
    count = len(images)
    kinds = {id(attack): needs_of(attack) for attack in attacks}
    needs = [kinds[id(attack)] for attack in attacks]
    number: Any = checks.whole_numbers("seed", seed)
    ids = np.arange(count) if ids is None else ids
    if any(need.draw for need in needs):
        ids = checks.whole_numbers("ids", ids, size=count)
    for attack, need, aims in zip(attacks, needs, targeted, strict=True):
        if need.untargeted and aims:
            raise checks.InputError(
                f"{attack!r} has no targeted form; leave the targets out, or give another attack"
            )
    ranked = np.flatnonzero([need.others > 0 for need in needs])
    others: dict[int, Any] = {}
    if len(ranked):
        known = clf.logits_in_batches(images[ranked], lanes) if logits is None else logits[ranked]
        for i, order in zip(ranked, targets.ranked(known, classes[ranked]), strict=True):
            others[int(i)] = order[: needs[i].others]
    pairs = zip(images, classes, targeted, strict=True)
    return [
        AttackItem(*pair, Draw(number, ids[i]) if needs[i].draw else None, others.get(i))
        for i, pair in enumerate(pairs)
    ]


def check_classes(attack: Any, name: str, num_classes: int) -> None:
    """Raises InputError where the network ``name`` has too few classes for an attack, or too many."""
    need = needs_of(attack)
    if num_classes < need.classes:
        raise checks.InputError(
            f"{name} has {num_classes} classes; {attack!r} needs {need.classes} at least: "
            "give another attack or loss"
        )
    if need.most_classes is not None and num_classes > need.most_classes:
        raise checks.InputError(
            f"{name} has {num_classes} classes; {attack!r} takes {need.most_classes} at most, "
            "since each costs a backward pass: set many_classes to allow more"
        )
