"""Your own classifier as a pure JAX function. Here it is a linear one.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/pure_jax.py:linear --out=results/mine

The function after the colon returns a `jaxadv.Classifier`, or a list of them. It is called once.

A classifier is a function ``apply(params, images) -> logits``. The images are (N, S, S, 3) float32 RGB in
[0, 1]. Preprocessing belongs inside the function. The logits have no background class, unless you give
``label_offset=1``. The parameters are any pytree of arrays. They must be the same at each call: read
them from a file, or make them with a fixed seed. A continued run refuses rows of other parameters.
"""

import jax.numpy as jnp
from fitted_to_digits import last_layer

import jaxadv

SIZE = 16  # in pixels; you may choose any size, and get pictures of it


def ink(images):
    """The darkness of each pixel relative to its picture's mean, as a unit vector: (N, S, S, 3) -> (N, S * S)."""
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
