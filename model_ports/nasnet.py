"""NASNet-A (Zoph et al. 2017, arXiv 1707.07012), large, as in TF-Slim.

A cell has two inputs: the last output and the one before it. It combines them in five sums of two
operations each. Operations are ReLU -> convolution -> batch normalisation (epsilon 1e-3). Padding
is SAME, except in the first convolution. Drop-path and the auxiliary head are for training alone,
and are left out.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from model_ports.layers import average_pool, batch_norm, convolution, global_mean, linear, max_pool
from model_ports.weight_map import Row, batch_norm_rows, depthwise, layer_rows

Operation = tuple[str, int]
"""The name of an operation, and the state that it reads. State 0 is the cell's input, 1 the output
before that, and 2, 3, ... are the sums so far."""


@dataclass(frozen=True)
class CellPlan:
    """The structure of a cell.

    Args:
        sums: pairs of operations. The sum of each pair is a new state.
        joined: the states that are concatenated to the output.
        stride: of the operations that read states 0 and 1. All others have stride 1.
    """

    sums: tuple[tuple[Operation, Operation], ...]
    joined: tuple[int, ...]
    stride: int


NORMAL = CellPlan(
    sums=(
        (("separable_5", 0), ("separable_3", 1)),
        (("separable_5", 1), ("separable_3", 1)),
        (("average", 0), ("identity", 1)),
        (("average", 1), ("average", 1)),
        (("separable_3", 0), ("identity", 0)),
    ),
    joined=(1, 2, 3, 4, 5, 6),
    stride=1,
)
REDUCTION = CellPlan(
    sums=(
        (("separable_5", 0), ("separable_7", 1)),
        (("max", 0), ("separable_7", 1)),
        (("average", 0), ("separable_5", 1)),
        (("identity", 3), ("average", 2)),
        (("separable_3", 2), ("max", 0)),
    ),
    joined=(3, 4, 5, 6),
    stride=2,
)


@dataclass(frozen=True)
class NASNetConfig:
    """NASNet's sizes.

    Args:
        stem: the channels of the first convolution.
        filters: the channels of the first normal cells. Each reduction doubles them.
        stem_cells: the number of reduction cells before the first normal cell. The last of them
            has half of its filters, and each earlier one half of the next one's.
        repeats: the number of normal cells between reductions.
        reductions: the number of reductions.
        kernels: the kernel sizes that replace 3, 5 and 7.
    """

    stem: int
    filters: int
    stem_cells: int
    repeats: int
    reductions: int
    kernels: tuple[int, int, int] = (3, 5, 7)


class Separable(nnx.Module):
    """Twice ReLU -> depthwise -> pointwise -> normalisation.

    The stride belongs to the first half.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int, rngs: nnx.Rngs):
        self.depthwise_1 = convolution(
            inputs, inputs, kernel, stride=stride, groups=inputs, use_bias=False, rngs=rngs
        )
        self.pointwise_1 = convolution(inputs, outputs, 1, use_bias=False, rngs=rngs)
        self.norm_1 = batch_norm(outputs, epsilon=1e-3, rngs=rngs)
        self.depthwise_2 = convolution(
            outputs, outputs, kernel, groups=outputs, use_bias=False, rngs=rngs
        )
        self.pointwise_2 = convolution(outputs, outputs, 1, use_bias=False, rngs=rngs)
        self.norm_2 = batch_norm(outputs, epsilon=1e-3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.norm_1(self.pointwise_1(self.depthwise_1(jax.nn.relu(x))))
        return self.norm_2(self.pointwise_2(self.depthwise_2(jax.nn.relu(x))))


class Projection(nnx.Module):
    """ReLU -> 1x1 convolution -> normalisation."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.convolution = convolution(inputs, outputs, 1, use_bias=False, rngs=rngs)
        self.norm = batch_norm(outputs, epsilon=1e-3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.convolution(jax.nn.relu(x)))


class FactorizedReduction(nnx.Module):
    """ReLU -> two 1x1 convolutions of stride 2, concatenated -> normalisation.

    It maps (N, H, W, C) to (N, ceil(H / 2), ceil(W / 2), outputs). Each convolution makes half of
    the channels. The second one starts at the second row and column, with zeros beyond the border.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.path_1 = convolution(inputs, outputs // 2, 1, use_bias=False, rngs=rngs)
        self.path_2 = convolution(inputs, outputs - outputs // 2, 1, use_bias=False, rngs=rngs)
        self.norm = batch_norm(outputs, epsilon=1e-3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = jax.nn.relu(x)
        shifted = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1::2, 1::2]
        return self.norm(
            jnp.concatenate([self.path_1(x[:, ::2, ::2]), self.path_2(shifted)], axis=3)
        )


class Cell(nnx.Module):
    """Maps the current and the previous output to ``outputs`` channels.

    ``previous`` says what happens to the previous output. "same": nothing. "wide": a projection to
    ``filters`` channels. "large": a projection, and a reduction to half of its size. The current
    output is always projected.
    """

    def __init__(
        self,
        plan: CellPlan,
        channels: tuple[int, int],
        filters: int,
        *,
        previous: str,
        kernels: tuple[int, int, int],
        rngs: nnx.Rngs,
    ):
        self.plan = plan
        self.outputs = len(plan.joined) * filters
        self.begin = Projection(channels[0], filters, rngs=rngs)
        self.adapts = previous != "same"
        if self.adapts:
            kind = {"wide": Projection, "large": FactorizedReduction}[previous]
            self.previous = kind(channels[1], filters, rngs=rngs)
        sizes = {"separable_3": kernels[0], "separable_5": kernels[1], "separable_7": kernels[2]}
        for number, pair in enumerate(plan.sums):
            for side, (what, state) in zip(("left", "right"), pair, strict=True):
                if what in sizes:
                    inputs = filters if self.adapts or state != 1 else channels[1]
                    module = Separable(
                        inputs, filters, sizes[what], stride=self._stride(state), rngs=rngs
                    )
                    setattr(self, f"{side}_{number}", module)

    def _stride(self, state: int) -> int:
        return self.plan.stride if state < 2 else 1

    def _applied(self, what: str, state: int, states: list[jax.Array], name: str) -> jax.Array:
        if what == "identity":
            return states[state]
        if what == "average":
            return average_pool(states[state], 3, self._stride(state), padding="SAME")
        if what == "max":
            return max_pool(states[state], 3, self._stride(state), padding="SAME")
        return getattr(self, name)(states[state])

    def __call__(self, current: jax.Array, previous: jax.Array) -> jax.Array:
        states = [self.begin(current), self.previous(previous) if self.adapts else previous]
        for number, ((left, left_state), (right, right_state)) in enumerate(self.plan.sums):
            total = self._applied(left, left_state, states, f"left_{number}")
            states.append(total + self._applied(right, right_state, states, f"right_{number}"))
        return jnp.concatenate([states[state] for state in self.plan.joined], axis=3)


class NASNet(nnx.Module):
    """Maps network inputs (N, H, W, 3) in [-1, 1] to raw logits (N, num_outputs), at any H and W.

    A normal cell right after a reduction has the same previous output as the reduction. This is not
    the reduction's input. The first cell has no previous output, and uses its own input, without
    a projection.
    """

    def __init__(self, config: NASNetConfig, *, num_outputs: int, rngs: nnx.Rngs):
        self.root = convolution(
            3, config.stem, 3, stride=2, padding="VALID", use_bias=False, rngs=rngs
        )
        self.root_norm = batch_norm(config.stem, epsilon=1e-3, rngs=rngs)
        cells: dict[str, Cell] = {}
        order: list[tuple[str, int]] = []
        # For every output: its channels, and how often the image was halved.
        outputs = [(config.stem, 0), (config.stem, 0)]

        def add(name: str, plan: CellPlan, filters: int, before: int) -> None:
            """Add a cell that reads the last output and output number ``before``."""
            channels, halvings = outputs[-1]
            old_channels, old_halvings = outputs[before]
            previous = (
                "large"
                if old_halvings < halvings
                else "same"
                if old_channels == filters
                else "wide"
            )
            if not order:
                previous = "same"
            cell = Cell(
                plan,
                (channels, old_channels),
                filters,
                previous=previous,
                kernels=config.kernels,
                rngs=rngs,
            )
            cells[name] = cell
            order.append((name, before))
            outputs.append((cell.outputs, halvings + (plan.stride == 2)))

        for number in range(config.stem_cells):
            add(
                f"cell_stem_{number}",
                REDUCTION,
                config.filters // 2 ** (config.stem_cells - number),
                len(outputs) - 2,
            )
        for stage in range(config.reductions + 1):
            filters = config.filters * 2**stage
            before = len(outputs) - 2
            if stage:
                add(f"reduction_cell_{stage - 1}", REDUCTION, filters, before)
            for number in range(stage * config.repeats, (stage + 1) * config.repeats):
                add(f"cell_{number}", NORMAL, filters, before)
                before = len(outputs) - 2
        self.order = tuple(order)
        self.cells = nnx.Dict(cells)
        self.logits = linear(outputs[-1][0], num_outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.root_norm(self.root(x))
        outputs = [x, x]
        for name, before in self.order:
            outputs.append(self.cells[name](outputs[-1], outputs[before]))
        return self.logits(global_mean(jax.nn.relu(outputs[-1])))


def nasnet(config: NASNetConfig, *, num_outputs: int, input_size: int, rngs: nnx.Rngs) -> NASNet:
    """Build the network. Its parameters do not depend on ``input_size``."""
    del input_size
    return NASNet(config, num_outputs=num_outputs, rngs=rngs)


NASNET_LARGE = NASNetConfig(stem=96, filters=168, stem_cells=2, repeats=6, reductions=2)

# Sizes at 36 pixels: 36 -> 17 -> 9 -> 5.
DIGITS = NASNetConfig(stem=12, filters=12, stem_cells=1, repeats=1, reductions=1, kernels=(3, 3, 5))

_CELL = r"((?:reduction_)?cell_(?:stem_)?\d+)"
_SUM = rf"{_CELL}/comb_iter_(\d)/(left|right)"
_PORT_SUM = r"cells/\1/\3_\2"


def _separable_rows(number: int) -> tuple[Row, ...]:
    source = rf"{_SUM}/separable_\dx\d_{number}"
    port = _PORT_SUM
    return (
        (f"{source}/depthwise_weights", f"{port}/depthwise_{number}/kernel", depthwise),
        (f"{source}/pointwise_weights", f"{port}/pointwise_{number}/kernel", None),
        *batch_norm_rows(rf"{_SUM}/bn_sep_\dx\d_{number}", f"{port}/norm_{number}"),
    )


WEIGHT_MAP = (
    *layer_rows("conv0", "root", bias=False),
    *batch_norm_rows("conv0_bn", "root_norm"),
    *layer_rows(f"{_CELL}/1x1", r"cells/\1/begin/convolution", bias=False),
    *batch_norm_rows(f"{_CELL}/beginning_bn", r"cells/\1/begin/norm"),
    *layer_rows(f"{_CELL}/prev_1x1", r"cells/\1/previous/convolution", bias=False),
    *batch_norm_rows(f"{_CELL}/(?:prev_bn|final_path_bn)", r"cells/\1/previous/norm"),
    *layer_rows(rf"{_CELL}/path([12])_conv", r"cells/\1/previous/path_\2", bias=False),
    *_separable_rows(1),
    *_separable_rows(2),
    *layer_rows("final_layer/FC", "logits"),
)
