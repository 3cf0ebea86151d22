"""The networks of the study as pure functions. Each has one literal entry."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
from flax import nnx

from model_ports import (
    alexnet,
    densenet,
    facts,
    inception_resnet_v2,
    inception_v1,
    inception_v2,
    inception_v3,
    inception_v4,
    nasnet,
    resnet_v2,
    vgg,
)
from model_ports import mobilenet_v1 as mobilenet
from model_ports.errors import InputError, unknown
from model_ports.facts import CLASSES, ZOOS, Facts
from model_ports.layers import ShapesOnly
from model_ports.preprocessing import PREPROCESSING

Params = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Facts):
    """The facts about one network, and how to build it at full size and small."""

    builder: Callable[..., nnx.Module]  # (config, *, num_outputs, input_size, rngs)
    config: Any
    digits_config: Any
    weight_map: tuple
    fixed_size: bool = False  # True if the parameters' shapes depend on the input size
    # Other configurations at full size that take the same weights.
    variants: Mapping[str, Any] = field(default_factory=dict, hash=False)


def _spec(name: str, **built: Any) -> ModelSpec:
    """The entry of a network, with its facts."""
    return ModelSpec(**asdict(facts.get(name)), **built)


MODELS: tuple[ModelSpec, ...] = (
    _spec(
        "alexnet",
        builder=alexnet.alexnet,
        config=alexnet.ALEXNET,
        digits_config=alexnet.DIGITS,
        weight_map=alexnet.WEIGHT_MAP,
        fixed_size=True,
        variants=alexnet.VARIANTS,
    ),
    _spec(
        "vgg_16",
        builder=vgg.vgg,
        config=vgg.VGG_16,
        digits_config=vgg.DIGITS_16,
        weight_map=vgg.WEIGHT_MAP,
        fixed_size=True,
    ),
    _spec(
        "vgg_19",
        builder=vgg.vgg,
        config=vgg.VGG_19,
        digits_config=vgg.DIGITS_19,
        weight_map=vgg.WEIGHT_MAP,
        fixed_size=True,
    ),
    _spec(
        "inception_v1",
        builder=inception_v1.inception_v1,
        config=inception_v1.INCEPTION_V1,
        digits_config=inception_v1.DIGITS,
        weight_map=inception_v1.WEIGHT_MAP,
    ),
    _spec(
        "inception_v2",
        builder=inception_v2.inception_v2,
        config=inception_v2.INCEPTION_V2,
        digits_config=inception_v2.DIGITS,
        weight_map=inception_v2.WEIGHT_MAP,
    ),
    _spec(
        "inception_v3",
        builder=inception_v3.inception_v3,
        config=inception_v3.INCEPTION_V3,
        digits_config=inception_v3.DIGITS,
        weight_map=inception_v3.WEIGHT_MAP,
    ),
    _spec(
        "inception_v4",
        builder=inception_v4.inception_v4,
        config=inception_v4.INCEPTION_V4,
        digits_config=inception_v4.DIGITS,
        weight_map=inception_v4.WEIGHT_MAP,
    ),
    _spec(
        "inception_resnet_v2",
        builder=inception_resnet_v2.inception_resnet_v2,
        config=inception_resnet_v2.INCEPTION_RESNET_V2,
        digits_config=inception_resnet_v2.DIGITS,
        weight_map=inception_resnet_v2.WEIGHT_MAP,
    ),
    _spec(
        "resnet_v2_50",
        builder=resnet_v2.resnet_v2,
        config=resnet_v2.RESNET_V2_50,
        digits_config=resnet_v2.DIGITS_50,
        weight_map=resnet_v2.WEIGHT_MAP,
    ),
    _spec(
        "resnet_v2_101",
        builder=resnet_v2.resnet_v2,
        config=resnet_v2.RESNET_V2_101,
        digits_config=resnet_v2.DIGITS_101,
        weight_map=resnet_v2.WEIGHT_MAP,
    ),
    _spec(
        "resnet_v2_152",
        builder=resnet_v2.resnet_v2,
        config=resnet_v2.RESNET_V2_152,
        digits_config=resnet_v2.DIGITS_152,
        weight_map=resnet_v2.WEIGHT_MAP,
    ),
    _spec(
        "densenet121_k32",
        builder=densenet.densenet,
        config=densenet.DENSENET_121,
        digits_config=densenet.DIGITS_121,
        weight_map=densenet.WEIGHT_MAP,
    ),
    _spec(
        "densenet169_k32",
        builder=densenet.densenet,
        config=densenet.DENSENET_169,
        digits_config=densenet.DIGITS_169,
        weight_map=densenet.WEIGHT_MAP,
    ),
    _spec(
        "densenet161_k48",
        builder=densenet.densenet,
        config=densenet.DENSENET_161,
        digits_config=densenet.DIGITS_161,
        weight_map=densenet.WEIGHT_MAP,
    ),
    _spec(
        "mobilenet_v1_025",
        builder=mobilenet.mobilenet_v1,
        config=mobilenet.MOBILENET_V1_025,
        digits_config=mobilenet.DIGITS_025,
        weight_map=mobilenet.WEIGHT_MAP,
    ),
    _spec(
        "mobilenet_v1_050",
        builder=mobilenet.mobilenet_v1,
        config=mobilenet.MOBILENET_V1_050,
        digits_config=mobilenet.DIGITS_050,
        weight_map=mobilenet.WEIGHT_MAP,
    ),
    _spec(
        "mobilenet_v1_100",
        builder=mobilenet.mobilenet_v1,
        config=mobilenet.MOBILENET_V1_100,
        digits_config=mobilenet.DIGITS_100,
        weight_map=mobilenet.WEIGHT_MAP,
    ),
    _spec(
        "nasnet_large",
        builder=nasnet.nasnet,
        config=nasnet.NASNET_LARGE,
        digits_config=nasnet.DIGITS,
        weight_map=nasnet.WEIGHT_MAP,
    ),
)


def spec(name: str) -> ModelSpec:
    """The entry of a network.

    Raises:
        InputError: for an unknown name. The error suggests the most similar one.
    """
    for entry in MODELS:
        if entry.name == name:
            return entry
    raise unknown("model", name, [entry.name for entry in MODELS])


class Network:
    """One network as pure functions of its parameters, a nested dict with moving statistics.

    Make it with `network`. `apply` and `train_apply` are fixed function objects, so that jit can
    cache by them.
    """

    def __init__(self, entry: ModelSpec, *, zoo: str, input_size: int, num_classes: int):
        self.spec = entry
        self.zoo = zoo
        self.input_size = input_size
        self.num_classes = num_classes
        self.label_offset = entry.label_offset
        self.num_outputs = num_classes + entry.label_offset
        self.apply = self._apply
        self.train_apply = self._train_apply

    def __repr__(self) -> str:
        return f"Network({self.spec.name!r}, zoo={self.zoo!r}, input_size={self.input_size})"

    def _build(self, rngs: nnx.Rngs | ShapesOnly) -> nnx.Module:
        config = self.spec.config if self.zoo == "imagenet" else self.spec.digits_config
        return self.spec.builder(
            config, num_outputs=self.num_outputs, input_size=self.input_size, rngs=rngs
        )

    @cached_property
    def _abstract(self) -> tuple[nnx.GraphDef, Params, Params]:
        """The structure, the shapes, and which arrays are trainable."""
        structure, state = nnx.split(self._build(ShapesOnly()))
        trainable = jax.tree.map(
            lambda variable: isinstance(variable, nnx.Param),
            state,
            is_leaf=lambda x: isinstance(x, nnx.Variable),
        )
        shapes = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), nnx.to_pure_dict(state)
        )
        return structure, shapes, nnx.to_pure_dict(trainable)

    def abstract(self) -> Params:
        """The shapes and dtypes of the parameters. This allocates no kernel."""
        return self._abstract[1]

    def trainable(self) -> Params:
        """True for each trainable array, False for moving statistics, in the parameters'
        structure.
        """
        return self._abstract[2]

    def init(self, key: jax.Array) -> Params:
        """Random float32 parameters."""
        return nnx.to_pure_dict(nnx.state(self._build(nnx.Rngs(params=key))))

    def module(self, params: Params) -> nnx.Module:
        """The network as a Flax module. It takes preprocessed images."""
        return nnx.merge(self._abstract[0], params)

    def _apply(self, params: Params, images: jax.Array) -> jax.Array:
        """Images (N, H, W, 3), RGB in [0, 1] -> raw logits (N, num_outputs), in the arguments'
        dtype.
        """
        return self.module(params)(PREPROCESSING[self.spec.preprocessing](images))

    def _train_apply(self, params: Params, images: jax.Array) -> tuple[jax.Array, Params]:
        """Like `apply`, but normalised by the batch.

        Returns:
            Raw logits, and the parameters with updated moving statistics.
        """
        module = self.module(params)
        view = nnx.view(module, use_running_average=False, raise_if_not_found=False)
        logits = view(PREPROCESSING[self.spec.preprocessing](images))
        return logits, nnx.to_pure_dict(nnx.state(module))


def network(
    name: str,
    *,
    zoo: str,
    input_size: int | None = None,
    num_outputs: int | None = None,
    variant: str | None = None,
) -> Network:
    """Make a network of the study.

    Args:
        name: the network.
        zoo: "imagenet" for full size, or "digits" for the small version.
        input_size: the side of the images in pixels; the zoo's default if not given.
        num_outputs: the number of logits, background class included; the zoo's default if not
            given.
        variant: a name in the entry's `variants`, or None.

    Raises:
        InputError: for an unknown name, zoo or variant, or for an input size that the parameters do
            not allow.
    """
    entry = spec(name)
    if zoo not in ZOOS:
        raise unknown("zoo", zoo, ZOOS)
    if variant is not None:
        check_variant(entry, variant, zoo)
        entry = replace(entry, config=entry.variants[variant])
    default_size = entry.input_size if zoo == "imagenet" else entry.digits_input_size
    size = default_size if input_size is None else input_size
    if entry.fixed_size and size != default_size:
        raise InputError(
            f"input size {size} for {name}: fully connected layers allow only {default_size}; "
            "leave it out"
        )
    if size < 1:
        raise InputError(
            f"input size {size} for {name}: must be positive pixels; leave it out for "
            f"{default_size}"
        )
    classes = CLASSES[zoo] if num_outputs is None else num_outputs - entry.label_offset
    if classes < 2:
        raise InputError(
            f"{num_outputs} outputs for {name}: at least {2 + entry.label_offset} are needed"
        )
    return Network(entry, zoo=zoo, input_size=size, num_classes=classes)


def check_variant(entry: ModelSpec, variant: str | None, zoo: str) -> None:
    """Check that a network has a variant.

    Raises:
        InputError: if it does not.
    """
    if variant is not None and (variant not in entry.variants or zoo != "imagenet"):
        known = "; ".join(
            f"{other.name} at full size: {', '.join(other.variants)}"
            for other in MODELS
            if other.variants
        )
        raise InputError(
            f"--alexnet_lrn={variant} is no variant of {entry.name} ({zoo} zoo); allowed is "
            f"{known}; or leave it out"
        )
