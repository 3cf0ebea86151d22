"""Inception-ResNet-v2 (Szegedy et al. 2016, arXiv 1602.07261), as in TF-Slim.

It has the stem of Inception-v3, one block of Inception, and then three kinds of residual blocks
with reductions between them. Each kind is named after the size of its images. The stem and the
reductions have padding VALID, the rest SAME.
"""

from dataclasses import dataclass

from flax import nnx

from model_ports.inception_layers import (
    AVERAGE,
    Conv,
    Inception,
    Mixed,
    Pool,
    Residual,
    conv_rows,
    network_rows,
    stem_conv,
)
from model_ports.weight_map import Row, layer_rows


@dataclass(frozen=True)
class InceptionResNetV2Config:
    """Channels, and the number of blocks of each kind. One unscaled block of the last kind follows.

    A tuple within a block is one branch.

    Args:
        stem: the convolutions of the stem.
        mixed: the block of Inception.
        counts: the number of residual blocks of each kind.
        block35: all 1x1 and the single 3x3; then the two 3x3 in a row.
        reduce_6: the inner convolutions; the last ones.
        block17: the 1x1 branch; then the 1x1 and both factors of the other branch.
        reduce_7: the three 1x1; then the last convolutions of the three branches.
        block8: as ``block17``.
        last: the 1x1 convolution before the mean over all positions.
        padding: of the stem and the reductions.
        stem_pool: the stride of the second pool.
    """

    stem: tuple[int, int, int, int, int]
    mixed: tuple[int, tuple[int, int], tuple[int, int], int]
    counts: tuple[int, int, int]
    block35: tuple[int, tuple[int, int]]
    reduce_6: tuple[int, int]
    block17: tuple[int, tuple[int, int, int]]
    reduce_7: tuple[int, tuple[int, int, int]]
    block8: tuple[int, tuple[int, int, int]]
    last: int
    padding: str = "VALID"
    stem_pool: int = 2


def _stem(config: InceptionResNetV2Config) -> tuple:
    c1, c2, c3, c4, c5 = config.stem
    alone, (before, five), (narrow, wide), pool = config.mixed
    mixed = Mixed(
        (
            (Conv("0a", alone),),
            (Conv("0a", before), Conv("0b", five, 5)),
            (Conv("0a", narrow), Conv("0b", wide, 3), Conv("0c", wide, 3)),
            (AVERAGE, Conv("0b", pool)),
        )
    )
    return (
        stem_conv("1a", c1, 3, 2, config.padding),
        stem_conv("2a", c2, 3, 1, config.padding),
        stem_conv("2b", c3, 3),
        ("pool_3a", Pool("max", 3, 2, config.padding)),
        stem_conv("3b", c4, 1, 1, config.padding),
        stem_conv("4a", c5, 3, 1, config.padding),
        ("pool_5a", Pool("max", 3, config.stem_pool, config.padding)),
        ("mixed_5b", mixed),
    )


def _block35(config: InceptionResNetV2Config) -> Residual:
    width, (double, last) = config.block35
    branches = (
        (Conv("0a", width),),
        (Conv("0a", width), Conv("0b", width, 3)),
        (Conv("0a", width), Conv("0b", double, 3), Conv("0c", last, 3)),
    )
    return Residual(branches, scale=0.17)


def _factorized(widths: tuple[int, tuple[int, int, int]], length: int, **options) -> Residual:
    """Two branches: 1x1; and 1x1, 1 x length, length x 1."""
    alone, (before, row, column) = widths
    branches = (
        (Conv("0a", alone),),
        (Conv("0a", before), Conv("0b", row, (1, length)), Conv("0c", column, (length, 1))),
    )
    return Residual(branches, **options)


def _reduction_6(config: InceptionResNetV2Config) -> Mixed:
    inner, outer = config.reduce_6
    return Mixed(
        (
            (Conv("1a", outer, 3, 2, config.padding),),
            (Conv("0a", inner), Conv("0b", inner, 3), Conv("1a", outer, 3, 2, config.padding)),
            (Pool("max", 3, 2, config.padding),),
        )
    )


def _reduction_7(config: InceptionResNetV2Config) -> Mixed:
    inner, (first, second, third) = config.reduce_7
    return Mixed(
        (
            (Conv("0a", inner), Conv("1a", first, 3, 2, config.padding)),
            (Conv("0a", inner), Conv("1a", second, 3, 2, config.padding)),
            (Conv("0a", inner), Conv("0b", second, 3), Conv("1a", third, 3, 2, config.padding)),
            (Pool("max", 3, 2, config.padding),),
        )
    )


def inception_resnet_v2(
    config: InceptionResNetV2Config, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> Inception:
    """Build the network, without the auxiliary head.

    Its parameters do not depend on ``input_size``.
    """
    del input_size
    first, second, third = (range(1, count + 1) for count in config.counts)
    block17 = _factorized(config.block17, 7, scale=0.10)
    block8 = _factorized(config.block8, 3, scale=0.20)
    layers = (
        *_stem(config),
        *((f"block35_{number}", _block35(config)) for number in first),
        ("mixed_6a", _reduction_6(config)),
        *((f"block17_{number}", block17) for number in second),
        ("mixed_7a", _reduction_7(config)),
        *((f"block8_{number}", block8) for number in third),
        ("block8_last", _factorized(config.block8, 3, scale=1.0, active=False)),
        stem_conv("7b", config.last),
    )
    return Inception(layers, num_outputs=num_outputs, rngs=rngs)


INCEPTION_RESNET_V2 = InceptionResNetV2Config(
    stem=(32, 32, 64, 80, 192),
    mixed=(96, (48, 64), (64, 96), 64),
    counts=(10, 20, 9),
    block35=(32, (48, 64)),
    reduce_6=(256, 384),
    block17=(192, (128, 160, 192)),
    reduce_7=(256, (384, 288, 320)),
    block8=(192, (192, 224, 256)),
    last=1536,
)

# Sizes at 32 pixels: 32 -> 16 -> 8 -> 4 -> 2.
DIGITS = InceptionResNetV2Config(
    stem=(6, 6, 10, 10, 16),
    mixed=(8, (6, 8), (8, 10), 6),
    counts=(2, 2, 1),
    block35=(6, (8, 8)),
    reduce_6=(10, 16),
    block17=(16, (10, 12, 16)),
    reduce_7=(12, (16, 14, 16)),
    block8=(20, (14, 16, 20)),
    last=64,
    padding="SAME",
    stem_pool=1,
)


def _residual_rows(source: str, port: str) -> tuple[Row, ...]:
    return (
        *conv_rows(
            rf"{source}/Branch_(?P<branch>\d)/Conv2d_1x1",
            rf"{port}/mixed/branch_\g<branch>/conv_0a",
        ),
        *conv_rows(
            rf"{source}/Branch_(?P<branch>\d)/Conv2d_(?P<at>\d[a-z])_\dx\d",
            rf"{port}/mixed/branch_\g<branch>/conv_\g<at>",
        ),
        *layer_rows(f"{source}/Conv2d_1x1", f"{port}/up"),
    )


_NET = "InceptionResnetV2"

WEIGHT_MAP = (
    *network_rows(
        _NET, "Logits/Logits", odd={"Mixed_5b/Branch_0/Conv2d_1x1": "mixed_5b/branch_0/conv_0a"}
    ),
    *_residual_rows(rf"{_NET}/Repeat(?:_\d)?/(?P<block>block\d+_\d+)", r"layers/\g<block>"),
    *_residual_rows(f"{_NET}/Block8", "layers/block8_last"),
)
