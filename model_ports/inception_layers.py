"""What the Inception networks share: a network is a list of named layers: convolutions, pools and blocks.

Sizes are data: a `Conv` or `Pool` is a layer, a `Fork` convolutions side by side, a `Mixed` block parallel branches, a
`Residual` block branches that are added to their input. Outputs of branches are joined along the channels. Layers of a
branch are called by TF-Slim's positions: 0a, 0b, ... and 1a where the image shrinks.
"""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from model_ports.layers import average_pool, batch_norm, convolution, global_mean, linear, max_pool
from model_ports.own_gradients import Pair
from model_ports.weight_map import Row, batch_norm_rows, layer_rows


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
    """`kind` is "max" or "average"; an average does not count the padding."""

    kind: str
    window: int = 3
    stride: int = 1
    padding: str = "SAME"


@dataclass(frozen=True)
class Fork:
    """Convolutions of the same input, joined."""

    convolutions: tuple[Conv, ...]


Branch = tuple[Conv | Pool | Fork, ...]


@dataclass(frozen=True)
class Mixed:
    """Branches of the same input, joined."""

    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class Residual:
    """input + scale * (1x1 convolution with bias of the joined branches), then ReLU where `active`."""

    branches: tuple[Branch, ...]
    scale: float
    active: bool = True


AVERAGE = Pool("average")
MAX = Pool("max")


def pooled(pool: Pool, x: jax.Array) -> jax.Array:
    function = {"max": max_pool, "average": average_pool}[pool.kind]
    return function(x, pool.window, pool.stride, padding=pool.padding)


class NormalizedConvolution(nnx.Module):
    """A `Conv`; the normalisation has epsilon 1e-3 and no scale, which is TF-Slim's default."""

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
    """The layers of a `Branch` one after the other, as conv_0a, conv_0b, ...; `outputs` channels."""

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
    """A `Mixed` block as branch_0, branch_1, ...; `outputs` channels."""

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
    """A `Residual` block; it keeps the number of channels."""

    def __init__(self, inputs: int, block: Residual, *, rngs: nnx.Rngs):
        self.scale, self.active, self.outputs = block.scale, block.active, inputs
        self.mixed = MixedModule(inputs, block.branches, rngs=rngs)
        self.up = convolution(self.mixed.outputs, inputs, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.scale * self.up(self.mixed(x))
        return jax.nn.relu(x) if self.active else x


Layer = Conv | Pool | Mixed | Residual


class Stem(Protocol):
    """A module that maps an image to `outputs` channels."""

    outputs: int

    def __call__(self, x: jax.Array) -> jax.Array: ...


class Inception(nnx.Module):
    """Network input (N, H, W, 3) in [-1, 1] -> raw logits (N, num_outputs).

    `layers` are (name, layer); pools have no parameters and may share a name. `stem`, if given, maps the image to
    `stem.outputs` channels before them. The mean over space is the original's last pool at its own input size.
    """

    def __init__(
        self,
        layers: tuple[tuple[str, Layer], ...],
        *,
        num_outputs: int,
        rngs: nnx.Rngs,
        stem: Stem | None = None,
    ):
        channels, modules, plan = 3, {}, []
        if stem is not None:
            channels, modules["stem"] = stem.outputs, stem
            plan.append("stem")
        for name, layer in layers:
            if isinstance(layer, Pool):
                plan.append(layer)
                continue
            if isinstance(layer, Conv):
                modules[name], channels = (
                    NormalizedConvolution(channels, layer, rngs=rngs),
                    layer.channels,
                )
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


# --- names -------------------------------------------------------------------------------------------------------


def stem_conv(position: str, *sizes) -> tuple[str, Conv]:
    """A convolution before the blocks, as a named layer; `sizes` as for `Conv`."""
    return f"conv_{position}", Conv(position, *sizes)


def pointwise(kernel: np.ndarray) -> np.ndarray:
    """The kernel of a 1x1 convolution as that of a fully connected layer; one of those stays."""
    return kernel.reshape(kernel.shape[-2:])


def conv_rows(source: str, port: str) -> tuple[Row, ...]:
    """Rows of a `Conv`."""
    return (
        *layer_rows(source, f"{port}/convolution", bias=False),
        *batch_norm_rows(f"{source}/BatchNorm", f"{port}/norm"),
    )


def network_rows(
    network: str, logits: str, *, odd: dict[str, str] | None = None
) -> tuple[Row, ...]:
    """Rows of the stem's convolutions, of all `Mixed` blocks, and of the logits of the TF-Slim scope `network`.

    `odd`: source name of each layer within `network` whose name does not tell its position -> its path in the port.
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
