"""Ensembles: several classifiers as one.

Adversarial images that fool all members transfer better (Liu et al. 2017; Dong et al. 2018).
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxadv.core.classifier import Classifier
from jaxadv.core.transfer import placed
from jaxadv.support import checks
from model_ports.errors import InputError


def ensemble(
    classifiers: Sequence[Classifier], *, name: str, input_size: int | None = None
) -> Classifier:
    """The classifier whose logits are the mean of its members' logits.

    It averages logits, not probabilities: mean probabilities have vanishing gradients and no scale
    for kappa. Dong et al. (2018, section 3.4) find that images against averaged logits transfer
    best. A member with large logits has more weight. The ensemble shares the members' parameters
    and copies none.

    Args:
        classifiers: two or more classifiers with the same classes.
        name: the name in tables.
        input_size: pixels; None for the largest input size of a member. For a member of another
            size the image is cropped or gets a border, as by `refit`.

    Returns:
        The ensemble, with the same classes as its members.

    Raises:
        InputError: if there are fewer than two members, or if their numbers of classes differ.
    """
    members = tuple(classifiers)
    if len(members) < 2:
        raise InputError(f"ensemble {name} has {len(members)} members; at least two are needed")
    classes = {member.name: member.num_classes for member in members}
    if len(set(classes.values())) > 1:
        counts = ", ".join(f"{member} {count}" for member, count in classes.items())
        raise InputError(
            f"ensemble {name} has members of different numbers of classes ({counts}); give "
            "members of the same classes"
        )
    size = max(member.input_size for member in members) if input_size is None else input_size
    checks.count("input_size", size)

    def apply(params: Any, images: Array) -> Array:
        shown = [placed(images, member.input_size, pad=jnp.pad) for member in members]
        logits = [
            member.stock(member_params, member_images)
            for member, member_params, member_images in zip(members, params, shown, strict=True)
        ]
        return sum(logits[1:], start=logits[0]) / len(members)

    made = Classifier(
        apply,
        tuple(member.params for member in members),
        input_size=size,
        num_classes=members[0].num_classes,
        name=name,
        facts={"members": [member.name for member in members]},
    )
    made.contract.is_exempt = all(member.contract.is_exempt for member in members)
    return made
