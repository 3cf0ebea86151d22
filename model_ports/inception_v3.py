"""Inception-v3 (Szegedy et al. 2015, arXiv 1512.00567), as in TF-Slim.

It has three kinds of blocks at three sizes of the image. Kind 5 has a 5x5 and a double 3x3. Kind 6
has 7x7 factorised into 1x7 and 7x1. Kind 7 has 1x3 and 3x1 side by side. The stem and the
reductions have padding VALID, the rest SAME.
"""

from dataclasses import dataclass

from flax import nnx

from model_ports.inception_layers import (
    AVERAGE,
    Conv,
    Fork,
    Inception,
    Mixed,
    Pool,
    network_rows,
    stem_conv,
)


@dataclass(frozen=True)
class InceptionV3Config:
    """Channels. A tuple within a block is one branch.

    Args:
        stem: the convolutions of the stem.
        five: the blocks of kind 5.
        pools: the convolution after the pool, for each block of kind 5.
        reduce_6: the reduction before kind 6.
        sevens: between 1x7 and 7x1, for each block of kind 6.
        seven: at the end of each branch of kind 6.
        reduce_7: the reduction before kind 7.
        ends: the number of blocks of kind 7.
        end: of each block of kind 7: the 1x1; before and in the first fork; before the 3x3; in the
            second fork; after the pool.
        padding: of the stem and the reductions.
        stem_pool: the stride of the second pool.
    """

    stem: tuple[int, int, int, int, int]
    five: tuple[int, tuple[int, int], tuple[int, int]]
    pools: tuple[int, ...]
    reduce_6: tuple[int, tuple[int, int]]
    sevens: tuple[int, ...]
    seven: int
    reduce_7: tuple[int, int]
    ends: int
    end: tuple[int, int, int, int, int]
    padding: str = "VALID"
    stem_pool: int = 2


def _five(config: InceptionV3Config, pool: int) -> Mixed:
    alone, (before, five), (narrow, wide) = config.five
    return Mixed(
        (
            (Conv("0a", alone),),
            (Conv("0a", before), Conv("0b", five, 5)),
            (Conv("0a", narrow), Conv("0b", wide, 3), Conv("0c", wide, 3)),
            (AVERAGE, Conv("0b", pool)),
        )
    )


def _reduction_6(config: InceptionV3Config) -> Mixed:
    alone, (narrow, wide) = config.reduce_6
    return Mixed(
        (
            (Conv("1a", alone, 3, 2, config.padding),),
            (Conv("0a", narrow), Conv("0b", wide, 3), Conv("1a", wide, 3, 2, config.padding)),
            (Pool("max", 3, 2, config.padding),),
        )
    )


def _seven(inner: int, outputs: int) -> Mixed:
    row, column = (1, 7), (7, 1)
    return Mixed(
        (
            (Conv("0a", outputs),),
            (Conv("0a", inner), Conv("0b", inner, row), Conv("0c", outputs, column)),
            (
                Conv("0a", inner),
                Conv("0b", inner, column),
                Conv("0c", inner, row),
                Conv("0d", inner, column),
                Conv("0e", outputs, row),
            ),
            (AVERAGE, Conv("0b", outputs)),
        )
    )


def _reduction_7(config: InceptionV3Config) -> Mixed:
    inner, wide = config.reduce_7
    return Mixed(
        (
            (Conv("0a", inner), Conv("1a", wide, 3, 2, config.padding)),
            (
                Conv("0a", inner),
                Conv("0b", inner, (1, 7)),
                Conv("0c", inner, (7, 1)),
                Conv("1a", inner, 3, 2, config.padding),
            ),
            (Pool("max", 3, 2, config.padding),),
        )
    )


def _end(config: InceptionV3Config) -> Mixed:
    alone, fork_1, before, fork_2, pool = config.end
    return Mixed(
        (
            (Conv("0a", alone),),
            (Conv("0a", fork_1), Fork((Conv("0b", fork_1, (1, 3)), Conv("0c", fork_1, (3, 1))))),
            (
                Conv("0a", before),
                Conv("0b", fork_2, 3),
                Fork((Conv("0c", fork_2, (1, 3)), Conv("0d", fork_2, (3, 1)))),
            ),
            (AVERAGE, Conv("0b", pool)),
        )
    )


def inception_v3(
    config: InceptionV3Config, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> Inception:
    """Build the network, without the auxiliary head.

    Its parameters do not depend on ``input_size``.
    """
    del input_size
    c1, c2, c3, c4, c5 = config.stem
    layers = (
        stem_conv("1a", c1, 3, 2, config.padding),
        stem_conv("2a", c2, 3, 1, config.padding),
        stem_conv("2b", c3, 3),
        ("pool_3a", Pool("max", 3, 2, config.padding)),
        stem_conv("3b", c4),
        stem_conv("4a", c5, 3, 1, config.padding),
        ("pool_5a", Pool("max", 3, config.stem_pool, config.padding)),
        *(
            (f"mixed_5{letter}", _five(config, pool))
            for letter, pool in zip("bcd", config.pools, strict=False)
        ),
        ("mixed_6a", _reduction_6(config)),
        *(
            (f"mixed_6{letter}", _seven(inner, config.seven))
            for letter, inner in zip("bcde", config.sevens, strict=False)
        ),
        ("mixed_7a", _reduction_7(config)),
        *((f"mixed_7{letter}", _end(config)) for letter in "bc"[: config.ends]),
    )
    return Inception(layers, num_outputs=num_outputs, rngs=rngs)


INCEPTION_V3 = InceptionV3Config(
    stem=(32, 32, 64, 80, 192),
    five=(64, (48, 64), (64, 96)),
    pools=(32, 64, 64),
    reduce_6=(384, (64, 96)),
    sevens=(128, 160, 160, 192),
    seven=192,
    reduce_7=(192, 320),
    ends=2,
    end=(320, 384, 448, 384, 192),
)

# Sizes at 32 pixels: 32 -> 16 -> 8 -> 4 -> 2.
DIGITS = InceptionV3Config(
    stem=(6, 6, 10, 10, 16),
    five=(8, (6, 8), (8, 10)),
    pools=(6,),
    reduce_6=(24, (8, 12)),
    sevens=(12, 16),
    seven=20,
    reduce_7=(16, 28),
    ends=1,
    end=(28, 24, 28, 24, 20),
    padding="SAME",
    stem_pool=1,
)

_ODD = {
    "Mixed_5c/Branch_1/Conv2d_0b_1x1": "mixed_5c/branch_1/conv_0a",
    "Mixed_5c/Branch_1/Conv_1_0c_5x5": "mixed_5c/branch_1/conv_0b",
    "Mixed_7b/Branch_1/Conv2d_0b_3x1": "mixed_7b/branch_1/conv_0c",
}

WEIGHT_MAP = network_rows("InceptionV3", "Logits/Conv2d_1c_1x1", odd=_ODD)
