"""Items of attacks: an image with its class, and the further data that an attack needs."""

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
        clf: the network to attack. It ranks the classes if ``logits`` is None.
        attacks: N attacks.
        images: (N, S, S, 3) float32 in [0, 1].
        classes: (N,) int32, the target class where ``targeted``, else the true class.
        targeted: (N,) bool.
        lanes: images of one call of the network.
        seed: the seed of all random draws, int32.
        ids: (N,) whole numbers, one for each image, which set the image's random draws. None for
            0..N-1.
        logits: (N, K) float32, the logits of the images if they are known.

    Returns:
        N items.

    Raises:
        InputError: if the seed or an id does not fit int32, or if an attack without a targeted form
            has a target.
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
    """Check that a network has neither too few classes for an attack nor too many.

    Args:
        attack: the attack.
        name: the network's name in errors.
        num_classes: the network's number of classes.

    Raises:
        InputError: if the number of classes is out of the attack's range.
    """
    need = needs_of(attack)
    if num_classes < need.classes:
        raise checks.InputError(
            f"{name} has {num_classes} classes; {attack!r} needs at least {need.classes}: "
            "give another attack or loss"
        )
    if need.most_classes is not None and num_classes > need.most_classes:
        raise checks.InputError(
            f"{name} has {num_classes} classes; {attack!r} takes at most {need.most_classes}, "
            "since each class costs a backward pass: set many_classes to allow more"
        )
