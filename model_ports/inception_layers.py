"""The building blocks of the Inception networks. A network is a list of named layers.

`Conv`, `Pool`, `Fork`, `Mixed` and `Residual` are data that describe layers. A `Fork` has several
convolutions of one input, a `Mixed` block several branches. A `Residual` block adds its branches to
its input. Outputs of branches are concatenated along the channels. Within a branch, layers have
TF-Slim's position names: 0a, 0b, ..., and 1a where the image shrinks.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from model_ports.layers import average_pool, batch_norm, convolution, global_mean, linear, max_pool
from model_ports.weight_map import Row, batch_norm_rows, layer_rows
from model_ports.windows import Pair


@dataclass(frozen=True)
class Conv:
    """Convolution without bias -> batch normalisation -> ReLU."""

    position: str
    channels: int
    kernel: int | Pair = 1
    stride: int = 1
    padding: str = "SAME"


@dataclass(frozen=True)
class Pool:
    """A pool of kind "max" or "average". Averages do not count the padding."""

    kind: str
    window: int = 3
    stride: int = 1
    padding: str = "SAME"


@dataclass(frozen=True)
class Fork:
    """Several convolutions of the same input, whose outputs are concatenated."""

    convolutions: tuple[Conv, ...]


Branch = tuple[Conv | Pool | Fork, ...]


@dataclass(frozen=True)
class Mixed:
    """Several branches of the same input, whose outputs are concatenated."""

    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class Residual:
    """input + scale * (1x1 convolution with bias of the concatenated branches), then ReLU if
    ``active``.
    """

    branches: tuple[Branch, ...]
    scale: float
    active: bool = True


AVERAGE = Pool("average")
MAX = Pool("max")


def pooled(pool: Pool, x: jax.Array) -> jax.Array:
    """Apply a pool to images (N, H, W, C)."""
    function = {"max": max_pool, "average": average_pool}[pool.kind]
    return function(x, pool.window, pool.stride, padding=pool.padding)


class NormalizedConvolution(nnx.Module):
    """The module of a `Conv`.

    Its normalisation has TF-Slim's defaults: epsilon 1e-3 and no scale.
    """

    def __init__(self, inputs: int, conv: Conv, *, rngs: nnx.Rngs):
        self.convolution = convolution(
            inputs,
            conv.channels,
            conv.kernel,
            stride=conv.stride,
            padding=conv.padding,
            use_bias=False,
            rngs=rngs,
        )
        self.norm = batch_norm(conv.channels, epsilon=1e-3, use_scale=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.norm(self.convolution(x)))


class BranchModule(nnx.Module):
    """The module of a `Branch`. It has ``outputs`` channels.

    The convolutions are its attributes conv_0a, conv_0b, and so on.
    """

    def __init__(self, inputs: int, branch: Branch, *, rngs: nnx.Rngs):
        self.plan = branch
        self.outputs = inputs
        for step in branch:
            if not isinstance(step, Pool):
                convolutions = (step,) if isinstance(step, Conv) else step.convolutions
                for conv in convolutions:
                    setattr(
                        self,
                        f"conv_{conv.position}",
                        NormalizedConvolution(self.outputs, conv, rngs=rngs),
                    )
                self.outputs = sum(conv.channels for conv in convolutions)

    def _applied(self, conv: Conv, x: jax.Array) -> jax.Array:
        return getattr(self, f"conv_{conv.position}")(x)

    def __call__(self, x: jax.Array) -> jax.Array:
        for step in self.plan:
            if isinstance(step, Pool):
                x = pooled(step, x)
            elif isinstance(step, Conv):
                x = self._applied(step, x)
            else:
                x = jnp.concatenate([self._applied(conv, x) for conv in step.convolutions], axis=3)
        return x


class MixedModule(nnx.Module):
    """The module of a `Mixed` block. It has ``outputs`` channels.

    The branches are its attributes branch_0, branch_1, and so on.
    """

    def __init__(self, inputs: int, branches: tuple[Branch, ...], *, rngs: nnx.Rngs):
        self.names = tuple(f"branch_{number}" for number in range(len(branches)))
        self.outputs = 0
        for name, branch in zip(self.names, branches, strict=True):
            module = BranchModule(inputs, branch, rngs=rngs)
            setattr(self, name, module)
            self.outputs += module.outputs

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([getattr(self, name)(x) for name in self.names], axis=3)


class ResidualModule(nnx.Module):
    """The module of a `Residual` block. It keeps the number of channels."""

    def __init__(self, inputs: int, block: Residual, *, rngs: nnx.Rngs):
        self.scale = block.scale
        self.active = block.active
        self.outputs = inputs
        self.mixed = MixedModule(inputs, block.branches, rngs=rngs)
        self.up = convolution(self.mixed.outputs, inputs, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.scale * self.up(self.mixed(x))
        return jax.nn.relu(x) if self.active else x


Layer = Conv | Pool | Mixed | Residual


class Stem(Protocol):
    """A module that maps an image to ``outputs`` channels."""

    outputs: int

    def __call__(self, x: jax.Array) -> jax.Array: ...


class Inception(nnx.Module):
    """Maps network inputs (N, H, W, 3) in [-1, 1] to raw logits (N, num_outputs).

    The original ends with a pool that covers the whole image at its own input size. Here it is the
    mean over all positions.

    Args:
        layers: names and layers. Pools have no parameters, and may share a name.
        num_outputs: the number of logits.
        rngs: the random keys of the initial parameters.
        stem: a module before the layers, or None.
    """

    def __init__(
        self,
        layers: tuple[tuple[str, Layer], ...],
        *,
        num_outputs: int,
        rngs: nnx.Rngs,
        stem: Stem | None = None,
    ):
        channels = 3
        modules: dict[str, Any] = {}
        plan: list[str | Pool] = []
        if stem is not None:
            channels = stem.outputs
            modules["stem"] = stem
            plan.append("stem")
        for name, layer in layers:
            if isinstance(layer, Pool):
                plan.append(layer)
                continue
            if isinstance(layer, Conv):
                modules[name] = NormalizedConvolution(channels, layer, rngs=rngs)
                channels = layer.channels
            elif isinstance(layer, Mixed):
                modules[name] = MixedModule(channels, layer.branches, rngs=rngs)
                channels = modules[name].outputs
            else:
                modules[name] = ResidualModule(channels, layer, rngs=rngs)
            plan.append(name)
        self.plan = tuple(plan)
        self.layers = nnx.Dict(modules)
        self.logits = linear(channels, num_outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for step in self.plan:
            x = pooled(step, x) if isinstance(step, Pool) else self.layers[step](x)
        return self.logits(global_mean(x))


# --- names -------------------------------------------------------------------


def stem_conv(position: str, *sizes) -> tuple[str, Conv]:
    """A named convolution before the blocks. ``sizes`` are the further arguments of `Conv`."""
    return f"conv_{position}", Conv(position, *sizes)


def pointwise(kernel: np.ndarray) -> np.ndarray:
    """Turn the kernel of a 1x1 convolution into that of a fully connected layer."""
    return kernel.reshape(kernel.shape[-2:])


def conv_rows(source: str, port: str) -> tuple[Row, ...]:
    """The rows of the weight map for a `Conv`."""
    return (
        *layer_rows(source, f"{port}/convolution", bias=False),
        *batch_norm_rows(f"{source}/BatchNorm", f"{port}/norm"),
    )


def network_rows(
    network: str, logits: str, *, odd: dict[str, str] | None = None
) -> tuple[Row, ...]:
    """The rows of the weight map for convolutions before the blocks, `Mixed` blocks, and logits.

    Args:
        network: the TF-Slim scope of the network.
        logits: the name of the logits' layer in that scope.
        odd: layers whose source name does not show their position, with their paths in the port.
    """
    odd = odd or {}
    regular = rf"{network}/(?!(?:{'|'.join(odd)})/)" if odd else f"{network}/"
    return (
        *conv_rows(rf"{regular}Conv2d_(\d[a-z])_\dx\d", r"layers/conv_\1"),
        *conv_rows(
            rf"{regular}Mixed_(\d[a-z])/Branch_(\d)/Conv2d_(\d[a-z])_\dx\d",
            r"layers/mixed_\1/branch_\2/conv_\3",
        ),
        *(
            row
            for source, port in odd.items()
            for row in conv_rows(f"{network}/{source}", f"layers/{port}")
        ),
        (f"{network}/{logits}/weights", "logits/kernel", pointwise),
        (f"{network}/{logits}/biases", "logits/bias", None),
    )
