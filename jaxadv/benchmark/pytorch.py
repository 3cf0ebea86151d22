"""bench: the same gradient in PyTorch, with timm's network, if both are installed."""

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
    "nasnet_large": "nasnetalarge",
}
"""timm's networks with the same layers. Some differ in padding, or in the unit that has the stride
(see `same_function`). The amount of work is about the same."""


IMPORTED = "timm"
"""Identifies the import of timm. It takes seconds, and is done before the measurements."""


def has(name: str) -> bool:
    """True if PyTorch and timm are installed, and `TIMM` has the network."""
    return name in TIMM and all(map(find_spec, ("torch", "timm")))


def gradient_of(
    name: str, images: np.ndarray, targets: np.ndarray, precision: str = "highest"
) -> Callable[[int], None] | None:
    """Make a function that computes logits and the gradient of each image's target logit.

    The network has random weights, and channels last in memory. It is on a GPU if JAX uses one and
    PyTorch can. There cuDNN chooses the fastest convolutions.

    Args:
        name: a key of `TIMM`.
        images: (N, S, S, 3) float32, normalised as in evaluation.
        targets: (N,) classes.
        precision: "highest" for float32; "default" for TF32 on a GPU; "bfloat16" to round the
            network.

    Returns:
        A function of a number of calls, which waits for the last one. None if `has` is False.
    """
    if not has(name):
        return None
    timm = frameworks.timm()
    import torch

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision == "default"
    torch.backends.cuda.matmul.allow_tf32 = precision == "default"
    with torch.device(device):
        network: Any = timm.create_model(TIMM[name], pretrained=False)
        network = network.eval().requires_grad_(False)
    network = network.to(dtype=dtype, memory_format=torch.channels_last)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(device=device, dtype=dtype)
    chosen = torch.from_numpy(targets.astype(np.int64))[:, None].to(device)

    def gradients(count: int) -> None:
        for _ in range(count):
            leaf = pixels.detach().requires_grad_()
            torch.autograd.grad(network(leaf).gather(1, chosen).sum(), leaf)
        if device == "cuda":
            torch.cuda.synchronize()

    return gradients


def free() -> None:
    """Return memory that PyTorch has cached to the device."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def version() -> str:
    """PyTorch's version; empty if it is not installed."""
    if not find_spec("torch"):
        return ""
    import torch

    return torch.__version__
