"""Inception-v2 (Ioffe and Szegedy 2015, arXiv 1502.03167), as in TF-Slim.

It differs from Inception-v1 in three ways. Two 3x3 convolutions replace each 5x5. Most blocks have
average pools. Blocks of stride 2 lie between the stages. All padding is SAME. The first layer is a
separable convolution with a bias and without normalisation.
"""

from dataclasses import dataclass

import jax
from flax import nnx

from model_ports.inception_layers import (
    AVERAGE,
    MAX,
    Conv,
    Inception,
    Mixed,
    Pool,
    network_rows,
    stem_conv,
)
from model_ports.layers import convolution
from model_ports.weight_map import depthwise

Widths = tuple[int, tuple[int, int], tuple[int, int], int]
Stage = tuple[Widths, ...]
Reduction = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class InceptionV2Config:
    """Channels.

    Args:
        stem: the convolutions of the stem.
        stages: each block of stages 3, 4 and 5, by branch: 1x1; 1x1, 3x3; 1x1, both 3x3; after the
            pool.
        reductions: the blocks before stages 4 and 5: 1x1, 3x3; 1x1, both 3x3.
        multiplier: of the depthwise convolution in the stem.
        stem_kernel: the kernel of the first layer.
        stem_stride: the stride of the first layer.
    """

    stem: tuple[int, int, int]
    stages: tuple[Stage, Stage, Stage]
    reductions: tuple[Reduction, Reduction]
    multiplier: int = 8
    stem_kernel: int = 7
    stem_stride: int = 2


class SeparableStem(nnx.Module):
    """Depthwise convolution -> pointwise convolution with bias -> ReLU."""

    def __init__(self, config: InceptionV2Config, *, rngs: nnx.Rngs):
        middle = 3 * config.multiplier
        self.outputs = config.stem[0]
        self.depthwise = convolution(
            3,
            middle,
            config.stem_kernel,
            stride=config.stem_stride,
            groups=3,
            use_bias=False,
            rngs=rngs,
        )
        self.pointwise = convolution(middle, self.outputs, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.pointwise(self.depthwise(x)))


def _block(widths: Widths, pool: Pool) -> Mixed:
    alone, (reduce_1, three), (reduce_2, double), after = widths
    return Mixed(
        (
            (Conv("0a", alone),),
            (Conv("0a", reduce_1), Conv("0b", three, 3)),
            (Conv("0a", reduce_2), Conv("0b", double, 3), Conv("0c", double, 3)),
            (pool, Conv("0b", after)),
        )
    )


def _reduction(widths: Reduction) -> Mixed:
    (reduce_0, three), (reduce_1, double) = widths
    return Mixed(
        (
            (Conv("0a", reduce_0), Conv("1a", three, 3, 2)),
            (Conv("0a", reduce_1), Conv("0b", double, 3), Conv("1a", double, 3, 2)),
            (Pool("max", 3, 2),),
        )
    )


def inception_v2(
    config: InceptionV2Config, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> Inception:
    """Build the network. Its parameters do not depend on ``input_size``."""
    del input_size
    three, four, five = config.stages
    layers = (
        ("pool_2a", Pool("max", 3, 2)),
        stem_conv("2b", config.stem[1]),
        stem_conv("2c", config.stem[2], 3),
        ("pool_3a", Pool("max", 3, 2)),
        *(
            (f"mixed_3{letter}", _block(widths, AVERAGE))
            for letter, widths in zip("bc", three, strict=False)
        ),
        ("mixed_4a", _reduction(config.reductions[0])),
        *(
            (f"mixed_4{letter}", _block(widths, AVERAGE))
            for letter, widths in zip("bcde", four, strict=False)
        ),
        ("mixed_5a", _reduction(config.reductions[1])),
        *(
            (
                f"mixed_5{letter}",
                _block(widths, MAX if number == len(five) else AVERAGE),  # MAX in the last block
            )
            for number, (letter, widths) in enumerate(zip("bc", five, strict=False), start=1)
        ),
    )
    return Inception(
        layers, num_outputs=num_outputs, rngs=rngs, stem=SeparableStem(config, rngs=rngs)
    )


INCEPTION_V2 = InceptionV2Config(
    stem=(64, 64, 192),
    stages=(
        ((64, (64, 64), (64, 96), 32), (64, (64, 96), (64, 96), 64)),
        (
            (224, (64, 96), (96, 128), 128),
            (192, (96, 128), (96, 128), 128),
            (160, (128, 160), (128, 160), 96),
            (96, (128, 192), (160, 192), 96),
        ),
        ((352, (192, 320), (160, 224), 128), (352, (192, 320), (192, 224), 128)),
    ),
    reductions=(((128, 160), (64, 96)), ((128, 192), (192, 256))),
)

# Sizes at 24 pixels: 24 -> 12 -> 6 -> 3 -> 2.
DIGITS = InceptionV2Config(
    stem=(8, 12, 20),
    stages=(
        ((8, (8, 12), (6, 10), 6),),
        ((20, (10, 14), (10, 14), 12), (16, (14, 20), (12, 16), 12)),
        ((32, (20, 28), (16, 20), 16),),
    ),
    reductions=(((12, 18), (8, 12)), ((14, 20), (16, 20))),
    multiplier=4,
    stem_kernel=3,
    stem_stride=1,
)

_STEM = "InceptionV2/Conv2d_1a_7x7"

WEIGHT_MAP = (
    (f"{_STEM}/depthwise_weights", "layers/stem/depthwise/kernel", depthwise),
    (f"{_STEM}/pointwise_weights", "layers/stem/pointwise/kernel", None),
    (f"{_STEM}/biases", "layers/stem/pointwise/bias", None),
    *network_rows("InceptionV2", "Logits/Conv2d_1c_1x1"),
)
