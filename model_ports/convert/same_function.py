"""Says which networks are the same function in Keras or PyTorch. Only their weights can be
converted.

"The same function" means: a picture with values in [0, 1] gives the same logits of the 1000 classes
to 1e-5 relative, with each framework's own preprocessing. For VGG in Keras it is 2e-5, because its
means have one more digit.

Networks that are the same were run with the same random weights (tests/frameworks). A refusal names
the first differences in the published code of Keras 3.15 (keras.applications), timm 1.0.31 and
torchvision. That code was read, or is known, and was not run. Only the number for VGG in PyTorch
was measured.
"""

from model_ports.errors import InputError

FRAMEWORKS = {"keras": "keras.applications", "torch": "torchvision and timm"}

SAME = ""

_NONE = "it has no such network"
_SYMMETRIC = (
    "strided layers pad alike on both sides, where the original pads as TensorFlow's SAME, less "
    "before than after"
)
_VGG = (
    "its normalisation could move into the first layer, but that pads with zeros, which stand for "
    "another mean than the original's: the logits differ by 1e-4"
)
_RESNET_KERAS = (
    "the first pool pads with zeros, and alike on both sides, which the original's does not; "
    "epsilon is 1.001e-5, not 1e-5"
)
_RESNET_TORCH = (
    f"torchvision's are version 1; in timm's version 2 {_SYMMETRIC}, and the stride is in a "
    "block's first unit"
)
_DENSENET = (
    f"{_SYMMETRIC}; epsilon is {{}}, not 1.1e-5; and pixels are divided by their standard "
    "deviation, not multiplied by 0.017"
)
_MOBILENET = f"torchvision has no version 1; in timm's {_SYMMETRIC}, and epsilon is 1e-5, not 1e-3"

VERDICTS: dict[str, dict[str, str]] = {
    "alexnet": {
        "keras": _NONE,
        "torch": "torchvision's is the later network of one column: 64 channels at first, no "
        "groups, no local response normalisation",
    },
    "vgg_16": {"keras": SAME, "torch": _VGG},
    "vgg_19": {"keras": SAME, "torch": _VGG},
    "inception_v1": {
        "keras": _NONE,
        "torch": f"in torchvision's GoogLeNet {_SYMMETRIC}, and pools round their sizes up",
    },
    "inception_v2": {"keras": _NONE, "torch": _NONE},
    "inception_v3": {
        "keras": SAME,
        "torch": "average pools count the padding, the original's do not",
    },
    "inception_v4": {"keras": _NONE, "torch": SAME},
    "inception_resnet_v2": {"keras": SAME, "torch": SAME},
    "resnet_v2_50": {"keras": _RESNET_KERAS, "torch": _RESNET_TORCH},
    "resnet_v2_101": {"keras": _RESNET_KERAS, "torch": _RESNET_TORCH},
    "resnet_v2_152": {"keras": _RESNET_KERAS, "torch": _RESNET_TORCH},
    "densenet121_k32": {"keras": _DENSENET.format("1.001e-5"), "torch": _DENSENET.format("1e-5")},
    "densenet169_k32": {"keras": _DENSENET.format("1.001e-5"), "torch": _DENSENET.format("1e-5")},
    "densenet161_k48": {"keras": _NONE, "torch": _DENSENET.format("1e-5")},
    "mobilenet_v1_025": {"keras": SAME, "torch": _MOBILENET},
    "mobilenet_v1_050": {"keras": SAME, "torch": _MOBILENET},
    "mobilenet_v1_100": {"keras": SAME, "torch": _MOBILENET},
    "nasnet_large": {
        "keras": "reduction cells pad with zeros before max-pools and count them in average "
        "pools, the original does neither",
        "torch": "reduction cells count the padding in average pools, the original does not",
    },
}
"""For each network and framework: `SAME`, or the reason why it is another function.

Keras's MobileNets pad strided layers by one row and column at the end. That is SAME for even sizes,
so at multiples of 32 pixels.
"""


def check(model: str, framework: str, path) -> None:
    """Check that a network is the same function in a framework.

    Args:
        model: the network.
        framework: "keras" or "torch".
        path: the file, for the message.

    Raises:
        InputError: if it is not. The error has the reason.
    """
    reason = VERDICTS[model][framework]
    if reason != SAME:
        same = ", ".join(name for name, verdicts in VERDICTS.items() if verdicts[framework] == SAME)
        raise InputError(
            f"{path}: {model} is not the same function in {FRAMEWORKS[framework]}: {reason}; "
            f"give the original's own file (networks that are the same there: {same})"
        )
