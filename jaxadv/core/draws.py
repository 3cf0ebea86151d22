"""Random numbers that depend on a seed and an image's number, never on the lane or the host."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from jaxadv.core.probe import AttackItem

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Rotations in bits, for even and odd groups of four rounds of Threefry-2x32 (Random123,
threefry.h).
"""


def key(*numbers: Array) -> Array:
    """The raw key of a seed with further numbers folded into it.

    Args:
        *numbers: the seed, then the numbers to fold in, each () int32.

    Returns:
        (2,) uint32.
    """
    seed, *others = numbers
    made = jax.random.key(seed)
    for number in others:
        made = jax.random.fold_in(made, number)
    return jax.random.key_data(made)


def fold(made: Array, number: Array) -> Array:
    """Fold one more number into a raw key, as `jax.random.fold_in` does.

    Args:
        made: a raw key (2,) uint32.
        number: () int32.

    Returns:
        (2,) uint32.
    """
    return jnp.stack(threefry(made, jnp.uint32(0), number.astype(jnp.uint32)))


def uniform_numbers(made: Array, count: int) -> Array:
    """Random numbers, uniform in [0, 1), multiples of 2^-24.

    Args:
        made: a raw key (2,) uint32.
        count: how many numbers.

    Returns:
        (count,) float32.
    """
    return (_words(made, count) >> 8).astype(jnp.float32) * 2.0**-24


def signs(made: Array, count: int) -> Array:
    """Random signs: +1 or -1 with equal probability.

    Args:
        made: a raw key (2,) uint32.
        count: how many numbers.

    Returns:
        (count,) float32.
    """
    return 1 - 2 * (_words(made, count) >> 31).astype(jnp.float32)


def normals(made: Array, count: int) -> Array:
    """Random numbers of the standard normal distribution.

    It uses both words of each block of the generator; jax.random uses one.

    Args:
        made: a raw key (2,) uint32.
        count: how many numbers.

    Returns:
        (count,) float32.
    """
    signed = (_words(made, count) >> 8).astype(jnp.float32) * 2.0**-23 - (
        1 - 2.0**-24
    )  # 2^24 values between -1 and 1, without the ends
    return math.sqrt(2) * jax.lax.erf_inv(signed)


def noise(item: AttackItem, number: Array, *, uniform: bool) -> Array:
    """Noise for an attack's item.

    Args:
        item: the item, with its draw.
        number: () int32, which separates the draws of one item, such as the number of a restart.
        uniform: whether the noise is uniform in [-1, 1]. Otherwise it is standard normal.

    Returns:
        (H, W, 3), in the dtype of the image.

    Raises:
        TypeError: if the item has no draw.
    """
    if item.draw is None:
        raise TypeError("this item has no draw: the attack's needs do not say that it draws")
    made = key(item.draw.seed, item.draw.image_id, number)
    image = item.image
    flat = 2 * uniform_numbers(made, image.size) - 1 if uniform else normals(made, image.size)
    return flat.reshape(image.shape).astype(image.dtype)


def _words(made: Array, count: int) -> Array:
    half = -(-count // 2)
    first = jnp.arange(half, dtype=jnp.uint32)
    second = (
        first + half
    )  # 0 for the last block of an odd count, as in jax.extend.random.threefry_2x32
    return jnp.concatenate(threefry(made, first, jnp.where(second < count, second, 0)))[:count]


def threefry(made: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011, section 3.3).

    On CPU, jax.random loops over the rounds. Here they are unrolled, which takes two thirds of the
    time to compile and to run.

    Args:
        made: a raw key (2,) uint32.
        first: (n,) uint32, the first words of n blocks.
        second: (n,) uint32, the second words.

    Returns:
        The two encrypted words of each block, each (n,) uint32.
    """
    keys = (made[0], made[1], made[0] ^ made[1] ^ jnp.uint32(0x1BD11BDA))
    first = first + keys[0]
    second = second + keys[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            first = first + second
            second = ((second << turn) | (second >> (32 - turn))) ^ first
        first = first + keys[(group + 1) % 3]
        second = second + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return first, second
