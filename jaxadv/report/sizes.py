"""How large the networks of the two zoos are: facts of the ports, kept here because a report is
made without JAX.

tests/report/test_study.py counts them again. The study's own table of layers and parameters is not
at hand.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Size(NamedTuple):
    """``parameters``: trained values, without moving statistics. ``layers``: those with weights,
    convolutions and matrix products, all branches and shortcuts included; within a family it grows
    with depth.
    """

    parameters: int
    layers: int


SIZES = {
    "imagenet": {
        "alexnet": Size(60_965_224, 8),
        "vgg_16": Size(138_357_544, 16),
        "vgg_19": Size(143_667_240, 19),
        "inception_v1": Size(6_618_649, 58),
        "inception_v2": Size(11_179_361, 71),
        "inception_v3": Size(23_819_401, 95),
        "inception_v4": Size(42_649_769, 150),
        "inception_resnet_v2": Size(55_814_729, 245),
        "resnet_v2_50": Size(25_570_409, 54),
        "resnet_v2_101": Size(44_579_945, 105),
        "resnet_v2_152": Size(60_238_953, 156),
        "densenet121_k32": Size(7_978_856, 121),
        "densenet169_k32": Size(14_149_480, 169),
        "densenet161_k48": Size(28_681_000, 161),
        "mobilenet_v1_025": Size(470_329, 28),
        "mobilenet_v1_050": Size(1_332_105, 28),
        "mobilenet_v1_100": Size(4_233_001, 28),
        "nasnet_large": Size(88_757_183, 489),
    },
    "digits": {
        "alexnet": Size(26_010, 8),
        "vgg_16": Size(50_738, 10),
        "vgg_19": Size(59_986, 11),
        "inception_v1": Size(32_531, 28),
        "inception_v2": Size(60_503, 43),
        "inception_v3": Size(84_565, 52),
        "inception_v4": Size(61_209, 59),
        "inception_resnet_v2": Size(67_417, 59),
        "resnet_v2_50": Size(90_491, 23),
        "resnet_v2_101": Size(72_443, 29),
        "resnet_v2_152": Size(89_739, 35),
        "densenet121_k32": Size(15_237, 24),
        "densenet169_k32": Size(20_877, 30),
        "densenet161_k48": Size(40_389, 30),
        "mobilenet_v1_025": Size(4_663, 14),
        "mobilenet_v1_050": Size(14_707, 14),
        "mobilenet_v1_100": Size(50_971, 14),
        "nasnet_large": Size(30_221, 90),
    },
}


def any_of_zoo(models: Iterable[str]) -> bool:
    """Whether a network of a zoo is among some models, alone or in an ensemble."""
    names = SIZES["imagenet"]  # both zoos have the same names
    return any(
        model in names
        or (model.startswith("ensemble.") and not names.keys().isdisjoint(model.split(".")))
        for model in models
    )
