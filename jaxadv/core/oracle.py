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


class Objective(NamedTuple):
    """A scalar function of the logits Z of one image, to be differentiated: the sum of three terms.

    ``weights . Z  +  cross_entropy * CE(Z, label)  +  hinge * max(0, sign * margin(Z, label) + confidence)``

    with margin = Z_label - max_{i != label} Z_i. With sign -1 and label t the hinge is C&W's targeted
    f = max(0, max_{i != t} Z_i - Z_t + kappa); with sign +1 and the true label it is the untargeted one.
    """

    weights: Array  # (K,) float32
    cross_entropy: Array  # () float32, coefficient
    hinge: Array  # () float32, coefficient
    sign: Array  # () float32, +1 or -1
    confidence: Array | float  # () float32, kappa in logit units
    label: Array  # () int32, the class of cross-entropy and hinge


class Answer(NamedTuple):
    """What a model says at one image."""

    logits: Array  # (K,) float32
    gradient: Array | None  # (H, W, 3) float32, of the objective, (T, H, W, 3) of T; None where only logits were asked for

    def asked_gradient(self) -> Array:
        """The gradient, where it was asked for. Raises TypeError where only logits were."""
        if self.gradient is None:
            raise TypeError("this answer has no gradient: its phase asks for logits alone")
        return self.gradient


for kind in (Objective, Answer):
    export.register_namedtuple_serialization(kind, serialized_name=f"jaxadv.{kind.__name__}")


def linear(weights: Array) -> Objective:
    """The objective ``weights . Z``; weights (K,), or (T, K) for T of them."""
    zero = jnp.zeros(weights.shape[:-1], weights.dtype)
    return Objective(weights, zero, zero, zero, zero, jnp.zeros(weights.shape[:-1], jnp.int32))


def cross_entropy(label: Array, coefficient: Array, num_classes: int) -> Objective:
    """The objective ``coefficient * CE(Z, label)``."""
    zero = jnp.zeros((), jnp.float32)
    return Objective(jnp.zeros(num_classes, jnp.float32), coefficient, zero, zero, zero, label)


def hinge(label: Array, targeted: Array, confidence: Array | float, num_classes: int) -> Objective:
    """C&W's hinge f of ``label``: the target (targeted) or the true class (untargeted); kappa = confidence."""
    zero, one = jnp.zeros((), jnp.float32), jnp.ones((), jnp.float32)
    return Objective(jnp.zeros(num_classes, jnp.float32), zero, one, jnp.where(targeted, -one, one), confidence, label)


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
    )


class Oracle:
    """The two compiled programs of one pure function ``apply(params, images) -> logits``, not to be called inside another `jax.jit`.

    Weights are arguments, never constants, so that networks of one architecture share a program. Logits are computed in the highest
    precision that the device has for the arrays' type: TF32 or bfloat16 passes move decisions. So is the gradient, unless another
    of `PRECISIONS` is asked for; its program's logits are then as rough, and what they decide has to be judged by the other program.
    """

    def __init__(self, apply: Callable[[Any, Array], Array], gradient_precision: str = "highest"):
        self.apply, self.gradient_precision = apply, gradient_precision

        def forward(params: Any, images: Array) -> Array:
            with jax.default_matmul_precision("highest"):
                return apply(params, images)

        def rough(params: Any, images: Array) -> Array:
            if gradient_precision != "bfloat16":
                return apply(params, images)
            return apply(*jax.tree.map(_rounded, (params, images))).astype(jnp.float32)

        def ask(params: Any, images: Array, objectives: Objective) -> Answer:
            with jax.default_matmul_precision(None if gradient_precision == "bfloat16" else gradient_precision):
                logits, pull_back = jax.vjp(lambda pixels: rough(params, pixels), images)

                def gradient(objectives: Objective) -> Array:
                    return pull_back(jax.vmap(jax.grad(value, argnums=1))(objectives, logits))[0]

                several = objectives.label.ndim == 2
                return Answer(logits, (jax.vmap(gradient, in_axes=1, out_axes=1) if several else gradient)(objectives))

        self.logits: Program[Array] = Program(forward, compiler_options())
        """(params, images (N, H, W, 3)) -> logits (N, K)"""
        self.ask: Program[Answer] = Program(ask, compiler_options())
        """(params, images (N, H, W, 3), objectives with a leading axis N) -> Answer with a leading axis N.

        Objectives with axes (N, T) are T of each image, which share its forward pass: a program of its own."""


def _rounded(array: Array) -> Array:
    """To bfloat16, if it is of real numbers."""
    return array.astype(jnp.bfloat16) if jnp.issubdtype(array.dtype, jnp.floating) else array
