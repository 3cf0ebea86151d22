"""DenseNet-BC (Huang et al. 2016, arXiv 1608.06993), as in pudae's tensorflow-densenet.

Batch normalisation (epsilon 1.1e-5) and ReLU come before each convolution except the first. A
layer's output is concatenated to its input. All padding is SAME, except in the pools of the
transitions, where even sizes need none.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from model_ports.layers import average_pool, batch_norm, convolution, global_mean, max_pool
from model_ports.weight_map import batch_norm_rows, layer_rows


@dataclass(frozen=True)
class DenseNetConfig:
    """DenseNet's sizes.

    Args:
        growth: the channels that a layer adds (k in the paper).
        root: the channels of the first convolution.
        blocks: the number of layers of each dense block.
        root_kernel: the kernel of the first convolution.
        root_stride: the stride of the first convolution.
    """

    growth: int
    root: int
    blocks: tuple[int, ...]
    root_kernel: int = 7
    root_stride: int = 2


class ActiveConvolution(nnx.Module):
    """Batch normalisation -> ReLU -> convolution without bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, rngs: nnx.Rngs):
        self.norm = batch_norm(inputs, epsilon=1.1e-5, rngs=rngs)
        self.convolution = convolution(inputs, outputs, kernel, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.convolution(jax.nn.relu(self.norm(x)))


class DenseLayer(nnx.Module):
    """A 1x1 convolution to 4 * growth channels, then a 3x3 one to ``growth`` channels.

    The result is concatenated to the input: (N, H, W, C) -> (N, H, W, C + growth).
    """

    def __init__(self, inputs: int, growth: int, *, rngs: nnx.Rngs):
        self.x1 = ActiveConvolution(inputs, 4 * growth, 1, rngs=rngs)
        self.x2 = ActiveConvolution(4 * growth, growth, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([x, self.x2(self.x1(x))], axis=3)


class DenseNet(nnx.Module):
    """Maps (N, H, W, 3), (0..255 minus the means) * 0.017, to raw logits (N, num_outputs)."""

    def __init__(self, config: DenseNetConfig, *, num_outputs: int, rngs: nnx.Rngs):
        self.root = convolution(
            3, config.root, config.root_kernel, stride=config.root_stride, use_bias=False, rngs=rngs
        )
        self.root_norm = batch_norm(config.root, epsilon=1.1e-5, rngs=rngs)
        channels = config.root
        layers: dict[str, nnx.Module] = {}
        for block, repeats in enumerate(config.blocks, start=1):
            for number in range(1, repeats + 1):
                layers[f"block{block}_layer{number}"] = DenseLayer(
                    channels, config.growth, rngs=rngs
                )
                channels += config.growth
            if block < len(config.blocks):
                layers[f"transition{block}"] = ActiveConvolution(
                    channels, channels // 2, 1, rngs=rngs
                )
                channels //= 2
        self.order = tuple(layers)
        self.layers = nnx.Dict(layers)
        self.final_norm = batch_norm(channels, epsilon=1.1e-5, rngs=rngs)
        self.logits = convolution(channels, num_outputs, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = max_pool(jax.nn.relu(self.root_norm(self.root(x))), 3, 2, padding="SAME")
        for name in self.order:
            x = self.layers[name](x)
            if name.startswith("transition"):
                x = average_pool(x, 2, 2)
        x = jax.nn.relu(self.final_norm(x))
        return self.logits(global_mean(x)[:, None, None, :])[:, 0, 0]


def densenet(
    config: DenseNetConfig, *, num_outputs: int, input_size: int, rngs: nnx.Rngs
) -> DenseNet:
    """Build the network. Its parameters do not depend on ``input_size``."""
    del input_size
    return DenseNet(config, num_outputs=num_outputs, rngs=rngs)


DENSENET_121 = DenseNetConfig(growth=32, root=64, blocks=(6, 12, 24, 16))
DENSENET_169 = DenseNetConfig(growth=32, root=64, blocks=(6, 12, 32, 32))
DENSENET_161 = DenseNetConfig(growth=48, root=96, blocks=(6, 12, 36, 24))

# Sizes at 24 pixels: 24 -> 12 -> 6 -> 3.
DIGITS_121 = DenseNetConfig(growth=5, root=12, blocks=(2, 4, 4), root_kernel=3, root_stride=1)
DIGITS_169 = DenseNetConfig(growth=5, root=12, blocks=(2, 4, 7), root_kernel=3, root_stride=1)
DIGITS_161 = DenseNetConfig(growth=7, root=18, blocks=(2, 5, 6), root_kernel=3, root_stride=1)

_NET = r"densenet1(?:21|69|61)"


def _active_rows(source: str, port: str) -> tuple:
    return (
        *batch_norm_rows(f"{_NET}/{source}/BatchNorm", f"layers/{port}/norm"),
        *layer_rows(f"{_NET}/{source}/Conv", f"layers/{port}/convolution", bias=False),
    )


WEIGHT_MAP = (
    *layer_rows(f"{_NET}/conv1", "root", bias=False),
    *batch_norm_rows(f"{_NET}/BatchNorm", "root_norm"),
    *_active_rows(r"dense_block(\d)/conv_block(\d+)/(x[12])", r"block\1_layer\2/\3"),
    *_active_rows(r"transition_block(\d)/blk", r"transition\1"),
    *batch_norm_rows(f"{_NET}/final_block/BatchNorm", "final_norm"),
    *layer_rows(f"{_NET}/logits", "logits"),
)
