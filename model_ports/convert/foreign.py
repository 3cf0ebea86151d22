"""Layers of other frameworks as the originals' variables: what `keras_h5` and `torch_state` have in common.

Both bring their arrays into one form first: {layer: {part: array}}, part one of `PARTS`, kernels as TensorFlow has them:
(height, width, in, out), depthwise (height, width, channels, 1), fully connected (in, out).
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
    """One layer there -> one scope of variables here.

    kind: "convolution" (also fully connected; with a bias if the layer has one), "depthwise", "norm", or "logits", which is a
    convolution to the classes. norm: for a convolution whose normalisation has no gamma in the original, that layer's
    name; `<scope>/BatchNorm` is made of it.
    """

    layer: str
    scope: str
    kind: str = "convolution"
    norm: str | None = None


class Place(NamedTuple):
    """A layer of the port there: its name, and that of the normalisation whose gamma the port's kernel has taken, if any."""

    layer: str
    scaled_by: str | None = None


def places(rows: Iterable[Row], weight_map: Sequence[MapRow]) -> dict[str, Place]:
    """Path of each convolution, linear layer and normalisation in the port -> where it is there."""
    found: dict[str, Place] = {}
    for row in rows:
        if row.kind == "norm":
            found[f"{row.scope}/beta"] = Place(row.layer)
            continue
        found[f"{row.scope}/{_kernel(row)}"] = Place(row.layer, row.norm)
        if row.norm is not None:
            found[f"{row.scope}/BatchNorm/beta"] = Place(row.norm)
    return {
        path: found[name]
        for path, leaves in modules(found, weight_map).items()
        for name in leaves.values()
    }


def _kernel(row: Row) -> str:
    return "depthwise_weights" if row.kind == "depthwise" else "weights"


def originals(layers: Layers, rows: Iterable[Row], *, network) -> dict[str, np.ndarray]:
    """The variables by their original names. network: a `registry.Network`.

    Total: each layer with arrays is used by exactly one row, and each row has its layer with all its parts; InputError with
    every problem in one line otherwise. Shapes are left to `weight_map.assemble`.
    """
    found: dict[str, np.ndarray] = {}
    missing, used = [], {}
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
        found |= made
    assert all(count == 1 for count in used.values()), "a layer stands in two rows"
    left = [name for name in layers if name not in used]
    problems = [f"{name} is missing" for name in missing] + [
        f"{name} has no place" for name in left
    ]
    if problems:
        raise InputError(
            f"{len(problems)} layers or arrays do not fit {network.spec.name}; give the weights of this very network, with its"
            f" classifier (include_top): {'; '.join(problems[:40])}{' ...' if len(problems) > 40 else ''}"
        )
    return found


def _variables(row: Row, layers: Layers, network) -> tuple[dict[str, np.ndarray], list[str]]:
    """The variables of one row, and the names of what is missing or too much."""
    parts = dict(layers[row.layer])
    if row.kind == "norm":
        wrong = [f"{row.layer}/{part}" for part in {*_NORM} ^ {*parts}]
        return {
            f"{row.scope}/{_NORM[part]}": array for part, array in parts.items() if part in _NORM
        }, sorted(wrong)
    needed, allowed = (
        {"kernel"},
        {"kernel"} if row.norm or row.kind == "depthwise" else {"kernel", "bias"},
    )
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
            # gamma (k x - mean) = (gamma k) x - gamma mean: the original has no gamma, its kernel takes it.
            made[f"{row.scope}/weights"] = parts["kernel"] * gamma
            norm["mean"] = norm["mean"] * gamma
        made |= {f"{row.scope}/BatchNorm/{_NORM[part]}": array for part, array in norm.items()}
    return made, []


def with_background(array: np.ndarray, network) -> np.ndarray:
    """The last axis of 1000 classes as 1001 outputs where the original has a background class.

    Other frameworks' files have no such column. It becomes the mean of the classes', so that its logit is the mean of
    the 1000 logits: finite, never the largest, and without effect on the classes, which are the file's own. An array that has
    the column already stays as it is.
    """
    if network.label_offset == 0 or array.shape[-1] != network.num_classes:
        return array
    return np.concatenate(
        [array.mean(axis=-1, keepdims=True, dtype=np.float64).astype(array.dtype), array], axis=-1
    )
