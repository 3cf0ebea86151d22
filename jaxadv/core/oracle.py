"""The oracle: the one question that every attack and every CLEVER sample asks of a model.

"At this image, what are the logits, and what is the gradient of this objective with respect to the
image?"

The objective is data, with one row for each image. So a model and a batch shape have only two
compiled programs: logits, and logits with gradient. All attacks and CLEVER share them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, export

from jaxadv.core.programs import Program

PRECISIONS = ("highest", "high", "default", "bfloat16")
"""The precisions of the gradient program.

The first three are those of `jax.lax.Precision`, for matrix products and convolutions in float32.
On CPU they are the same. On a GPU "high" and "default" are TF32. On a TPU they are three passes of
bfloat16, and one pass. With "bfloat16" the weights, images and activations are rounded to bfloat16
on every device.
"""

_OPTIONS: dict[str, dict[str, str | bool]] = {
    "cpu": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"},
    "gpu": {"xla_gpu_exclude_nondeterministic_ops": True},
}


@functools.cache
def compiler_options() -> dict[str, str | bool]:
    """The compiler options for `jax.jit` of a network.

    On CPU, XLA uses YNNPACK for convolutions by default. XLA's own convolutions are up to 1.6 times
    as fast. The option selects them and keeps YNNPACK for matrix products. Gradients of 8 images on
    two cores with jaxlib 0.10.2 take 2.1 s instead of 3.0 s for ResNet-v2-50, 5.8 s instead of 7.4
    s for VGG-16, and 1.4 s instead of 2.3 s for DenseNet-121.

    On GPU, cuDNN's fastest gradients add in a varying order, so a continued run would differ. The
    option excludes them.

    Returns:
        The options of this device. Empty for other devices, and for a jaxlib that does not have the
        option.
    """
    options = _OPTIONS.get(jax.default_backend(), {})
    try:
        jax.jit(lambda: 0, compiler_options=options)()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


ALWAYS = 1e30
"""The confidence of a hinge that is active for all logits."""


class Ratio(NamedTuple):
    """The fourth term of an objective: a difference of logits over their spread.

    Scaling all logits does not change it.
    """

    coefficient: Array  # () float32
    aim: Array  # () int32, the class to compare with the label; -1 for the best other class
    fourth: Array  # () float32, the share of the fourth largest logit in the spread, 0 or 1/2
    floor: Array  # () float32, positive, added to the spread


class Objective(NamedTuple):
    """A scalar function of the logits Z of one image, whose gradient is asked for. It is the sum of
    four terms:

    ``weights . Z  +  cross_entropy * CE(Z, label)  +  hinge * max(0, sign * margin(Z, label) +
    confidence) +  ratio.coefficient * (sign * (Z_label - Z_other) + confidence) / (spread +
    ratio.floor)``

    with margin = Z_label - max_{i != label} Z_i. With sign -1 and label t the hinge is C&W's
    targeted f = max(0, max_{i != t} Z_i - Z_t + kappa). With sign +1 and the true label it is the
    untargeted f. The ratio is that of DLR (Croce & Hein 2020, equations 6 and 7). Z_other is the
    logit of ``ratio.aim``, or of the best other class. With the sorted logits z_1 >= z_2 >= ...,
    spread = z_1 - (1 - fourth) z_3 - fourth z_4. If the coefficient is zero, the ratio adds exact
    zeros to the gradient for any logits. So objectives without it do not change by a bit.
    """

    weights: Array  # (K,) float32
    cross_entropy: Array  # () float32, coefficient
    hinge: Array  # () float32, coefficient
    sign: Array  # () float32, +1 or -1
    confidence: Array | float  # () float32, kappa in logit units
    label: Array  # () int32, the class of cross-entropy, hinge and ratio
    ratio: Ratio


class Answer(NamedTuple):
    """A model's answer at one image."""

    logits: Array  # (K,) float32
    gradient: Array | None
    """(H, W, 3) float32, or (T, H, W, 3) for T objectives. None if only logits were asked for."""

    def asked_gradient(self) -> Array:
        """The gradient. Raises TypeError if only logits were asked for."""
        if self.gradient is None:
            raise TypeError("this answer has no gradient: its phase asks for logits alone")
        return self.gradient


for kind in (Ratio, Objective, Answer):
    export.register_namedtuple_serialization(kind, serialized_name=f"jaxadv.{kind.__name__}")


NO_AIM = -1
"""The aim of a ratio that compares the label with the best other class."""


def linear(weights: Array) -> Objective:
    """The objective ``weights . Z``.

    Args:
        weights: (K,) float32, or (T, K) for T objectives.

    Returns:
        One objective, or T objectives on a leading axis.
    """
    several = weights.shape[:-1]
    zero = jnp.zeros(several, weights.dtype)
    return Objective(
        weights, zero, zero, zero, zero, jnp.zeros(several, jnp.int32), _no_ratio(several)
    )


def cross_entropy(label: Array, coefficient: Array, num_classes: int) -> Objective:
    """The objective ``coefficient * CE(Z, label)``.

    Args:
        label: () int32.
        coefficient: () float32.
        num_classes: K.

    Returns:
        The objective.
    """
    return _of_label(label, num_classes)._replace(cross_entropy=coefficient)


def hinge(label: Array, targeted: Array, confidence: Array | float, num_classes: int) -> Objective:
    """C&W's hinge f (Carlini & Wagner 2017, section V.A, f_6).

    Args:
        label: () int32, the target class if ``targeted``, else the true class.
        targeted: () bool.
        confidence: kappa, in logit units.
        num_classes: K.

    Returns:
        The objective.
    """
    one = jnp.ones((), jnp.float32)
    sign = jnp.where(targeted, -one, one)
    return _of_label(label, num_classes)._replace(hinge=one, sign=sign, confidence=confidence)


def signed_margin(label: Array, sign: Array, num_classes: int) -> Objective:
    """The objective ``sign * margin(Z, label)`` plus a constant: a hinge that is always active.

    Args:
        label: () int32.
        sign: () float32, +1 or -1.
        num_classes: K.

    Returns:
        The objective.
    """
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

    Args:
        label: () int32.
        sign: () float32, +1 or -1.
        num_classes: K.
        aim: () int32, the other class, or `NO_AIM` for the best other class.
        fourth: () bool, whether the spread is z_1 - (z_3 + z_4) / 2. Otherwise it is z_1 - z_3.
        floor: positive, added to the spread.
        offset: () float32, None for 0.

    Returns:
        The objective.
    """
    share = jnp.where(fourth, 0.5, 0.0).astype(sign.dtype)
    term = Ratio(jnp.ones_like(sign), aim, share, jnp.full_like(sign, floor))
    offset = jnp.zeros_like(sign) if offset is None else offset
    return _of_label(label, num_classes)._replace(sign=sign, confidence=offset, ratio=term)


def _of_label(label: Array, num_classes: int) -> Objective:
    """The objective of a label with all coefficients zero."""
    zero = jnp.zeros((), jnp.float32)
    return Objective(
        jnp.zeros(num_classes, jnp.float32), zero, zero, zero, zero, label, _no_ratio(())
    )


def _no_ratio(shape: tuple[int, ...]) -> Ratio:
    zero = jnp.zeros(shape, jnp.float32)
    return Ratio(zero, jnp.full(shape, NO_AIM, jnp.int32), zero, jnp.ones(shape, jnp.float32))


def margin(logits: Array, label: Array) -> Array:
    """Z_label minus the largest other logit.

    The maximum masks the label by -inf, so it is exact for logits of any size. The release masks by
    -10000.

    Args:
        logits: (K,) float32.
        label: () int32.

    Returns:
        () float32.
    """
    is_label = jnp.arange(logits.shape[-1]) == label
    return logits[label] - jnp.max(jnp.where(is_label, -jnp.inf, logits))


def value(objective: Objective, logits: Array) -> Array:
    """The value of an objective. A hinge of exactly zero has slope zero, as with TensorFlow's
    maximum.

    Args:
        objective: the objective.
        logits: (K,) float32.

    Returns:
        () float32.
    """
    gap = objective.sign * margin(logits, objective.label) + objective.confidence
    entropy = jax.nn.logsumexp(logits) - logits[objective.label]
    return (
        jnp.sum(objective.weights * logits)
        + objective.cross_entropy * entropy
        + objective.hinge * jnp.where(gap > 0, gap, jnp.zeros_like(gap))
        + _ratio_term(objective, logits)
    )


def _ratio_term(objective: Objective, logits: Array) -> Array:
    """The fourth term.

    If its coefficient is zero, all logits are replaced by zero, so no infinite value can enter it.
    """
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
    """The ``count`` largest logits, in falling order.

    Each has the gradient of its logit. A sort would be slow on CPU.
    """
    classes = jnp.arange(logits.shape[-1])
    left = jax.lax.stop_gradient(logits)
    largest = []
    for _ in range(count):
        here = classes == jnp.argmax(left)
        largest.append(jnp.sum(jnp.where(here, logits, jnp.zeros_like(logits))))
        left = jnp.where(here, -jnp.inf, left)
    return largest


class Oracle:
    """The two compiled programs of a pure function ``apply(params, images) -> logits``. Do not call
    them inside another `jax.jit`.

    Weights are arguments, never constants, so networks of one architecture share a program. The
    logits program always uses the device's highest precision for the type of the arrays, since TF32
    or bfloat16 passes would change decisions. With a lower gradient precision the logits of the
    gradient program are less precise, too. A success by those logits must then be judged by the
    logits program.

    Args:
        apply: a function from params and images (N, H, W, 3) to logits (N, K).
        gradient_precision: one of `PRECISIONS`.
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
        """(params, images (N, H, W, 3), objectives with a leading axis N) -> Answer with a leading
        axis N.

        Objectives with leading axes (N, T) are T objectives for each image. They share the image's
        forward pass, in another compiled program.
        """


def _rounded(array: Array) -> Array:
    """A floating-point array in bfloat16; any other array unchanged."""
    return array.astype(jnp.bfloat16) if jnp.issubdtype(array.dtype, jnp.floating) else array
