"""Inception-v4 (Szegedy et al. 2016, arXiv 1602.07261), as in TF-Slim.

It has a stem with three blocks, and then blocks A, B and C (5, 6 and 7 in TF-Slim) with reductions
between them. The stem and the reductions have padding VALID, the rest SAME.
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

ROW = (1, 7)
COLUMN = (7, 1)


@dataclass(frozen=True)
class InceptionV4Config:
    """Channels, and the number of blocks A, B and C.

    Args:
        stem: the three convolutions; block 3a; the inner and outer convolutions of 4a; block 5a.
        counts: the number of blocks A, B and C.
        a: the ends of the branches; the inner convolutions.
        reduce_6: the 3x3; then the 1x1, 3x3 and 3x3.
        b: the 1x1; first, middle and last of the factorised 7x7; after the pool.
        reduce_7: both convolutions of the short branch; then the first two and the last two of the
            long branch.
        c: the ends of the branches; before both forks; then the two factors of the 3x3.
        padding: of the stem and the reductions.
        stem_pool: the stride of the stem's last block.
    """

    stem: tuple[int, int, int, int, tuple[int, int], int]
    counts: tuple[int, int, int]
    a: tuple[int, int]
    reduce_6: tuple[int, tuple[int, int, int]]
    b: tuple[int, int, int, int, int]
    reduce_7: tuple[int, tuple[int, int]]
    c: tuple[int, int, int, int]
    padding: str = "VALID"
    stem_pool: int = 2


def _stem(config: InceptionV4Config) -> tuple:
    c1, c2, c3, c4, (inner, outer), c5 = config.stem
    padding = config.padding
    stride = config.stem_pool
    return (
        stem_conv("1a", c1, 3, 2, padding),
        stem_conv("2a", c2, 3, 1, padding),
        stem_conv("2b", c3, 3),
        ("mixed_3a", Mixed(((Pool("max", 3, 2, padding),), (Conv("1a", c4, 3, 2, padding),)))),
        (
            "mixed_4a",
            Mixed(
                (
                    (Conv("0a", inner), Conv("1a", outer, 3, 1, padding)),
                    (
                        Conv("0a", inner),
                        Conv("0b", inner, ROW),
                        Conv("0c", inner, COLUMN),
                        Conv("1a", outer, 3, 1, padding),
                    ),
                )
            ),
        ),
        (
            "mixed_5a",
            Mixed(((Conv("1a", c5, 3, stride, padding),), (Pool("max", 3, stride, padding),))),
        ),
    )


def _a(config: InceptionV4Config) -> Mixed:
    end, inner = config.a
    return Mixed(
        (
            (Conv("0a", end),),
            (Conv("0a", inner), Conv("0b", end, 3)),
            (Conv("0a", inner), Conv("0b", end, 3), Conv("0c", end, 3)),
            (AVERAGE, Conv("0b", end)),
        )
    )


def _reduction_6(config: InceptionV4Config) -> Mixed:
    alone, (first, second, third) = config.reduce_6
    return Mixed(
        (
            (Conv("1a", alone, 3, 2, config.padding),),
            (Conv("0a", first), Conv("0b", second, 3), Conv("1a", third, 3, 2, config.padding)),
            (Pool("max", 3, 2, config.padding),),
        )
    )


def _b(config: InceptionV4Config) -> Mixed:
    alone, first, middle, last, pool = config.b
    return Mixed(
        (
            (Conv("0a", alone),),
            (Conv("0a", first), Conv("0b", middle, ROW), Conv("0c", last, COLUMN)),
            (
                Conv("0a", first),
                Conv("0b", first, COLUMN),
                Conv("0c", middle, ROW),
                Conv("0d", middle, COLUMN),
                Conv("0e", last, ROW),
            ),
            (AVERAGE, Conv("0b", pool)),
        )
    )


def _reduction_7(config: InceptionV4Config) -> Mixed:
    short, (first, last) = config.reduce_7
    return Mixed(
        (
            (Conv("0a", short), Conv("1a", short, 3, 2, config.padding)),
            (
                Conv("0a", first),
                Conv("0b", first, ROW),
                Conv("0c", last, COLUMN),
                Conv("1a", last, 3, 2, config.padding),
            ),
            (Pool("max", 3, 2, config.padding),),
        )
    )


def _c(config: InceptionV4Config) -> Mixed:
    end, before, column, row = config.c
    return Mixed(
        (
            (Conv("0a", end),),
            (Conv("0a", before), Fork((Conv("0b", end, (1, 3)), Conv("0c", end, (3, 1))))),
            (
                Conv("0a", before),
                Conv("0b", column, (3, 1)),
                Conv("0c", row, (1, 3)),
                Fork((Conv("0d", end, (1, 3)), Conv("0e", end, (3, 1)))),
            ),
            (AVERAGE, Conv("0b", end)),
        )
    )


def inception_v4(
    config: InceptionV4Config, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> Inception:
    """Build the network, without the auxiliary head.

    Its parameters do not depend on ``input_size``.
    """
    del input_size
    a, b, c = config.counts
    layers = (
        *_stem(config),
        *((f"mixed_5{letter}", _a(config)) for letter in "bcde"[:a]),
        ("mixed_6a", _reduction_6(config)),
        *((f"mixed_6{letter}", _b(config)) for letter in "bcdefgh"[:b]),
        ("mixed_7a", _reduction_7(config)),
        *((f"mixed_7{letter}", _c(config)) for letter in "bcd"[:c]),
    )
    return Inception(layers, num_outputs=num_outputs, rngs=rngs)


INCEPTION_V4 = InceptionV4Config(
    stem=(32, 32, 64, 96, (64, 96), 192),
    counts=(4, 7, 3),
    a=(96, 64),
    reduce_6=(384, (192, 224, 256)),
    b=(384, 192, 224, 256, 128),
    reduce_7=(192, (256, 320)),
    c=(256, 384, 448, 512),
)

# Sizes at 32 pixels: 32 -> 16 -> 8 -> 4 -> 2.
DIGITS = InceptionV4Config(
    stem=(6, 6, 8, 8, (6, 10), 16),
    counts=(1, 2, 1),
    a=(8, 6),
    reduce_6=(20, (8, 10, 12)),
    b=(20, 10, 12, 14, 12),
    reduce_7=(16, (14, 20)),
    c=(16, 20, 22, 24),
    padding="SAME",
    stem_pool=1,
)

WEIGHT_MAP = network_rows(
    "InceptionV4",
    "Logits/Logits",
    odd={"Mixed_3a/Branch_1/Conv2d_0a_3x3": "mixed_3a/branch_1/conv_1a"},
)
