"""What every reader of a network shares: names, sizes, normalisation, the function of JAX, and the
fingerprint."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core.classifier import Classifier
from jaxadv.foreign import trust
from jaxadv.foreign.layout import from_image_last, plain
from jaxadv.foreign.operators import types
from jaxadv.foreign.steps import Steps
from jaxadv.support import checks
from model_ports import checkpoint
from model_ports.errors import InputError

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and standard deviations of the channels, in pixels of [0, 1]."""


def plain_name(name: str) -> str:
    """A name of letters, digits, "_" and ".", as rows and files need it."""
    return re.sub(r"[^\w.]+", "_", name, flags=re.ASCII).strip("_.") or "network"


def input_size(given: int | None, known: int | None, name: str) -> int:
    """The pixels that are given, or else those that the network tells. Raises InputError."""
    size = known if given is None else given
    if size is None:
        raise InputError(
            f"input_size is not given, and {name} does not tell its own; give its pixels, such as "
            "224"
        )
    checks.count("input_size", size)
    return size


def classifier(
    apply: trust.Apply,
    params: Any,
    *,
    name: str,
    input_size: int,
    outputs: int,
    num_classes: int | None,
    label_offset: int,
    facts: dict[str, Any],
) -> Classifier:
    """The classifier of a network that was read.

    Args:
        apply: the function of the network: its weights and (N, S, S, 3) images in [0, 1] to logits.
        params: the weights.
        name: the name of its rows.
        input_size: pixels.
        outputs: the columns of the network's own output.
        num_classes: None if every output from ``label_offset`` on is a class.
        label_offset: the number of outputs in front of the classes.
        facts: what is known of the network.
    """
    return Classifier(
        apply,
        jax.device_put(params),
        input_size=input_size,
        num_classes=outputs - label_offset if num_classes is None else num_classes,
        name=name,
        label_offset=label_offset,
        facts=facts,
        outputs=outputs,
    )


def normalisation(mean: Sequence[float] | None, std: Sequence[float] | None) -> Normalisation:
    """Three numbers each; one is for all channels. Raises InputError."""
    found = []
    for what, value, default in (("mean", mean, 0.0), ("std", std, 1.0)):
        values = np.asarray(default if value is None else value, np.float64)
        if (
            values.shape not in ((), (1,), (3,))
            or not np.isfinite(values).all()
            or (what == "std" and (values <= 0).any())
        ):
            allowed = "positive numbers" if what == "std" else "numbers"
            raise InputError(
                f"{what} is {value!r}; three {allowed} are needed, for channels of [0, 1]"
            )
        found.append(tuple(float(v) for v in np.broadcast_to(values, (3,))))
    return found[0], found[1]


def applied(
    steps: Steps, normal: Normalisation, one_by_one: bool = False, working: Any = None
) -> trust.Apply:
    """``apply(params, images)`` of images (N, S, S, 3) in [0, 1].

    Args:
        steps: of images (N, C, H, W).
        normal: see `Normalisation`.
        one_by_one: whether the steps are for a batch of one image.
        working: the type that stands for single precision; None: that of the images.
    """

    def logits(params: Any, pixels: jax.Array) -> jax.Array:
        return plain(steps(params, from_image_last(pixels)))

    def apply(params: Any, images: jax.Array) -> jax.Array:
        mean, std = (jnp.asarray(numbers, images.dtype) for numbers in normal)
        pixels = (images - mean.reshape(1, 1, 1, 3)) / std.reshape(1, 1, 1, 3)
        with types.working(images.dtype if working is None else working):
            if one_by_one:
                return jax.vmap(lambda image: logits(params, image[None])[0])(pixels)
            return logits(params, pixels)

    return apply


def outputs(apply: trust.Apply, params: dict[str, np.ndarray], size: int) -> int:
    """The columns that a network gives."""
    one = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    return jax.eval_shape(apply, params, one).shape[1]


def fingerprint(steps: Steps, params: dict[str, np.ndarray], normal: Normalisation) -> str:
    """sha256 over the parameters, the steps and the normalisation."""
    program = repr([described(steps), normal])
    return hashlib.sha256(f"{checkpoint.fingerprint(params)}\n{program}".encode()).hexdigest()


def described(steps: Steps) -> list[Any]:
    """All that the result of steps depends on, but for the parameters and the code of the
    operators."""
    lines = []
    for step in steps.steps:
        inner = getattr(step.function, "steps", None)
        within = described(inner) if isinstance(inner, Steps) else None
        lines.append((step.name, step.place, step.arguments, step.keywords, within))
    return [lines, steps.inputs, steps.result, sorted(steps.orders.items())]
