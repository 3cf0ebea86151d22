"""VGG (Simonyan and Zisserman 2014, arXiv 1409.1556), configurations D and E, as in TF-Slim.

It has stages of 3x3 SAME convolutions with bias and ReLU. A 2x2 max-pool ends each stage. Three
fully connected layers follow, stored as convolutions. The first one covers what is left of the
image. Dropout is not part of the network for inference.
"""

from dataclasses import dataclass

import jax
from flax import nnx

from model_ports.layers import convolution, max_pool
from model_ports.weight_map import layer_rows


@dataclass(frozen=True)
class VGGConfig:
    """VGG's sizes.

    Args:
        stages: the number of convolutions and their channels, for each stage.
        hidden: the channels of the two hidden fully connected layers.
    """

    stages: tuple[tuple[int, int], ...]
    hidden: int = 4096


class VGG(nnx.Module):
    """Maps (N, S, S, 3), 0..255 minus the means, to raw logits (N, num_outputs), for one S."""

    def __init__(self, config: VGGConfig, *, num_outputs: int, input_size: int, rngs: nnx.Rngs):
        channels = 3
        layers: dict[str, nnx.Module] = {}
        stages: list[tuple[str, ...]] = []
        for stage, (repeats, width) in enumerate(config.stages, start=1):
            names = tuple(f"conv{stage}_{repeat}" for repeat in range(1, repeats + 1))
            for name in names:
                layers[name] = convolution(channels, width, 3, rngs=rngs)
                channels = width
            stages.append(names)
        self.stages = tuple(stages)
        self.layers = nnx.Dict(layers)
        left = input_size // 2 ** len(config.stages)
        # The convolutions do not scale down images of range 0..255. The small gain keeps the first
        # logits small, so that training can start.
        self.fc6 = convolution(channels, config.hidden, left, padding="VALID", gain=0.2, rngs=rngs)
        self.fc7 = convolution(config.hidden, config.hidden, 1, gain=0.2, rngs=rngs)
        self.fc8 = convolution(config.hidden, num_outputs, 1, gain=0.2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for names in self.stages:
            for name in names:
                x = jax.nn.relu(self.layers[name](x))
            x = max_pool(x, 2, 2)
        x = jax.nn.relu(self.fc6(x))
        x = jax.nn.relu(self.fc7(x))
        return self.fc8(x)[:, 0, 0]


def vgg(config: VGGConfig, *, num_outputs: int, input_size: int, rngs: nnx.Rngs) -> VGG:
    """Build the network for square images of ``input_size`` pixels."""
    return VGG(config, num_outputs=num_outputs, input_size=input_size, rngs=rngs)


VGG_16 = VGGConfig(stages=((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)))
VGG_19 = VGGConfig(stages=((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)))

# Sizes at 24 pixels: 24 -> 12 -> 6 -> 3.
DIGITS_16 = VGGConfig(stages=((2, 8), (2, 16), (3, 32)), hidden=64)
DIGITS_19 = VGGConfig(stages=((2, 8), (2, 16), (4, 32)), hidden=64)

WEIGHT_MAP = (
    *layer_rows(r"vgg_1[69]/conv\d/(conv\d_\d)", r"layers/\1"),
    *layer_rows(r"vgg_1[69]/(fc[678])", r"\1"),
)
