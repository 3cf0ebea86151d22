"""A classifier of your own as a pure JAX function: here a linear one.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/pure_jax.py:linear --out=results/mine

The function returns a `jaxadv.Classifier`, or a list of them, and is called once. A classifier is ``apply(params, images) -> logits``:
images (N, S, S, 3) float32 RGB in [0, 1], its own preprocessing inside, no background class among the logits (or ``label_offset=1``), and
params any pytree of arrays. Give the same at each call, read from a file or made with a fixed seed: a run that is continued refuses
rows of another version.
"""

import jax.numpy as jnp
from fitted_to_digits import last_layer

import jaxadv

SIZE = 16  # pixels, any you like: the pictures come in this size


def ink(images):
    """How dark each pixel is beside its picture's mean, as a unit vector: (N, S, S, 3) -> (N, S * S)."""
    dark = -images.mean(3).reshape(images.shape[0], SIZE**2)
    dark = dark - dark.mean(1, keepdims=True)
    return dark / jnp.linalg.norm(dark, axis=1, keepdims=True)


def apply(params, images):
    weights, bias = params
    return ink(images) @ weights + bias


def linear():
    return jaxadv.Classifier(
        apply, last_layer(ink, SIZE), input_size=SIZE, num_classes=10, name="own_linear"
    )
