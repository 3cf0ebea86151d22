"""Random numbers that follow from a seed, an image's number and what else is folded in: never from the lane or the host."""

import math

import jax
import jax.numpy as jnp
from jax import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Bits, in even and odd groups of four rounds of Threefry-2x32 (Random123, threefry.h)."""


def key(*numbers: Array) -> Array:
    """The raw key (2,) uint32 of a seed and the numbers that are folded in after it, each () int32."""
    seed, *others = numbers
    made = jax.random.key(seed)
    for number in others:
        made = jax.random.fold_in(made, number)
    return jax.random.key_data(made)


def fold(made: Array, number: Array) -> Array:
    """A raw key with one more number () int32 folded in, as `jax.random.fold_in` does it."""
    return jnp.stack(threefry(made, jnp.uint32(0), number.astype(jnp.uint32)))


def uniform(made: Array, count: int) -> Array:
    """(count,) float32 in [0, 1), multiples of 2^-24."""
    return (_words(made, count) >> 8).astype(jnp.float32) * 2.0**-24


def signs(made: Array, count: int) -> Array:
    """(count,) float32, +1 or -1, each as likely."""
    return 1 - 2 * (_words(made, count) >> 31).astype(jnp.float32)


def normals(made: Array, count: int) -> Array:
    """Standard normal numbers (count,) float32 of both words of each block of the generator, of which jax.random uses one."""
    signed = (_words(made, count) >> 8).astype(jnp.float32) * 2.0**-23 - (1 - 2.0**-24)  # 2^24 values between -1 and 1, without the ends
    return math.sqrt(2) * jax.lax.erf_inv(signed)


def _words(made: Array, count: int) -> Array:
    half = -(-count // 2)
    first = jnp.arange(half, dtype=jnp.uint32)
    second = first + half  # that of an odd count's last block is 0, as in jax.extend.random.threefry_2x32
    return jnp.concatenate(threefry(made, first, jnp.where(second < count, second, 0)))[:count]


def threefry(made: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011, section 3.3) of blocks (first, second), written out.

    jax.random's own has a loop around its rounds on a processor: so it takes two thirds of the time to compute, and to compile.
    """
    keys = (made[0], made[1], made[0] ^ made[1] ^ jnp.uint32(0x1BD11BDA))
    first, second = first + keys[0], second + keys[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            first = first + second
            second = ((second << turn) | (second >> (32 - turn))) ^ first
        first = first + keys[(group + 1) % 3]
        second = second + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return first, second
