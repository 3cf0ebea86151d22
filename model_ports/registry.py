"""The networks of the study, one literal entry each, and how to get one as pure functions.

Accuracies are those published with the checkpoints that the study used. Where the release is not known, they are the
later one's. Input sizes are those of the study's code: its MobileNets run at 224 pixels, however they were trained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
from flax import nnx

from model_ports import (
    alexnet,
    densenet,
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
from model_ports.layers import ShapesOnly
from model_ports.preprocessing import PREPROCESSING

Params = dict[str, Any]

ZOOS = ("digits", "imagenet")
CLASSES = {"digits": 10, "imagenet": 1000}


@dataclass(frozen=True)
class ModelSpec:
    """What is fixed about one network, at full size and as the small version trained on digits."""

    name: str
    family: str  # as the study groups them
    input_size: int  # pixels, square
    preprocessing: str  # key of preprocessing.PREPROCESSING
    label_offset: int  # 1: output 0 is a background class
    source: str  # where the original checkpoint comes from
    sha256: str | None  # of that file, None where unknown
    top1: float | None  # published accuracy on the ILSVRC2012 validation set, percent
    top5: float | None
    builder: Callable[..., nnx.Module]  # (config, *, num_outputs, input_size, rngs)
    config: Any
    digits_config: Any
    digits_input_size: int
    weight_map: tuple
    fixed_size: bool = False  # True where the parameters' shapes depend on the input size
    variants: Mapping[str, Any] = field(default_factory=dict, hash=False)  # other configs at full size that take the same weights


_SLIM = "TF-Slim model zoo, "  # github.com/tensorflow/models, research/slim, as of 2018

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="alexnet",
        family="AlexNet",
        input_size=227,
        preprocessing="alexnet",
        label_offset=0,
        source="github.com/kratzert/finetune_alexnet_with_tensorflow, bvlc_alexnet.npy",
        sha256=None,
        top1=None,  # none was published with the conversion
        top5=None,
        builder=alexnet.alexnet,
        config=alexnet.ALEXNET,
        digits_config=alexnet.DIGITS,
        digits_input_size=25,
        weight_map=alexnet.WEIGHT_MAP,
        fixed_size=True,
        variants=alexnet.VARIANTS,
    ),
    ModelSpec(
        name="vgg_16",
        family="VGG",
        input_size=224,
        preprocessing="vgg",
        label_offset=0,
        source=_SLIM + "vgg_16_2016_08_28",
        sha256=None,
        top1=71.5,  # TF-Slim's README of 2018, pre-trained models
        top5=89.8,
        builder=vgg.vgg,
        config=vgg.VGG_16,
        digits_config=vgg.DIGITS_16,
        digits_input_size=24,
        weight_map=vgg.WEIGHT_MAP,
        fixed_size=True,
    ),
    ModelSpec(
        name="vgg_19",
        family="VGG",
        input_size=224,
        preprocessing="vgg",
        label_offset=0,
        source=_SLIM + "vgg_19_2016_08_28",
        sha256=None,
        top1=71.1,  # the same table
        top5=89.8,
        builder=vgg.vgg,
        config=vgg.VGG_19,
        digits_config=vgg.DIGITS_19,
        digits_input_size=24,
        weight_map=vgg.WEIGHT_MAP,
        fixed_size=True,
    ),
    ModelSpec(
        name="inception_v1",
        family="Inception",
        input_size=224,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "inception_v1_2016_08_28",
        sha256=None,
        top1=69.8,  # TF-Slim's README of 2018, and so for all Inceptions
        top5=89.6,
        builder=inception_v1.inception_v1,
        config=inception_v1.INCEPTION_V1,
        digits_config=inception_v1.DIGITS,
        digits_input_size=24,
        weight_map=inception_v1.WEIGHT_MAP,
    ),
    ModelSpec(
        name="inception_v2",
        family="Inception",
        input_size=224,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "inception_v2_2016_08_28",
        sha256=None,
        top1=73.9,
        top5=91.8,
        builder=inception_v2.inception_v2,
        config=inception_v2.INCEPTION_V2,
        digits_config=inception_v2.DIGITS,
        digits_input_size=24,
        weight_map=inception_v2.WEIGHT_MAP,
    ),
    ModelSpec(
        name="inception_v3",
        family="Inception",
        input_size=299,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "inception_v3_2016_08_28",
        sha256=None,
        top1=78.0,
        top5=93.9,
        builder=inception_v3.inception_v3,
        config=inception_v3.INCEPTION_V3,
        digits_config=inception_v3.DIGITS,
        digits_input_size=32,
        weight_map=inception_v3.WEIGHT_MAP,
    ),
    ModelSpec(
        name="inception_v4",
        family="Inception",
        input_size=299,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "inception_v4_2016_09_09",
        sha256=None,
        top1=80.2,
        top5=95.2,
        builder=inception_v4.inception_v4,
        config=inception_v4.INCEPTION_V4,
        digits_config=inception_v4.DIGITS,
        digits_input_size=32,
        weight_map=inception_v4.WEIGHT_MAP,
    ),
    ModelSpec(
        name="inception_resnet_v2",
        family="Inception",
        input_size=299,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "inception_resnet_v2_2016_08_30",
        sha256=None,
        top1=80.4,
        top5=95.3,
        builder=inception_resnet_v2.inception_resnet_v2,
        config=inception_resnet_v2.INCEPTION_RESNET_V2,
        digits_config=inception_resnet_v2.DIGITS,
        digits_input_size=32,
        weight_map=inception_resnet_v2.WEIGHT_MAP,
    ),
    ModelSpec(
        name="resnet_v2_50",
        family="ResNet",
        input_size=299,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "resnet_v2_50_2017_04_14",
        sha256=None,
        top1=75.6,  # TF-Slim's README of 2018, at 299 pixels with Inception's preprocessing
        top5=92.8,
        builder=resnet_v2.resnet_v2,
        config=resnet_v2.RESNET_V2_50,
        digits_config=resnet_v2.DIGITS_50,
        digits_input_size=32,
        weight_map=resnet_v2.WEIGHT_MAP,
    ),
    ModelSpec(
        name="resnet_v2_101",
        family="ResNet",
        input_size=299,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "resnet_v2_101_2017_04_14",
        sha256=None,
        top1=77.0,  # the same table
        top5=93.7,
        builder=resnet_v2.resnet_v2,
        config=resnet_v2.RESNET_V2_101,
        digits_config=resnet_v2.DIGITS_101,
        digits_input_size=32,
        weight_map=resnet_v2.WEIGHT_MAP,
    ),
    ModelSpec(
        name="resnet_v2_152",
        family="ResNet",
        input_size=299,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "resnet_v2_152_2017_04_14",
        sha256=None,
        top1=77.8,  # the same table
        top5=94.1,
        builder=resnet_v2.resnet_v2,
        config=resnet_v2.RESNET_V2_152,
        digits_config=resnet_v2.DIGITS_152,
        digits_input_size=32,
        weight_map=resnet_v2.WEIGHT_MAP,
    ),
    ModelSpec(
        name="densenet121_k32",
        family="DenseNet",
        input_size=224,
        preprocessing="densenet",
        label_offset=0,
        source="github.com/pudae/tensorflow-densenet, tf-densenet121",
        sha256=None,
        top1=74.91,  # that repository's README, at 224 pixels
        top5=92.19,
        builder=densenet.densenet,
        config=densenet.DENSENET_121,
        digits_config=densenet.DIGITS_121,
        digits_input_size=24,
        weight_map=densenet.WEIGHT_MAP,
    ),
    ModelSpec(
        name="densenet169_k32",
        family="DenseNet",
        input_size=224,
        preprocessing="densenet",
        label_offset=0,
        source="github.com/pudae/tensorflow-densenet, tf-densenet169",
        sha256=None,
        top1=76.09,
        top5=93.14,
        builder=densenet.densenet,
        config=densenet.DENSENET_169,
        digits_config=densenet.DIGITS_169,
        digits_input_size=24,
        weight_map=densenet.WEIGHT_MAP,
    ),
    ModelSpec(
        name="densenet161_k48",
        family="DenseNet",
        input_size=224,
        preprocessing="densenet",
        label_offset=0,
        source="github.com/pudae/tensorflow-densenet, tf-densenet161",
        sha256=None,
        top1=77.64,
        top5=93.79,
        builder=densenet.densenet,
        config=densenet.DENSENET_161,
        digits_config=densenet.DIGITS_161,
        digits_input_size=24,
        weight_map=densenet.WEIGHT_MAP,
    ),
    ModelSpec(
        name="mobilenet_v1_025",
        family="MobileNet",
        input_size=224,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "mobilenet_v1_0.25_128",
        sha256=None,
        top1=41.5,  # TF-Slim's MobileNet-v1 table of 2018-02, at 128 pixels (2017-06: 41.3 / 66.2)
        top5=66.3,
        builder=mobilenet.mobilenet_v1,
        config=mobilenet.MOBILENET_V1_025,
        digits_config=mobilenet.DIGITS_025,
        digits_input_size=24,
        weight_map=mobilenet.WEIGHT_MAP,
    ),
    ModelSpec(
        name="mobilenet_v1_050",
        family="MobileNet",
        input_size=224,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "mobilenet_v1_0.50_160",
        sha256=None,
        top1=59.1,  # the same table, at 160 pixels (2017-06: 59.9 / 82.5)
        top5=81.9,
        builder=mobilenet.mobilenet_v1,
        config=mobilenet.MOBILENET_V1_050,
        digits_config=mobilenet.DIGITS_050,
        digits_input_size=24,
        weight_map=mobilenet.WEIGHT_MAP,
    ),
    ModelSpec(
        name="mobilenet_v1_100",
        family="MobileNet",
        input_size=224,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "mobilenet_v1_1.0_224",
        sha256=None,
        top1=70.9,  # the same table (2017-06: 70.7 / 89.5)
        top5=89.9,
        builder=mobilenet.mobilenet_v1,
        config=mobilenet.MOBILENET_V1_100,
        digits_config=mobilenet.DIGITS_100,
        digits_input_size=24,
        weight_map=mobilenet.WEIGHT_MAP,
    ),
    ModelSpec(
        name="nasnet_large",
        family="NASNet",
        input_size=331,
        preprocessing="inception",
        label_offset=1,
        source=_SLIM + "nasnet-a_large_04_10_2017",
        sha256=None,
        top1=82.7,  # TF-Slim's README of 2018
        top5=96.2,
        builder=nasnet.nasnet,
        config=nasnet.NASNET_LARGE,
        digits_config=nasnet.DIGITS,
        digits_input_size=36,
        weight_map=nasnet.WEIGHT_MAP,
    ),
)


def spec(name: str) -> ModelSpec:
    """The entry called `name`. Raises InputError, with the nearest name, if there is none."""
    for entry in MODELS:
        if entry.name == name:
            return entry
    raise unknown("model", name, [entry.name for entry in MODELS])


class Network:
    """One network as pure functions over a nested dict of arrays, moving statistics included.

    Make it with `network`. `apply` and `train_apply` are fixed function objects, so that jit caches by them.
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
        return self.spec.builder(config, num_outputs=self.num_outputs, input_size=self.input_size, rngs=rngs)

    @cached_property
    def _abstract(self) -> tuple[nnx.GraphDef, Params, Params]:
        """Structure, shapes, and which arrays are trainable."""
        structure, state = nnx.split(self._build(ShapesOnly()))
        trainable = jax.tree.map(
            lambda variable: isinstance(variable, nnx.Param), state, is_leaf=lambda x: isinstance(x, nnx.Variable)
        )
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), nnx.to_pure_dict(state))
        return structure, shapes, nnx.to_pure_dict(trainable)

    def abstract(self) -> Params:
        """The parameters' shapes and dtypes; allocates no kernel."""
        return self._abstract[1]

    def trainable(self) -> Params:
        return self._abstract[2]

    def init(self, key: jax.Array) -> Params:
        """Fresh float32 parameters."""
        return nnx.to_pure_dict(nnx.state(self._build(nnx.Rngs(params=key))))

    def module(self, params: Params) -> nnx.Module:
        """The network itself, for a look inside. It takes preprocessed images."""
        return nnx.merge(self._abstract[0], params)

    def _apply(self, params: Params, images: jax.Array) -> jax.Array:
        """Images (N, H, W, 3), RGB in [0, 1] -> raw logits (N, num_outputs), in the dtype of params and images."""
        return self.module(params)(PREPROCESSING[self.spec.preprocessing](images))

    def _train_apply(self, params: Params, images: jax.Array) -> tuple[jax.Array, Params]:
        """Like `apply`, normalised by the batch. Returns raw logits, and params with updated moving statistics."""
        module = self.module(params)
        view = nnx.view(module, use_running_average=False, raise_if_not_found=False)
        logits = view(PREPROCESSING[self.spec.preprocessing](images))
        return logits, nnx.to_pure_dict(nnx.state(module))


def network(
    name: str, *, zoo: str, input_size: int | None = None, num_outputs: int | None = None, variant: str | None = None
) -> Network:
    """The network `name` at full size ("imagenet") or small ("digits").

    Args:
        name: of the entry.
        zoo: "digits" or "imagenet".
        input_size: pixels; the zoo's own if not given.
        num_outputs: background class included; the zoo's own if not given.
        variant: a name in the entry's `variants`, or None.

    Raises:
        InputError: for an unknown name, zoo or variant, or another input size where parameters depend on it.
    """
    entry = spec(name)
    if zoo not in ZOOS:
        raise unknown("zoo", zoo, ZOOS)
    if variant is not None:
        check_variant(entry, variant, zoo)
        entry = replace(entry, config=entry.variants[variant])
    own_size = entry.input_size if zoo == "imagenet" else entry.digits_input_size
    size = own_size if input_size is None else input_size
    if entry.fixed_size and size != own_size:
        raise InputError(f"input size {size} for {name}: fully connected layers allow only {own_size}; leave it out")
    if size < 1:
        raise InputError(f"input size {size} for {name}: must be positive pixels; leave it out for {own_size}")
    classes = CLASSES[zoo] if num_outputs is None else num_outputs - entry.label_offset
    if classes < 2:
        raise InputError(f"{num_outputs} outputs for {name}: at least {2 + entry.label_offset} are needed")
    return Network(entry, zoo=zoo, input_size=size, num_classes=classes)


def check_variant(entry: ModelSpec, variant: str | None, zoo: str) -> None:
    """Raises InputError for a variant that this network does not have."""
    if variant is not None and (variant not in entry.variants or zoo != "imagenet"):
        known = "; ".join(f"{other.name} at full size: {', '.join(other.variants)}" for other in MODELS if other.variants)
        raise InputError(f"--alexnet_lrn={variant} is no variant of {entry.name} ({zoo} zoo); allowed is {known}; or leave it out")
