"""Replaces your own weights in these examples: a last layer fitted to the digits, the same at each call."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.data import digits

RIDGE = 0.1
SCALE = 10.0  # makes logits of the usual size from one-hot answers


def last_layer(hidden, size):
    """Fit weights (H, 10) and a bias (10,) to the digits by least squares.

    ``hidden`` maps images (N, size, size, 3) to (N, H).
    """
    data = digits.load("train", size)
    inputs = np.asarray(jax.jit(hidden)(data.images), np.float64)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    wanted = SCALE * np.eye(10)[data.labels]
    fit = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1]), inputs.T @ wanted)
    return jnp.asarray(fit[:-1], jnp.float32), jnp.asarray(fit[-1], jnp.float32)
