"""Small convolutional networks, here and in PyTorch, with the same weights."""

import importlib
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.core.classifier import Classifier

NUMBERS = ("NHWC", "HWIO", "NHWC")


class Convolution(NamedTuple):
    """A convolution with padding, a ReLU, and sometimes maximum pooling of 2 x 2 behind it."""

    kernel: int  # pixels
    channels: int  # after it
    stride: int
    pooled: bool = False


class Design(NamedTuple):
    """A network: convolutions, the mean over all places, and a matrix."""

    size: int  # pixels
    classes: int
    convolutions: tuple[Convolution, ...]
    images: int  # a batch that takes a moment

    def multiplications(self) -> int:
        """Multiplications of an image."""
        side, before, total = self.size, 3, 0
        for one in self.convolutions:
            side = -(-side // one.stride)
            total += side**2 * one.kernel**2 * before * one.channels
            side, before = side // 2 if one.pooled else side, one.channels
        return total + before * self.classes


DESIGNS = {
    "tiny": Design(32, 10, (Convolution(3, 12, 2),), 64),
    "small": Design(
        32,
        10,
        (
            Convolution(3, 32, 1),
            Convolution(3, 64, 2),
            Convolution(3, 128, 1),
            Convolution(3, 128, 2),
        ),
        32,
    ),
    "large": Design(
        224,
        1000,
        (
            Convolution(7, 64, 2, pooled=True),
            Convolution(3, 128, 1),
            Convolution(3, 128, 1),
            Convolution(3, 256, 2),
        ),
        8,
    ),
}
"""0.0001, 0.03 and 1.04 thousand million multiplications."""
Params = dict[str, np.ndarray]


def weights(design: Design, seed: int) -> Params:
    """Random weights: convolutions (K, K, I, O), and the matrix (C, classes).

    Args:
        design: the network.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    shapes, before = {}, 3
    for number, one in enumerate(design.convolutions):
        shapes[f"convolution{number}"] = (one.kernel, one.kernel, before, one.channels)
        before = one.channels
    shapes["matrix"] = (before, design.classes)
    drawn = {
        name: random.normal(size=shape) * math.sqrt(2 / math.prod(shape[:-1]))
        for name, shape in shapes.items()
    }
    drawn["matrix"] *= 30  # the mean over all places is nearly the same for all images
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def classifier(name: str) -> Classifier:
    """One of `DESIGNS`, in stock layers of JAX."""
    design = DESIGNS[name]
    return Classifier(
        partial(_apply, design),
        weights(design, 0),
        input_size=design.size,
        num_classes=design.classes,
        name=name,
    )


def _apply(design: Design, params: Any, images: Any) -> Any:
    values = images - 0.5
    for number, one in enumerate(design.convolutions):
        kernel, pad = params[f"convolution{number}"], one.kernel // 2
        values = jax.nn.relu(
            lax.conv_general_dilated(
                values, kernel, (one.stride,) * 2, ((pad, pad),) * 2, dimension_numbers=NUMBERS
            )
        )
        if one.pooled:
            values = lax.reduce_window(
                values, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
            )
    return values.mean((1, 2)) @ params["matrix"]


def module(name: str) -> Any:
    """The same network in PyTorch, with channels last in memory.

    It counts the images that it sees with gradients (``gradients``), and without (``forwards``).
    """
    torch: Any = importlib.import_module("torch")
    functional = torch.nn.functional
    design = DESIGNS[name]
    params = weights(design, 0)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gradients = self.forwards = 0
            kernels = [
                torch.tensor(params[f"convolution{number}"].transpose(3, 2, 0, 1).copy())
                for number in range(len(design.convolutions))
            ]
            self.kernels = torch.nn.ParameterList(
                torch.nn.Parameter(kernel.contiguous(memory_format=torch.channels_last), False)
                for kernel in kernels
            )
            self.matrix = torch.nn.Parameter(torch.tensor(params["matrix"]), False)

        def forward(self, images: Any) -> Any:
            asks = images.requires_grad and torch.is_grad_enabled()
            self.gradients += len(images) * asks
            self.forwards += len(images) * (not asks)
            values = images.contiguous(memory_format=torch.channels_last) - 0.5
            for kernel, one in zip(self.kernels, design.convolutions, strict=True):
                values = torch.relu(
                    functional.conv2d(values, kernel, stride=one.stride, padding=one.kernel // 2)
                )
                values = functional.max_pool2d(values, 2) if one.pooled else values
            return values.mean((2, 3)) @ self.matrix

    return Network().eval()
