"""Networks of timm with random weights, at sizes at which each takes seconds."""

import torch

from model_ports.convert import frameworks

SETTINGS: dict[str, tuple[int, dict]] = {
    "resnet18": (32, {}),
    "vit_tiny_patch16_224": (32, {"img_size": 32}),
    "deit_tiny_patch16_224": (32, {"img_size": 32}),
    "mixer_s32_224": (64, {"img_size": 64}),
    "vgg16_bn": (32, {}),
    "mobilenetv3_small_100": (32, {}),
    "convnext_tiny": (32, {}),
    "resnet50": (32, {}),
    "swin_tiny_patch4_window7_224": (64, {"img_size": 64}),
    "coatnet_pico_rw_224": (64, {"img_size": 64}),
    "efficientnet_b0": (32, {}),
    "inception_v3": (75, {}),
    "densenet121": (32, {}),
}
"""Pixels, and how timm makes it."""
CLASSES = 20


def shaken(name: str) -> torch.nn.Module:
    """A network of timm whose vectors are all random: fresh ones hide layers behind zeros and
    ones.
    """
    torch.manual_seed(0)
    network = frameworks.timm().create_model(name, num_classes=CLASSES, **SETTINGS[name][1])
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim <= 1:
                parameter += 0.1 * torch.randn_like(parameter)
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.7, 1.4)
    return network.eval()
