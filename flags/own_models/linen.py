"""Your own classifier in Flax linen. Here it is a small convolutional network.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/linen.py:convolutional --out=results/mine

A linen module's `apply` is a pure function already. pure_jax.py explains what a classifier is.
"""

import jax
import jax.numpy as jnp
from fitted_to_digits import last_layer
from flax import linen

import jaxadv

SIZE = 20


class Network(linen.Module):
    def setup(self):
        self.first = linen.Conv(16, (5, 5), strides=2)
        self.last = linen.Dense(10)

    def hidden(self, images):
        images = images - images.mean((1, 2), keepdims=True)
        return linen.relu(self.first(images)).reshape(len(images), -1)

    def __call__(self, images):
        return self.last(self.hidden(images))


def convolutional():
    network = Network()
    params = network.init(jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))["params"]
    weights, bias = last_layer(
        lambda images: network.apply({"params": params}, images, method=network.hidden), SIZE
    )
    params = {"params": params | {"last": {"kernel": weights, "bias": bias}}}
    return jaxadv.Classifier(
        network.apply, params, input_size=SIZE, num_classes=10, name="own_linen"
    )
