"""CLEVER's sampling: the largest norms of a margin's gradient around an image (Weng et al. 2018,
algorithm 1; the study, 2.5).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxadv.core import draws, oracle
from jaxadv.core.probe import Phase, Question, Schedule, never_done, settings
from jaxadv.support import checks

SAMPLE = Phase("sample", True)
PROTOCOLS = {"released": 3.0, "paper": 5.0}
"""The sampling protocols, each with its default radius in pixel units of range 1."""


class SampleItem(NamedTuple):
    """One batch of samples at one image."""

    image: Array  # (H, W, 3) float32 in [0, 1], x0
    label: Array  # () int32, class c
    target: Array  # () int32, class j; or (T,) for T classes, which share the forward pass
    seed: Array  # () int32
    image_id: Array  # () int32; seed, image_id, batch and the sample's number determine a sample
    batch: Array  # () int32, the number of the batch


class _State(NamedTuple):
    key: Array  # (2,) uint32, raw random key of this seed, image and batch
    sample: Array  # () int32, the number of samples so far
    # (3,) float32, largest l1, l2 and linf norm of the gradient so far; (T, 3) for T targets
    maxima: Array


@settings(data=("radius",), static=("samples", "protocol"))
@dataclass(frozen=True)
class CleverSampler:
    """The largest l1, l2 and linf norms of grad(Z_c - Z_j) over random points around x0. All norms
    use the same points.

    The protocol "released" takes x = clip(x0 + s * u) with u uniform in the unit l2 ball and s
    uniform on [0, radius]. So the distance from x0 is about uniform, but the point is not uniform
    in a ball. The protocol "paper" takes points uniform in the l2 ball, without clipping (algorithm
    1).

    Args:
        radius: the radius of the samples, in pixel units of range 1, above 0. `PROTOCOLS` has the
            usual one of each protocol.
        samples: the number of points in a batch.
        protocol: "released" or "paper".
    """

    radius: float
    samples: int = 1024
    protocol: str = "released"

    @property
    def schedule(self) -> Schedule:
        return Schedule((), (SAMPLE,), self.samples)

    def check(self) -> None:
        """Raises InputError if a setting is out of range."""
        checks.number("radius", self.radius, low=0, above=True)
        checks.count("samples", self.samples)
        checks.choice("protocol", self.protocol, tuple(PROTOCOLS))

    def init(self, item: SampleItem) -> _State:
        key = draws.key(item.seed, item.image_id, item.batch)
        return _State(key, jnp.int32(0), jnp.zeros((*item.target.shape, 3), jnp.float32))

    def ask(self, item: SampleItem, state: _State, phase: Phase, num_classes: int) -> Question:
        label = jnp.broadcast_to(item.label, item.target.shape)
        weights = jax.nn.one_hot(label, num_classes) - jax.nn.one_hot(item.target, num_classes)
        return self.draw(draws.fold(state.key, state.sample), item.image), oracle.linear(weights)

    def draw(self, key: Array, image: Array) -> Array:
        """One random point around an image.

        Args:
            key: (2,) uint32, a raw key.
            image: (H, W, 3) float32 in [0, 1].

        Returns:
            (H, W, 3) float32.
        """
        # A single draw compiles in a third of the time of several. The normal distribution function
        # makes two of its numbers uniform.
        normals = draws.normals(key, image.size + 2)
        direction = normals[:-2].reshape(image.shape)
        in_ball, scale = jax.scipy.special.ndtr(normals[-2:])
        point = (
            direction
            / jnp.sqrt(jnp.sum(direction * direction))
            * in_ball ** (1.0 / image.size)
            * self.radius
        )
        if self.protocol == "released":
            return jnp.clip(image + point * scale, 0.0, 1.0)
        return image + point

    def tell(self, item: SampleItem, state: _State, answer: oracle.Answer, phase: Phase) -> _State:
        size = jnp.abs(answer.asked_gradient())
        of_image = (-3, -2, -1)
        norms = jnp.stack(
            [
                jnp.sum(size, of_image),
                jnp.sqrt(jnp.sum(size * size, of_image)),
                jnp.max(size, of_image),
            ],
            axis=-1,
        )
        return state._replace(sample=state.sample + 1, maxima=jnp.maximum(state.maxima, norms))

    def done(self, state: _State) -> Array:
        return never_done()

    def result(self, item: SampleItem, state: _State) -> Array:
        return state.maxima
