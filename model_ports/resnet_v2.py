"""ResNet-v2 (He et al. 2016, arXiv 1603.05027) with bottleneck units, as in TF-Slim.

Batch normalisation (epsilon 1e-5) and ReLU come before the convolutions. The 3x3 convolution in the
last unit of a block subsamples. Strided convolutions have explicit padding, the same on both sides.
The padding of the max-pool is SAME.
"""

from dataclasses import dataclass

import jax
from flax import nnx

from model_ports.layers import batch_norm, convolution, global_mean, max_pool
from model_ports.weight_map import batch_norm_rows, layer_rows


@dataclass(frozen=True)
class ResNetV2Config:
    """ResNet's sizes.

    Args:
        blocks: units, bottleneck channels, and stride of the last unit, for each block. A unit has
            four times as many output channels.
        root: the channels of the first convolution.
    """

    blocks: tuple[tuple[int, int, int], ...]
    root: int = 64


class NormalizedConvolution(nnx.Module):
    """Convolution without bias -> batch normalisation -> ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, rngs: nnx.Rngs):
        pad = ((kernel - 1) // 2, kernel // 2)
        self.convolution = convolution(
            inputs, outputs, kernel, stride=stride, padding=(pad, pad), use_bias=False, rngs=rngs
        )
        self.norm = batch_norm(outputs, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.norm(self.convolution(x)))


class Unit(nnx.Module):
    """Pre-activation bottleneck: (N, H, W, inputs) -> (N, ceil(H / stride), ceil(W / stride), 4 *
    channels).

    The shortcut is the input, subsampled. If the number of channels changes (at stride 1 only), it
    is a 1x1 convolution of the normalised input instead. The last convolution and that shortcut
    have a bias. Nothing follows the sum.
    """

    def __init__(self, inputs: int, channels: int, *, stride: int, rngs: nnx.Rngs):
        outputs = 4 * channels
        self.stride = stride
        self.projects = inputs != outputs
        self.preact = batch_norm(inputs, epsilon=1e-5, rngs=rngs)
        if self.projects:
            self.shortcut = convolution(inputs, outputs, 1, stride=stride, rngs=rngs)
        self.conv1 = NormalizedConvolution(inputs, channels, 1, rngs=rngs)
        self.conv2 = NormalizedConvolution(channels, channels, 3, stride=stride, rngs=rngs)
        self.conv3 = convolution(channels, outputs, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        active = jax.nn.relu(self.preact(x))
        shortcut = self.shortcut(active) if self.projects else x[:, :: self.stride, :: self.stride]
        return shortcut + self.conv3(self.conv2(self.conv1(active)))


class ResNetV2(nnx.Module):
    """Maps network inputs (N, H, W, 3) in [-1, 1] to raw logits (N, num_outputs), at any H and
    W.
    """

    def __init__(self, config: ResNetV2Config, *, num_outputs: int, rngs: nnx.Rngs):
        # It has a bias, but no normalisation and no ReLU, because the first unit begins with those.
        self.root = convolution(3, config.root, 7, stride=2, padding=((3, 3), (3, 3)), rngs=rngs)
        channels = config.root
        units: dict[str, Unit] = {}
        for block, (repeats, width, stride) in enumerate(config.blocks, start=1):
            for number in range(1, repeats + 1):
                units[f"block{block}_unit_{number}"] = Unit(
                    channels, width, stride=stride if number == repeats else 1, rngs=rngs
                )
                channels = 4 * width
        self.order = tuple(units)
        self.units = nnx.Dict(units)
        self.postnorm = batch_norm(channels, epsilon=1e-5, rngs=rngs)
        self.logits = convolution(channels, num_outputs, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = max_pool(self.root(x), 3, 2, padding="SAME")
        for name in self.order:
            x = self.units[name](x)
        x = jax.nn.relu(self.postnorm(x))
        return self.logits(global_mean(x)[:, None, None, :])[:, 0, 0]


def resnet_v2(
    config: ResNetV2Config, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> ResNetV2:
    """Build the network. Its parameters do not depend on ``input_size``."""
    del input_size
    return ResNetV2(config, num_outputs=num_outputs, rngs=rngs)


RESNET_V2_50 = ResNetV2Config(blocks=((3, 64, 2), (4, 128, 2), (6, 256, 2), (3, 512, 1)))
RESNET_V2_101 = ResNetV2Config(blocks=((3, 64, 2), (4, 128, 2), (23, 256, 2), (3, 512, 1)))
RESNET_V2_152 = ResNetV2Config(blocks=((3, 64, 2), (8, 128, 2), (36, 256, 2), (3, 512, 1)))

# Sizes at 32 pixels: 32 -> 16 -> 8 -> 4 -> 2.
DIGITS_50 = ResNetV2Config(blocks=((2, 10, 2), (2, 20, 2), (2, 40, 1)), root=16)
DIGITS_101 = ResNetV2Config(blocks=((2, 10, 2), (2, 20, 2), (4, 24, 1)), root=16)
DIGITS_152 = ResNetV2Config(blocks=((2, 10, 2), (3, 20, 2), (5, 24, 1)), root=16)

_UNIT = r"resnet_v2_\d+/(block\d)/(unit_\d+)/bottleneck_v2"
_PORT = r"units/\1_\2"

WEIGHT_MAP = (
    *layer_rows(r"resnet_v2_\d+/conv1", "root"),
    *batch_norm_rows(f"{_UNIT}/preact", f"{_PORT}/preact"),
    *layer_rows(f"{_UNIT}/shortcut", f"{_PORT}/shortcut"),
    *layer_rows(f"{_UNIT}/(conv[12])", rf"{_PORT}/\3/convolution", bias=False),
    *batch_norm_rows(f"{_UNIT}/(conv[12])/BatchNorm", rf"{_PORT}/\3/norm"),
    *layer_rows(f"{_UNIT}/conv3", f"{_PORT}/conv3"),
    *batch_norm_rows(r"resnet_v2_\d+/postnorm", "postnorm"),
    *layer_rows(r"resnet_v2_\d+/logits", "logits"),
)
