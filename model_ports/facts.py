"""Facts of the 18 networks of the study, without anything heavy: what a list of them needs.

Accuracies are those published with the checkpoints that the study used. Where the release is not known, they are the
later one's. Input sizes are those of the study's code: its MobileNets run at 224 pixels, however they were trained.
"""

from dataclasses import dataclass

from model_ports.errors import unknown

ZOOS = ("digits", "imagenet")
CLASSES = {"digits": 10, "imagenet": 1000}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one network at full size, and the size of its small version."""

    name: str
    family: str  # as the study groups them
    input_size: int  # pixels, square
    digits_input_size: int  # pixels, of the small version
    preprocessing: str  # key of preprocessing.PREPROCESSING
    label_offset: int  # 1: output 0 is a background class
    parameters: int  # at full size, moving statistics included
    source: str  # where the original checkpoint comes from
    sha256: str | None  # of that file, None where unknown
    top1: float | None  # published accuracy on the ILSVRC2012 validation set, percent
    top5: float | None


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
        top1=None,  # none was published with the conversion
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
        top1=69.8,  # TF-Slim's README of 2018, and so for all Inceptions
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
    """The facts of the network ``name``. Raises InputError, with the nearest name, if there is none."""
    for facts in FACTS:
        if facts.name == name:
            return facts
    raise unknown("model", name, NAMES)
