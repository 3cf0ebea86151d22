"""Your own classifier in Flax NNX. Here it is a small convolutional network.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/nnx.py:convolutional --out=results/mine

`nnx.split` makes the pure function: the structure is fixed, and the state has the parameters.
pure_jax.py explains what a classifier is.
"""

from fitted_to_digits import last_layer
from flax import nnx

import jaxadv

SIZE = 16


class Network(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(3, 16, (5, 5), strides=2, rngs=rngs)
        self.last = nnx.Linear(16 * (SIZE // 2) ** 2, 10, rngs=rngs)

    def hidden(self, images):
        images = images - images.mean((1, 2), keepdims=True)
        return nnx.relu(self.first(images)).reshape(len(images), -1)

    def __call__(self, images):
        return self.last(self.hidden(images))


def convolutional():
    network = Network(nnx.Rngs(0))
    network.last.kernel[...], network.last.bias[...] = last_layer(network.hidden, SIZE)
    structure, params = nnx.split(network)

    def apply(params, images):
        return nnx.merge(structure, params)(images)

    return jaxadv.Classifier(apply, params, input_size=SIZE, num_classes=10, name="own_nnx")
