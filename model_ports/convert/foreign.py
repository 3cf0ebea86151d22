"""Turns layers of other frameworks into the originals' variables, for `keras_h5` and `torch_state`.

Both bring their arrays into one form: {layer: {part: array}}, with parts from `PARTS`. Kernels have
TensorFlow's layout: (height, width, in, out), for depthwise ones (height, width, channels, 1), for
fully connected ones (in, out).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from model_ports.convert.graph_layers import modules
from model_ports.errors import InputError
from model_ports.weight_map import Row as MapRow

PARTS = ("kernel", "bias", "gamma", "beta", "mean", "variance")

Layers = Mapping[str, Mapping[str, np.ndarray]]

_NORM = {"gamma": "gamma", "beta": "beta", "mean": "moving_mean", "variance": "moving_variance"}


class Row(NamedTuple):
    """Assigns one layer of the other framework to a scope of the original's variables.

    ``kind`` is "convolution" (also for fully connected layers), "depthwise", "norm", or "logits".
    The last is a convolution to the classes. ``norm`` names the normalisation that follows a
    convolution, if the original's normalisation has no gamma. It becomes `<scope>/BatchNorm`.
    """

    layer: str
    scope: str
    kind: str = "convolution"
    norm: str | None = None


class Place(NamedTuple):
    """Where a layer of the port is in the other framework.

    ``scaled_by`` names the normalisation whose gamma is part of the port's kernel, if any.
    """

    layer: str
    scaled_by: str | None = None


def places(rows: Iterable[Row], weight_map: Sequence[MapRow]) -> dict[str, Place]:
    """Find the layers of a port in the other framework.

    Args:
        rows: the assignment of layers.
        weight_map: the port's weight map.

    Returns:
        The place of each convolution, linear layer and normalisation, by its path in the port.
    """
    by_variable: dict[str, Place] = {}
    for row in rows:
        if row.kind == "norm":
            by_variable[f"{row.scope}/beta"] = Place(row.layer)
            continue
        by_variable[f"{row.scope}/{_kernel(row)}"] = Place(row.layer, row.norm)
        if row.norm is not None:
            by_variable[f"{row.scope}/BatchNorm/beta"] = Place(row.norm)
    return {
        path: by_variable[name]
        for path, leaves in modules(by_variable, weight_map).items()
        for name in leaves.values()
    }


def _kernel(row: Row) -> str:
    return "depthwise_weights" if row.kind == "depthwise" else "weights"


def originals(layers: Layers, rows: Iterable[Row], *, network) -> dict[str, np.ndarray]:
    """Turn layers into the original's variables.

    Each layer with arrays must be used by exactly one row. Each row must have its layer, with all
    its parts. `weight_map.assemble` checks the shapes later.

    Args:
        layers: the arrays by layer and part.
        rows: the assignment of layers.
        network: a `registry.Network`.

    Returns:
        The arrays by original name.

    Raises:
        InputError: one line with every problem.
    """
    variables: dict[str, np.ndarray] = {}
    missing: list[str] = []
    used: dict[str, int] = {}
    for row in rows:
        for name in (row.layer, row.norm):
            if name is not None:
                used[name] = used.get(name, 0) + 1
                if name not in layers:
                    missing.append(name)
        if row.layer not in layers or (row.norm is not None and row.norm not in layers):
            continue
        made, wrong = _variables(row, layers, network)
        missing += wrong
        variables |= made
    assert all(count == 1 for count in used.values()), "two rows use one layer"
    left = [name for name in layers if name not in used]
    problems = [f"{name} is missing" for name in missing] + [
        f"{name} has no place" for name in left
    ]
    if problems:
        raise InputError(
            f"{len(problems)} layers or arrays do not fit {network.spec.name}; give the weights "
            "of this very network, with its classifier (include_top): "
            f"{'; '.join(problems[:40])}{' ...' if len(problems) > 40 else ''}"
        )
    return variables


def _variables(row: Row, layers: Layers, network) -> tuple[dict[str, np.ndarray], list[str]]:
    """The variables of one row, and the names of parts that are missing or unexpected."""
    parts = dict(layers[row.layer])
    if row.kind == "norm":
        wrong = [f"{row.layer}/{part}" for part in {*_NORM} ^ {*parts}]
        return {
            f"{row.scope}/{_NORM[part]}": array for part, array in parts.items() if part in _NORM
        }, sorted(wrong)
    needed = {"kernel"}
    allowed = {"kernel"} if row.norm or row.kind == "depthwise" else {"kernel", "bias"}
    if row.kind == "logits":
        needed = allowed
    wrong = [f"{row.layer}/{part}" for part in (needed - {*parts}) | ({*parts} - allowed)]
    if wrong:
        return {}, sorted(wrong)
    made = {f"{row.scope}/{_kernel(row)}": parts["kernel"]}
    if "bias" in parts:
        made[f"{row.scope}/biases"] = parts["bias"]
    if row.kind == "logits":
        made = {name: with_background(array, network) for name, array in made.items()}
    if row.norm is not None:
        norm = dict(layers[row.norm])
        wrong = [
            f"{row.norm}/{part}"
            for part in ({"beta", "mean", "variance"} - {*norm}) | ({*norm} - {*_NORM})
        ]
        if wrong:
            return {}, sorted(wrong)
        if (gamma := norm.pop("gamma", None)) is not None:
            # gamma (k x - mean) = (gamma k) x - gamma mean. The original has no gamma, so the
            # kernel takes it.
            made[f"{row.scope}/weights"] = parts["kernel"] * gamma
            norm["mean"] = norm["mean"] * gamma
        made |= {f"{row.scope}/BatchNorm/{_NORM[part]}": array for part, array in norm.items()}
    return made, []


def with_background(array: np.ndarray, network) -> np.ndarray:
    """Extend the last axis from 1000 classes to 1001 outputs, if the original has a background
    class.

    Files of other frameworks have no such column. It becomes the mean of the other columns. The
    background's logit is then the mean of the 1000 logits: finite, and never the largest. The
    logits of the classes do not change. An array that has the column already is returned unchanged.
    """
    if network.label_offset == 0 or array.shape[-1] != network.num_classes:
        return array
    return np.concatenate(
        [array.mean(axis=-1, keepdims=True, dtype=np.float64).astype(array.dtype), array], axis=-1
    )
