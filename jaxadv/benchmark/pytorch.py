"""bench: the same gradient in PyTorch, of timm's network of that name, where both are installed."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from model_ports.convert import frameworks

TIMM = {
    "vgg_16": "vgg16",
    "vgg_19": "vgg19",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
    "resnet_v2_50": "resnetv2_50",
    "resnet_v2_101": "resnetv2_101",
    "resnet_v2_152": "resnetv2_152",
    "densenet121_k32": "densenet121",
    "densenet169_k32": "densenet169",
    "densenet161_k48": "densenet161",
    "mobilenet_v1_100": "mobilenetv1_100",
}
"""Networks of the same layers; where padding, or the unit of a stride, differs (see `same_function`), the work is about the same."""


def gradient_of(name: str, images: np.ndarray, targets: np.ndarray) -> Callable[[int], None] | None:
    """A function that computes logits and the gradient of each image's target logit, so many times; None without PyTorch, timm, or such a
    network.

    images: (N, S, S, 3) float32 in channels-last memory, as oneDNN likes it; random weights, normalisation as in evaluation. On a GPU where
    JAX is, if PyTorch knows of it: in float32 without TF32, by the convolutions that cuDNN finds fastest.
    """
    if name not in TIMM or not all(map(find_spec, ("torch", "timm"))):
        return None
    timm = frameworks.timm()
    import torch

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = False, True
    network: Any = timm.create_model(TIMM[name], pretrained=False)
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
    chosen = torch.from_numpy(targets.astype(np.int64))[:, None].to(device)

    def gradients(count: int) -> None:
        for _ in range(count):
            asked = pixels.detach().requires_grad_()
            torch.autograd.grad(network(asked).gather(1, chosen).sum(), asked)
        if device == "cuda":
            torch.cuda.synchronize()

    return gradients
