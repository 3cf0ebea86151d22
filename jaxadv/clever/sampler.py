"""CLEVER's sampling: the largest gradient norms of a margin around an image (Weng et al. 2018, algorithm 1; the study, 2.5)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxadv.core import oracle
from jaxadv.core.probe import Phase, Question, Schedule, never_done, settings
from jaxadv.support import checks

SAMPLE = Phase("sample", True)
PROTOCOLS = {"released": 3.0, "paper": 5.0}
"""Each sampling protocol with its usual radius, in pixel units of range 1."""
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Bits, in even and odd groups of four rounds of Threefry-2x32 (Random123, threefry.h)."""


class SampleItem(NamedTuple):
    """One batch of samples at one image."""

    image: Array  # (H, W, 3) float32 in [0, 1], x0
    label: Array  # () int32, class c
    target: Array  # () int32, class j; or (T,): several, which share the forward pass
    seed: Array  # () int32
    image_id: Array  # () int32; with seed, batch and the sample's number it fixes the sample, whatever the target or the lane
    batch: Array  # () int32


class _State(NamedTuple):
    key: Array  # raw random key of this seed, image and batch
    sample: Array  # () int32, samples taken
    maxima: Array  # (3,) float32, largest l1, l2 and linf norm of the gradient so far; (T, 3) of several targets


@settings(data=("radius",), static=("samples", "protocol"))
@dataclass(frozen=True)
class CleverSampler:
    """The largest l1, l2 and linf norms of grad(Z_c - Z_j) over ``samples`` points around x0, all from the same points.

    protocol "released": x = clip(x0 + s * u), u uniform in the unit l2 ball, s uniform on [0, radius] (3), so the distance from x0 is
    about uniform, not the point in a ball. "paper": uniform in the l2 ball of ``radius`` R (5), not clipped (algorithm 1).
    radius: pixel units, range 1.
    """

    radius: float
    samples: int = 1024
    protocol: str = "released"

    @property
    def schedule(self) -> Schedule:
        return Schedule((), (SAMPLE,), self.samples)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.number("radius", self.radius, low=0, above=True)
        checks.count("samples", self.samples)
        checks.choice("protocol", self.protocol, tuple(PROTOCOLS))

    def init(self, item: SampleItem) -> _State:
        key = jax.random.key(item.seed)
        for number in (item.image_id, item.batch):
            key = jax.random.fold_in(key, number)
        return _State(jax.random.key_data(key), jnp.int32(0), jnp.zeros((*item.target.shape, 3), jnp.float32))

    def ask(self, item: SampleItem, state: _State, phase: Phase, num_classes: int) -> Question:
        label = jnp.broadcast_to(item.label, item.target.shape)
        weights = jax.nn.one_hot(label, num_classes) - jax.nn.one_hot(item.target, num_classes)
        key = jnp.stack(threefry(state.key, jnp.uint32(0), state.sample.astype(jnp.uint32)))  # as jax.random.fold_in
        return self.draw(key, item.image), oracle.linear(weights)

    def draw(self, key: Array, image: Array) -> Array:
        """One random point around ``image``, of its shape. key: (2,) uint32."""
        # One flat draw compiles in a third of the time of several; two of its normals become uniform by their distribution function.
        normals = _normals(key, image.size + 2)
        direction = normals[:-2].reshape(image.shape)
        in_ball, scale = jax.scipy.special.ndtr(normals[-2:])
        point = direction / jnp.sqrt(jnp.sum(direction * direction)) * in_ball ** (1.0 / image.size) * self.radius
        if self.protocol == "released":
            return jnp.clip(image + point * scale, 0.0, 1.0)
        return image + point

    def tell(self, item: SampleItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        size = jnp.abs(answer.asked_gradient())
        of_image = (-3, -2, -1)
        norms = jnp.stack([jnp.sum(size, of_image), jnp.sqrt(jnp.sum(size * size, of_image)), jnp.max(size, of_image)], axis=-1)
        return state._replace(sample=state.sample + 1, maxima=jnp.maximum(state.maxima, norms))

    def done(self, state: _State) -> Array:
        return never_done()

    def result(self, item: SampleItem, state: _State) -> Array:
        return state.maxima


def _normals(key: Array, count: int) -> Array:
    """Standard normal numbers (count,) float32 of both words of each block of the generator, of which jax.random uses one."""
    half = -(-count // 2)
    first = jnp.arange(half, dtype=jnp.uint32)
    second = first + half  # that of an odd count's last block is 0, as in jax.extend.random.threefry_2x32
    words = jnp.concatenate(threefry(key, first, jnp.where(second < count, second, 0)))[:count]
    signed = (words >> 8).astype(jnp.float32) * 2.0**-23 - (1 - 2.0**-24)  # 2^24 values between -1 and 1, without the ends
    return math.sqrt(2) * jax.lax.erf_inv(signed)


def threefry(key: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011, section 3.3) of blocks (first, second), written out.

    jax.random's own has a loop around its rounds on a processor: so it takes two thirds of the time to compute, and to compile.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))
    first, second = first + keys[0], second + keys[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            first = first + second
            second = ((second << turn) | (second >> (32 - turn))) ^ first
        first = first + keys[(group + 1) % 3]
        second = second + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return first, second
