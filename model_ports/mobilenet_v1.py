"""MobileNet-v1 (Howard et al. 2017, arXiv 1704.04861), as in TF-Slim.

After a first convolution come pairs of a depthwise 3x3 and a pointwise 1x1 convolution. Batch
normalisation (epsilon 1e-3) and ReLU6 follow each convolution. All padding is SAME. A mean over all
positions and a 1x1 convolution give the logits.
"""

from dataclasses import dataclass, replace

import jax
from flax import nnx

from model_ports.layers import batch_norm, convolution, global_mean
from model_ports.weight_map import batch_norm_rows, depthwise, layer_rows


@dataclass(frozen=True)
class MobileNetV1Config:
    """MobileNet's sizes.

    Args:
        multiplier: the width multiplier.
        stem: channels and stride of the first convolution, before the multiplier.
        pairs: channels and stride of each pair, before the multiplier.
        floor: the least number of channels of a layer.
    """

    multiplier: float
    stem: tuple[int, int] = (32, 2)
    pairs: tuple[tuple[int, int], ...] = (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (1024, 2),
        (1024, 1),
    )
    floor: int = 8


class NormalizedConvolution(nnx.Module):
    """Convolution without bias -> batch normalisation -> ReLU6.

    With groups = inputs it is depthwise.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        rngs: nnx.Rngs,
    ):
        self.convolution = convolution(
            inputs, outputs, kernel, stride=stride, groups=groups, use_bias=False, rngs=rngs
        )
        self.norm = batch_norm(outputs, epsilon=1e-3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu6(self.norm(self.convolution(x)))


class MobileNetV1(nnx.Module):
    """Maps network inputs (N, H, W, 3) in [-1, 1] to raw logits (N, num_outputs), at any H and W.

    Above 224 pixels the original pools 7x7 windows, and gives several rows of logits. Here the pool
    covers the whole image.
    """

    def __init__(self, config: MobileNetV1Config, *, num_outputs: int, rngs: nnx.Rngs):
        def width(channels: int) -> int:
            return max(int(channels * config.multiplier), config.floor)

        channels = width(config.stem[0])
        stride = config.stem[1]
        layers = {"conv_0": NormalizedConvolution(3, channels, 3, stride=stride, rngs=rngs)}
        for number, (base, stride) in enumerate(config.pairs, start=1):
            layers[f"depthwise_{number}"] = NormalizedConvolution(
                channels, channels, 3, stride=stride, groups=channels, rngs=rngs
            )
            layers[f"pointwise_{number}"] = NormalizedConvolution(
                channels, width(base), 1, rngs=rngs
            )
            channels = width(base)
        self.order = tuple(layers)
        self.layers = nnx.Dict(layers)
        self.logits = convolution(channels, num_outputs, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for name in self.order:
            x = self.layers[name](x)
        return self.logits(global_mean(x)[:, None, None, :])[:, 0, 0]


def mobilenet_v1(
    config: MobileNetV1Config, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> MobileNetV1:
    """Build the network. Its parameters do not depend on ``input_size``."""
    del input_size
    return MobileNetV1(config, num_outputs=num_outputs, rngs=rngs)


MOBILENET_V1_025 = MobileNetV1Config(multiplier=0.25)
MOBILENET_V1_050 = MobileNetV1Config(multiplier=0.50)
MOBILENET_V1_100 = MobileNetV1Config(multiplier=1.0)

# Sizes at 24 pixels: 24 -> 12 -> 6 -> 3.
DIGITS_100 = MobileNetV1Config(
    multiplier=1.0,
    stem=(24, 2),
    pairs=((48, 1), (64, 2), (64, 1), (96, 1), (128, 2), (128, 1)),
    floor=6,
)
DIGITS_050 = replace(DIGITS_100, multiplier=0.5)
DIGITS_025 = replace(DIGITS_100, multiplier=0.25)

WEIGHT_MAP = (
    *layer_rows("MobilenetV1/Conv2d_0", "layers/conv_0/convolution", bias=False),
    *batch_norm_rows("MobilenetV1/Conv2d_0/BatchNorm", "layers/conv_0/norm"),
    (
        r"MobilenetV1/Conv2d_(\d+)_depthwise/depthwise_weights",
        r"layers/depthwise_\1/convolution/kernel",
        depthwise,
    ),
    *batch_norm_rows(r"MobilenetV1/Conv2d_(\d+)_depthwise/BatchNorm", r"layers/depthwise_\1/norm"),
    *layer_rows(
        r"MobilenetV1/Conv2d_(\d+)_pointwise", r"layers/pointwise_\1/convolution", bias=False
    ),
    *batch_norm_rows(r"MobilenetV1/Conv2d_(\d+)_pointwise/BatchNorm", r"layers/pointwise_\1/norm"),
    *layer_rows("MobilenetV1/Logits/Conv2d_1c_1x1", "logits"),
)
