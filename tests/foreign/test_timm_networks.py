"""The usual families of timm with random weights: proven against PyTorch in double and in single
precision."""

import gc
import warnings

import jax
import numpy as np
import pytest
import torch

import jaxadv
from jaxadv.foreign import trust
from model_ports.convert import frameworks

pytestmark = [pytest.mark.frameworks, pytest.mark.slow]

SETTINGS: dict[str, tuple[int, dict]] = {
    "resnet18": (32, {}),
    "resnet50": (32, {}),
    "densenet121": (32, {}),
    "inception_v3": (75, {}),
    "vgg16_bn": (32, {}),
    "mobilenetv3_small_100": (32, {}),
    "efficientnet_b0": (32, {}),
    "convnext_tiny": (32, {}),
    "vit_tiny_patch16_224": (32, {"img_size": 32}),
    "deit_tiny_patch16_224": (32, {"img_size": 32}),
    "swin_tiny_patch4_window7_224": (64, {"img_size": 64}),
    "mixer_s32_224": (64, {"img_size": 64}),
    "coatnet_pico_rw_224": (64, {"img_size": 64}),
}
"""Pixels, which are fewer than their own so that each takes seconds, and how timm makes it."""
OTHER_LANES = ("resnet18", "efficientnet_b0", "vit_tiny_patch16_224")


def shaken(name: str, **settings) -> torch.nn.Module:
    """A network of timm whose vectors are all random: fresh ones hide layers behind zeros and ones."""
    torch.manual_seed(0)
    network = frameworks.timm().create_model(name, num_classes=20, **settings)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim <= 1:
                parameter += 0.1 * torch.randn_like(parameter)
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.7, 1.4)
    return network.eval()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_network_of_timm_is_the_same_function(name):
    size, settings = SETTINGS[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the gradient differs")  # one unit that rounding flips
        classifier = jaxadv.from_torch(shaken(name, **settings), input_size=size)
    proof = classifier.facts["proof"]
    assert classifier.num_classes == 20 and classifier.name == name
    assert proof["double"]["logits"] <= trust.DOUBLE and proof["double"]["gradient"] <= trust.DOUBLE
    assert proof["single"]["logits"] <= trust.SINGLE, proof
    if name in OTHER_LANES:
        images = trust.test_images(size).astype(np.float32)
        weights = np.eye(20, dtype=np.float32)[[3, 7]]
        both = classifier.logits_and_gradient(images, weights)
        alone = [
            classifier.logits_and_gradient(images[i : i + 1], weights[i : i + 1]) for i in (0, 1)
        ]
        for found, of_one in zip(both, zip(*alone, strict=True), strict=True):
            assert trust.relative(np.asarray(found), np.concatenate(of_one)) < 1e-4
    jax.clear_caches()
    gc.collect()
