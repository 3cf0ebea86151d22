"""The one question that every attack and every CLEVER sample asks of a model.

"At this image, what are the logits, and what is the gradient of this objective with respect to the image?" The objective is
data, a row per image, so that one model and batch shape has two compiled programs, whatever asks: logits, and logits with gradient.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, export

from jaxadv.core.programs import Program

PRECISIONS = ("highest", "high", "default", "bfloat16")
"""Of the gradient program. The first three are `jax.lax.Precision`'s, of matrix products and convolutions in float32: on a processor they
are one and the same; on a GPU high and default are TF32, on a TPU three passes of bfloat16 and one. bfloat16: weights and images are
rounded to it, and so is all that the network makes of them, on every device."""

_OPTIONS: dict[str, dict[str, str | bool]] = {
    "cpu": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"},
    "gpu": {"xla_gpu_exclude_nondeterministic_ops": True},
}


@functools.cache
def compiler_options() -> dict[str, str | bool]:
    """For `jax.jit` of a network. Of a jaxlib that does not know the option, and elsewhere: nothing.

    On CPU, XLA leaves convolutions to YNNPACK unless told otherwise; its own are up to 1.6 times as fast. Matrix products stay there.
    Two cores, jaxlib 0.10.2, gradient of 8 images: ResNet-v2-50 3.0 against 2.1 s, VGG-16 7.4 and 5.8, DenseNet-121 2.3 and 1.4.
    On GPU, cuDNN's fastest gradients may add in any order, so that a run that is continued would not be the same run.
    """
    options = _OPTIONS.get(jax.default_backend(), {})
    try:
        jax.jit(lambda: 0, compiler_options=options)()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


ALWAYS = 1e30
"""Confidence of a hinge that is active at any logits."""


class Ratio(NamedTuple):
    """The fourth term of an objective: a difference of logits over their spread, which does not change when all logits are scaled."""

    coefficient: Array  # () float32
    aim: Array  # () int32, the class whose logit is compared with the label's; -1: the best other class
    fourth: Array  # () float32, share of the fourth largest logit in the spread, 0 or 1/2
    floor: Array  # () float32, what is added to the spread, positive


class Objective(NamedTuple):
    """A scalar function of the logits Z of one image, to be differentiated: the sum of four terms.

    ``weights . Z  +  cross_entropy * CE(Z, label)  +  hinge * max(0, sign * margin(Z, label) + confidence)
    +  ratio.coefficient * (sign * (Z_label - Z_other) + confidence) / (spread + ratio.floor)``

    with margin = Z_label - max_{i != label} Z_i. With sign -1 and label t the hinge is C&W's targeted
    f = max(0, max_{i != t} Z_i - Z_t + kappa); with sign +1 and the true label it is the untargeted one.
    The ratio is DLR's (Croce & Hein 2020, equations 6 and 7): Z_other is the best other class or ``ratio.aim``, and with z_1 >= z_2 >= ...
    the sorted logits spread = z_1 - (1 - fourth) z_3 - fourth z_4. Of an objective without it the ratio adds exact zeros to the
    gradient, whatever the logits: a term that others do not use changes no bit of theirs.
    """

    weights: Array  # (K,) float32
    cross_entropy: Array  # () float32, coefficient
    hinge: Array  # () float32, coefficient
    sign: Array  # () float32, +1 or -1
    confidence: Array | float  # () float32, kappa in logit units
    label: Array  # () int32, the class of cross-entropy, hinge and ratio
    ratio: Ratio


class Answer(NamedTuple):
    """What a model says at one image."""

    logits: Array  # (K,) float32
    gradient: (
        Array | None
    )  # (H, W, 3) float32, of the objective, (T, H, W, 3) of T; None where only logits were asked for

    def asked_gradient(self) -> Array:
        """The gradient, where it was asked for. Raises TypeError where only logits were."""
        if self.gradient is None:
            raise TypeError("this answer has no gradient: its phase asks for logits alone")
        return self.gradient


for kind in (Ratio, Objective, Answer):
    export.register_namedtuple_serialization(kind, serialized_name=f"jaxadv.{kind.__name__}")


NO_AIM = -1
"""Of a ratio: the label is compared with the best other class."""


def linear(weights: Array) -> Objective:
    """The objective ``weights . Z``; weights (K,), or (T, K) for T of them."""
    several = weights.shape[:-1]
    zero = jnp.zeros(several, weights.dtype)
    return Objective(
        weights, zero, zero, zero, zero, jnp.zeros(several, jnp.int32), _no_ratio(several)
    )


def cross_entropy(label: Array, coefficient: Array, num_classes: int) -> Objective:
    """The objective ``coefficient * CE(Z, label)``."""
    return _of_label(label, num_classes)._replace(cross_entropy=coefficient)


def hinge(label: Array, targeted: Array, confidence: Array | float, num_classes: int) -> Objective:
    """C&W's hinge f of ``label``: the target (targeted) or the true class (untargeted); kappa = confidence."""
    one = jnp.ones((), jnp.float32)
    sign = jnp.where(targeted, -one, one)
    return _of_label(label, num_classes)._replace(hinge=one, sign=sign, confidence=confidence)


def signed_margin(label: Array, sign: Array, num_classes: int) -> Objective:
    """The objective ``sign * margin(Z, label)``, up to a constant: a hinge that is always active."""
    return _of_label(label, num_classes)._replace(
        hinge=jnp.ones((), jnp.float32), sign=sign, confidence=jnp.float32(ALWAYS)
    )


def ratio(
    label: Array,
    sign: Array,
    num_classes: int,
    *,
    aim: Array,
    fourth: Array,
    floor: float = 1e-12,
    offset: Array | None = None,
) -> Objective:
    """The objective ``(sign * (Z_label - Z_other) + offset) / (spread + floor)``: see `Objective`.

    aim: the other class, or NO_AIM for the best other. fourth: () bool, whether the spread is z_1 - (z_3 + z_4) / 2 or z_1 - z_3.
    """
    share = jnp.where(fourth, 0.5, 0.0).astype(sign.dtype)
    term = Ratio(jnp.ones_like(sign), aim, share, jnp.full_like(sign, floor))
    offset = jnp.zeros_like(sign) if offset is None else offset
    return _of_label(label, num_classes)._replace(sign=sign, confidence=offset, ratio=term)


def _of_label(label: Array, num_classes: int) -> Objective:
    """Of a label, without any term."""
    zero = jnp.zeros((), jnp.float32)
    return Objective(
        jnp.zeros(num_classes, jnp.float32), zero, zero, zero, zero, label, _no_ratio(())
    )


def _no_ratio(shape: tuple[int, ...]) -> Ratio:
    zero = jnp.zeros(shape, jnp.float32)
    return Ratio(zero, jnp.full(shape, NO_AIM, jnp.int32), zero, jnp.ones(shape, jnp.float32))


def margin(logits: Array, label: Array) -> Array:
    """Z_label minus the largest other logit. The label is masked by -inf, not by the release's -10000, so that it is
    exact for logits of any size."""
    is_label = jnp.arange(logits.shape[-1]) == label
    return logits[label] - jnp.max(jnp.where(is_label, -jnp.inf, logits))


def value(objective: Objective, logits: Array) -> Array:
    """The objective at logits (K,), a scalar. A hinge of exactly zero has zero slope, as TensorFlow's maximum gives."""
    gap = objective.sign * margin(logits, objective.label) + objective.confidence
    entropy = jax.nn.logsumexp(logits) - logits[objective.label]
    return (
        jnp.sum(objective.weights * logits)
        + objective.cross_entropy * entropy
        + objective.hinge * jnp.where(gap > 0, gap, jnp.zeros_like(gap))
        + _ratio_term(objective, logits)
    )


def _ratio_term(objective: Objective, logits: Array) -> Array:
    """The fourth term. Where its coefficient is zero it is that of logits that are all zero, so that nothing infinite reaches it."""
    part = objective.ratio
    logits = jnp.where(part.coefficient != 0, logits, jnp.zeros_like(logits))
    classes = jnp.arange(logits.shape[-1])
    largest = _largest(logits, min(4, logits.shape[-1]))
    third = largest[min(2, len(largest) - 1)]
    last = largest[-1]
    spread = largest[0] - ((1 - part.fourth) * third + part.fourth * last)
    at_aim = jnp.sum(jnp.where(classes == part.aim, logits, jnp.zeros_like(logits)))
    gap = jnp.where(part.aim < 0, margin(logits, objective.label), logits[objective.label] - at_aim)
    return part.coefficient * (objective.sign * gap + objective.confidence) / (spread + part.floor)


def _largest(logits: Array, count: int) -> list[Array]:
    """The ``count`` largest, each differentiated as the logit that it is; no sort, which is slow on a processor."""
    classes = jnp.arange(logits.shape[-1])
    left = jax.lax.stop_gradient(logits)
    largest = []
    for _ in range(count):
        here = classes == jnp.argmax(left)
        largest.append(jnp.sum(jnp.where(here, logits, jnp.zeros_like(logits))))
        left = jnp.where(here, -jnp.inf, left)
    return largest


class Oracle:
    """The two compiled programs of one pure function ``apply(params, images) -> logits``, not to be called inside another `jax.jit`.

    Weights are arguments, never constants, so that networks of one architecture share a program. Logits are computed in the highest
    precision that the device has for the arrays' type: TF32 or bfloat16 passes move decisions. So is the gradient, unless another
    of `PRECISIONS` is asked for; its program's logits are then as rough, and what they decide has to be judged by the other program.
    """

    def __init__(self, apply: Callable[[Any, Array], Array], gradient_precision: str = "highest"):
        self.apply = apply
        self.gradient_precision = gradient_precision

        def forward(params: Any, images: Array) -> Array:
            with jax.default_matmul_precision("highest"):
                return apply(params, images)

        def rough(params: Any, images: Array) -> Array:
            if gradient_precision != "bfloat16":
                return apply(params, images)
            return apply(*jax.tree.map(_rounded, (params, images))).astype(jnp.float32)

        def ask(params: Any, images: Array, objectives: Objective) -> Answer:
            with jax.default_matmul_precision(
                None if gradient_precision == "bfloat16" else gradient_precision
            ):
                logits, pull_back = jax.vjp(lambda pixels: rough(params, pixels), images)

                def gradient(objectives: Objective) -> Array:
                    return pull_back(jax.vmap(jax.grad(value, argnums=1))(objectives, logits))[0]

                several = objectives.label.ndim == 2
                return Answer(
                    logits,
                    (jax.vmap(gradient, in_axes=1, out_axes=1) if several else gradient)(
                        objectives
                    ),
                )

        self.logits: Program[Array] = Program(forward, compiler_options())
        """(params, images (N, H, W, 3)) -> logits (N, K)"""
        self.ask: Program[Answer] = Program(ask, compiler_options())
        """(params, images (N, H, W, 3), objectives with a leading axis N) -> Answer with a leading axis N.

        Objectives with axes (N, T) are T of each image, which share its forward pass: a program of its own."""


def _rounded(array: Array) -> Array:
    """To bfloat16, if it is of real numbers."""
    return array.astype(jnp.bfloat16) if jnp.issubdtype(array.dtype, jnp.floating) else array
