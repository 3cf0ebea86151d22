"""Your own classifier in Equinox (``pip install equinox``). Here it is a perceptron with one hidden layer.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/equinox.py:perceptron --out=results/mine

`eqx.partition` makes the pure function: the arrays are the parameters, and all else is fixed. An Equinox
module takes one image, so it is mapped over the batch. pure_jax.py explains what a classifier is.
"""

import equinox as eqx
import jax
from fitted_to_digits import last_layer

import jaxadv

SIZE = 16


class Network(eqx.Module):
    first: eqx.nn.Linear
    last: eqx.nn.Linear

    def __init__(self, key):
        self.first = eqx.nn.Linear(3 * SIZE**2, 400, key=key)
        self.last = eqx.nn.Linear(400, 10, key=key)

    def hidden(self, image):
        return jax.nn.relu(self.first((image - image.mean((0, 1))).ravel()))

    def __call__(self, image):
        return self.last(self.hidden(image))


def perceptron():
    network = Network(jax.random.key(0))
    weights, bias = last_layer(jax.vmap(network.hidden), SIZE)
    network = eqx.tree_at(
        lambda network: (network.last.weight, network.last.bias), network, (weights.T, bias)
    )
    params, rest = eqx.partition(network, eqx.is_array)

    def apply(params, images):
        return jax.vmap(eqx.combine(params, rest))(images)

    return jaxadv.Classifier(apply, params, input_size=SIZE, num_classes=10, name="own_equinox")
