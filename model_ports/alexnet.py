"""AlexNet (Krizhevsky et al. 2012), as in Kratzert's TensorFlow conversion of the Caffe network.

It has five convolutions and three fully connected layers. The second, fourth and fifth convolution
have two groups. Local response normalisation and a 3x3/2 max-pool follow the first two. A pool
follows the fifth.

The conversion changed over time. Its alpha was 2e-5 until 2017-12, 1e-5 until 2018-05 and 1e-4
until 2018-08. Since then it is 2e-5, which is Caffe's 1e-4 divided by the length of the window.
Until 2017-08 the pool came before the normalisation. It is unknown which version the study's file
is from. Both differences are therefore settings. The weights are the same.
"""

from dataclasses import dataclass, replace

import jax
from flax import nnx

from model_ports.layers import convolution, linear, local_response_normalization, max_pool
from model_ports.weight_map import layer_rows


@dataclass(frozen=True)
class AlexNetConfig:
    """AlexNet's sizes.

    Args:
        stem: kernel and stride of the first convolution.
        channels: the channels of the five convolutions.
        hidden: the units of fc6 and fc7.
        alpha: of the local response normalisation, whose radius is 2, power 0.75 and bias 1.
        pool_first: True to pool before the normalisation.
    """

    stem: tuple[int, int] = (11, 4)
    channels: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    hidden: int = 4096
    alpha: float = 2e-5
    pool_first: bool = False


class AlexNet(nnx.Module):
    """Maps (N, S, S, 3), BGR, 0..255 minus the means, to raw logits (N, num_outputs), for one S."""

    def __init__(self, config: AlexNetConfig, *, num_outputs: int, input_size: int, rngs: nnx.Rngs):
        kernel, stride = config.stem
        c1, c2, c3, c4, c5 = config.channels
        self.alpha = config.alpha
        self.pool_first = config.pool_first
        self.conv1 = convolution(3, c1, kernel, stride=stride, padding="VALID", rngs=rngs)
        self.conv2 = convolution(c1, c2, 5, groups=2, rngs=rngs)
        self.conv3 = convolution(c2, c3, 3, rngs=rngs)
        self.conv4 = convolution(c3, c4, 3, groups=2, rngs=rngs)
        self.conv5 = convolution(c4, c5, 3, groups=2, rngs=rngs)
        left = (input_size - kernel) // stride + 1
        for _ in range(3):
            left = (left - 3) // 2 + 1
        # The convolutions do not scale down images of range 0..255. The small gain keeps the first
        # logits small, so that training can start.
        self.fc6 = linear(left * left * c5, config.hidden, gain=0.2, rngs=rngs)
        self.fc7 = linear(config.hidden, config.hidden, gain=0.2, rngs=rngs)
        self.fc8 = linear(config.hidden, num_outputs, gain=0.2, rngs=rngs)

    def _reduced(self, x: jax.Array) -> jax.Array:
        """Normalise and pool."""
        if self.pool_first:
            return local_response_normalization(max_pool(x, 3, 2), radius=2, alpha=self.alpha)
        return max_pool(local_response_normalization(x, radius=2, alpha=self.alpha), 3, 2)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self._reduced(jax.nn.relu(self.conv1(x)))
        x = self._reduced(jax.nn.relu(self.conv2(x)))
        x = jax.nn.relu(self.conv3(x))
        x = jax.nn.relu(self.conv4(x))
        x = max_pool(jax.nn.relu(self.conv5(x)), 3, 2)
        x = x.reshape(x.shape[0], -1)  # in the order rows, columns, channels
        x = jax.nn.relu(self.fc6(x))
        x = jax.nn.relu(self.fc7(x))
        return self.fc8(x)


def alexnet(config: AlexNetConfig, *, num_outputs: int, input_size: int, rngs: nnx.Rngs) -> AlexNet:
    """Build the network for square images of ``input_size`` pixels."""
    return AlexNet(config, num_outputs=num_outputs, input_size=input_size, rngs=rngs)


ALEXNET = AlexNetConfig()

# What the conversion computed at other times. The key is the last month of each version.
VARIANTS = {
    "2017-08": replace(ALEXNET, pool_first=True),
    "2018-05": replace(ALEXNET, alpha=1e-5),
    "2018-08": replace(ALEXNET, alpha=1e-4),
}

# Sizes at 25 pixels: 21 after the first convolution, then 10 -> 4 -> 1.
DIGITS = AlexNetConfig(stem=(5, 1), channels=(12, 24, 32, 32, 24), hidden=64)

WEIGHT_MAP = layer_rows(r"((?:conv|fc)\d)", r"\1")
