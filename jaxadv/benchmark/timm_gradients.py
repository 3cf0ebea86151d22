"""The same gradient in PyTorch, of timm's network of that name, in the same precision."""

from collections.abc import Callable
from importlib.util import find_spec

import jax
import numpy as np

from jaxadv.commands.bench_pytorch import TIMM
from model_ports.convert import frameworks

IMPORTED = "timm"
"""Names what `frameworks.timm` imports, which takes seconds."""
NAMES = TIMM | {"nasnet_large": "nasnetalarge"}


def has(name: str) -> bool:
    """Whether PyTorch and timm are there, with a network of that name."""
    return name in NAMES and all(map(find_spec, ("torch", "timm")))


def gradient_of(name: str, precision: str, *, size: int, lanes: int) -> Callable[[int], None]:
    """A function that computes the gradients of ``lanes`` random images so many times, and waits.

    Args:
        name: of a network in `NAMES`; its weights are random.
        precision: "highest" (float32), "default" (TF32 on a GPU) or "bfloat16".
        size: of the images, pixels.
        lanes: images of one call.
    """
    timm = frameworks.timm()
    import torch

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision == "default"
    torch.backends.cuda.matmul.allow_tf32 = precision == "default"
    with torch.device(device):
        network = timm.create_model(NAMES[name], pretrained=False).eval().requires_grad_(False)
    network = network.to(dtype=dtype, memory_format=torch.channels_last)
    pixels = torch.rand(lanes, size, size, 3, device=device).permute(0, 3, 1, 2).to(dtype)
    chosen = torch.from_numpy(np.arange(lanes) % 1000)[:, None].to(device)

    def gradients(count: int) -> None:
        for _ in range(count):
            asked = pixels.detach().requires_grad_()
            torch.autograd.grad(network(asked).gather(1, chosen).sum(), asked)
        if device == "cuda":
            torch.cuda.synchronize()

    return gradients


def free() -> None:
    """Give the device's memory back that PyTorch keeps."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def version() -> str:
    """PyTorch's; empty where it is not there."""
    if not find_spec("torch"):
        return ""
    import torch

    return torch.__version__
