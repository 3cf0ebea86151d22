"""Classifiers that compile and answer in no time, for tests of what is around them."""

import jax.numpy as jnp
import numpy as np

import jaxadv

SIZES = (8, 12)


def apply(params, images):
    """images (N, S, S, 3) -> (N, 10)"""
    return jnp.tanh(images.reshape(len(images), -1) @ params["inner"]) @ params["outer"]


def model(size: int) -> jaxadv.Classifier:
    """Random weights: it is right by chance, on a tenth of the images."""
    generator = np.random.default_rng(size)
    shapes = {"inner": (size * size * 3, 16), "outer": (16, 10)}
    params = {
        name: generator.normal(size=shape, scale=shape[0] ** -0.5).astype(np.float32)
        for name, shape in shapes.items()
    }
    return jaxadv.Classifier(apply, params, input_size=size, num_classes=10, name=f"tiny_{size}")


def models() -> list[jaxadv.Classifier]:
    return [model(size) for size in SIZES]
