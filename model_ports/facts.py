"""Facts about the 18 networks of the study, for lists that must not import large libraries.

Accuracies are those published with the checkpoints that the study used. If the release is unknown,
they are those of the later release. Input sizes are those of the study's code. It runs MobileNets
at 224 pixels, whatever size they were trained at.
"""

from dataclasses import dataclass

from model_ports.errors import unknown

ZOOS = ("digits", "imagenet")
CLASSES = {"digits": 10, "imagenet": 1000}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts about one network at full size, and the input size of its small version."""

    name: str
    family: str  # the study's groups
    input_size: int  # side of the square input, in pixels
    digits_input_size: int  # the same for the small version
    preprocessing: str  # a key of preprocessing.PREPROCESSING
    label_offset: int  # 1 if output 0 is a background class, else 0
    parameters: int  # their number at full size, moving statistics included
    source: str  # the origin of the original checkpoint
    sha256: str | None  # of that file, None if unknown
    top1: float | None  # published accuracy on the ILSVRC2012 validation set, in percent
    top5: float | None  # the same, for the label among the first five


_SLIM = "TF-Slim model zoo, "  # github.com/tensorflow/models, research/slim, as of 2018

FACTS: tuple[Facts, ...] = (
    Facts(
        name="alexnet",
        family="AlexNet",
        input_size=227,
        digits_input_size=25,
        preprocessing="alexnet",
        label_offset=0,
        parameters=60_965_224,
        source="github.com/kratzert/finetune_alexnet_with_tensorflow, bvlc_alexnet.npy",
        sha256=None,
        top1=None,  # the conversion has no published accuracy
        top5=None,
    ),
    Facts(
        name="vgg_16",
        family="VGG",
        input_size=224,
        digits_input_size=24,
        preprocessing="vgg",
        label_offset=0,
        parameters=138_357_544,
        source=_SLIM + "vgg_16_2016_08_28",
        sha256=None,
        top1=71.5,  # TF-Slim's README of 2018, pre-trained models
        top5=89.8,
    ),
    Facts(
        name="vgg_19",
        family="VGG",
        input_size=224,
        digits_input_size=24,
        preprocessing="vgg",
        label_offset=0,
        parameters=143_667_240,
        source=_SLIM + "vgg_19_2016_08_28",
        sha256=None,
        top1=71.1,  # the same table
        top5=89.8,
    ),
    Facts(
        name="inception_v1",
        family="Inception",
        input_size=224,
        digits_input_size=24,
        preprocessing="inception",
        label_offset=1,
        parameters=6_633_209,
        source=_SLIM + "inception_v1_2016_08_28",
        sha256=None,
        top1=69.8,  # TF-Slim's README of 2018, as for all Inceptions
        top5=89.6,
    ),
    Facts(
        name="inception_v2",
        family="Inception",
        input_size=224,
        digits_input_size=24,
        preprocessing="inception",
        label_offset=1,
        parameters=11_199_137,
        source=_SLIM + "inception_v2_2016_08_28",
        sha256=None,
        top1=73.9,
        top5=91.8,
    ),
    Facts(
        name="inception_v3",
        family="Inception",
        input_size=299,
        digits_input_size=32,
        preprocessing="inception",
        label_offset=1,
        parameters=23_853_833,
        source=_SLIM + "inception_v3_2016_08_28",
        sha256=None,
        top1=78.0,
        top5=93.9,
    ),
    Facts(
        name="inception_v4",
        family="Inception",
        input_size=299,
        digits_input_size=32,
        preprocessing="inception",
        label_offset=1,
        parameters=42_712_937,
        source=_SLIM + "inception_v4_2016_09_09",
        sha256=None,
        top1=80.2,
        top5=95.2,
    ),
    Facts(
        name="inception_resnet_v2",
        family="Inception",
        input_size=299,
        digits_input_size=32,
        preprocessing="inception",
        label_offset=1,
        parameters=55_875_273,
        source=_SLIM + "inception_resnet_v2_2016_08_30",
        sha256=None,
        top1=80.4,
        top5=95.3,
    ),
    Facts(
        name="resnet_v2_50",
        family="ResNet",
        input_size=299,
        digits_input_size=32,
        preprocessing="inception",
        label_offset=1,
        parameters=25_615_849,
        source=_SLIM + "resnet_v2_50_2017_04_14",
        sha256=None,
        top1=75.6,  # TF-Slim's README of 2018, at 299 pixels with Inception's preprocessing
        top5=92.8,
    ),
    Facts(
        name="resnet_v2_101",
        family="ResNet",
        input_size=299,
        digits_input_size=32,
        preprocessing="inception",
        label_offset=1,
        parameters=44_677_609,
        source=_SLIM + "resnet_v2_101_2017_04_14",
        sha256=None,
        top1=77.0,  # the same table
        top5=93.7,
    ),
    Facts(
        name="resnet_v2_152",
        family="ResNet",
        input_size=299,
        digits_input_size=32,
        preprocessing="inception",
        label_offset=1,
        parameters=60_382_697,
        source=_SLIM + "resnet_v2_152_2017_04_14",
        sha256=None,
        top1=77.8,  # the same table
        top5=94.1,
    ),
    Facts(
        name="densenet121_k32",
        family="DenseNet",
        input_size=224,
        digits_input_size=24,
        preprocessing="densenet",
        label_offset=0,
        parameters=8_062_504,
        source="github.com/pudae/tensorflow-densenet, tf-densenet121",
        sha256=None,
        top1=74.91,  # that repository's README, at 224 pixels
        top5=92.19,
    ),
    Facts(
        name="densenet169_k32",
        family="DenseNet",
        input_size=224,
        digits_input_size=24,
        preprocessing="densenet",
        label_offset=0,
        parameters=14_307_880,
        source="github.com/pudae/tensorflow-densenet, tf-densenet169",
        sha256=None,
        top1=76.09,
        top5=93.14,
    ),
    Facts(
        name="densenet161_k48",
        family="DenseNet",
        input_size=224,
        digits_input_size=24,
        preprocessing="densenet",
        label_offset=0,
        parameters=28_900_936,
        source="github.com/pudae/tensorflow-densenet, tf-densenet161",
        sha256=None,
        top1=77.64,
        top5=93.79,
    ),
    Facts(
        name="mobilenet_v1_025",
        family="MobileNet",
        input_size=224,
        digits_input_size=24,
        preprocessing="inception",
        label_offset=1,
        parameters=475_801,
        source=_SLIM + "mobilenet_v1_0.25_128",
        sha256=None,
        top1=41.5,  # TF-Slim's MobileNet-v1 table of 2018-02, at 128 pixels (2017-06: 41.3 / 66.2)
        top5=66.3,
    ),
    Facts(
        name="mobilenet_v1_050",
        family="MobileNet",
        input_size=224,
        digits_input_size=24,
        preprocessing="inception",
        label_offset=1,
        parameters=1_343_049,
        source=_SLIM + "mobilenet_v1_0.50_160",
        sha256=None,
        top1=59.1,  # the same table, at 160 pixels (2017-06: 59.9 / 82.5)
        top5=81.9,
    ),
    Facts(
        name="mobilenet_v1_100",
        family="MobileNet",
        input_size=224,
        digits_input_size=24,
        preprocessing="inception",
        label_offset=1,
        parameters=4_254_889,
        source=_SLIM + "mobilenet_v1_1.0_224",
        sha256=None,
        top1=70.9,  # the same table (2017-06: 70.7 / 89.5)
        top5=89.9,
    ),
    Facts(
        name="nasnet_large",
        family="NASNet",
        input_size=331,
        digits_input_size=36,
        preprocessing="inception",
        label_offset=1,
        parameters=88_953_851,
        source=_SLIM + "nasnet-a_large_04_10_2017",
        sha256=None,
        top1=82.7,  # TF-Slim's README of 2018
        top5=96.2,
    ),
)
NAMES = tuple(facts.name for facts in FACTS)


def get(name: str) -> Facts:
    """The facts about a network.

    Raises:
        InputError: for an unknown name. The error suggests the most similar one.
    """
    for facts in FACTS:
        if facts.name == name:
            return facts
    raise unknown("model", name, NAMES)
