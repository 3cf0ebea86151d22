"""Inception-v1, GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842), as in TF-Slim.

It has batch normalisation, which the paper does not have. Each block has four branches: 1x1; 1x1
and 3x3; 1x1 and 3x3, where the paper has 5x5; max-pool and 1x1. All padding is SAME.
"""

from dataclasses import dataclass

from flax import nnx

from model_ports.inception_layers import MAX, Conv, Inception, Mixed, Pool, network_rows, stem_conv

Widths = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class InceptionV1Config:
    """Channels.

    ``blocks`` has those of each block's convolutions in stages 3, 4 and 5, by branch.
    """

    stem: tuple[int, int, int]
    blocks: tuple[tuple[Widths, ...], tuple[Widths, ...], tuple[Widths, ...]]
    stem_kernel: int = 7
    stem_stride: int = 2


def _block(widths: Widths) -> Mixed:
    alone, reduce_1, three_1, reduce_2, three_2, pool = widths
    return Mixed(
        (
            (Conv("0a", alone),),
            (Conv("0a", reduce_1), Conv("0b", three_1, 3)),
            (Conv("0a", reduce_2), Conv("0b", three_2, 3)),
            (MAX, Conv("0b", pool)),
        )
    )


def inception_v1(
    config: InceptionV1Config, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> Inception:
    """Build the network. Its parameters do not depend on ``input_size``."""
    del input_size
    c1, c2, c3 = config.stem
    pool = Pool("max", 3, 2)
    layers = [
        stem_conv("1a", c1, config.stem_kernel, config.stem_stride),
        ("pool_2a", pool),
        stem_conv("2b", c2),
        stem_conv("2c", c3, 3),
        ("pool_3a", pool),
    ]
    after = (("pool_4a", pool), ("pool_5a", Pool("max", 2, 2)), None)
    for stage, (blocks, closing) in enumerate(zip(config.blocks, after, strict=True), start=3):
        layers += [
            (f"mixed_{stage}{letter}", _block(widths))
            for letter, widths in zip("bcdef", blocks, strict=False)
        ]
        layers += [closing] if closing else []
    return Inception(tuple(layers), num_outputs=num_outputs, rngs=rngs)


INCEPTION_V1 = InceptionV1Config(
    stem=(64, 64, 192),
    blocks=(
        ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        (
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ),
        ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    ),
)

# Sizes at 24 pixels: 24 -> 12 -> 6 -> 3 -> 2.
DIGITS = InceptionV1Config(
    stem=(8, 12, 24),
    blocks=(
        ((8, 12, 16, 4, 6, 6),),
        ((16, 16, 24, 6, 8, 8), (16, 16, 28, 6, 8, 12)),
        ((24, 20, 40, 8, 16, 16),),
    ),
    stem_kernel=3,
    stem_stride=1,
)

WEIGHT_MAP = network_rows(
    "InceptionV1",
    "Logits/Conv2d_0c_1x1",
    odd={"Mixed_5b/Branch_2/Conv2d_0a_3x3": "mixed_5b/branch_2/conv_0b"},
)
