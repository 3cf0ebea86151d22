"""A weight map says where each array of an original file belongs in a port.

A row is (regular expression, path template, transform). The expression must match a whole source
name. The template is the path in the port's parameters, joined by '/'. `re.Match.expand` fills in
its groups. The transform is None, or a function from the stored layout of an array to the port's.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from model_ports.errors import InputError

Transform = Callable[[np.ndarray], np.ndarray] | None
Row = tuple[str, str, Transform]

# These are in checkpoints, but are no parameters of a network: the step counter, the mean pixel in
# the VGG release, and the auxiliary classifiers, which only training uses.
IGNORED = (
    "global_step",
    r"vgg_1[69]/mean_rgb",
    r"InceptionV[34]/AuxLogits/.+",
    r"InceptionResnetV2/AuxLogits/.+",
    r"aux_11/aux_logits/.+",
)


def depthwise(kernel: np.ndarray) -> np.ndarray:
    """Convert TensorFlow's (height, width, channels, multiplier) to (height, width, 1, channels *
    multiplier).
    """
    height, width, channels, multiplier = kernel.shape
    return kernel.reshape(height, width, 1, channels * multiplier)


def layer_rows(source: str, port: str, *, bias: bool = True) -> tuple[Row, ...]:
    """The rows for a TF-Slim convolution or fully connected layer, with or without a bias."""
    rows = (
        (f"{source}/weights", f"{port}/kernel", None),
        (f"{source}/biases", f"{port}/bias", None),
    )
    return rows if bias else rows[:1]


def batch_norm_rows(source: str, port: str) -> tuple[Row, ...]:
    """The rows for a TF-Slim batch normalisation."""
    names = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
    return tuple((f"{source}/{old}", f"{port}/{new}", None) for old, new in names.items())


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn a nested dict into {"a/b/c": leaf}, in the order of the tree."""
    flat = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat |= flatten(value, f"{path}/") if isinstance(value, Mapping) else {path: value}
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def assemble(
    weight_map: Iterable[Row],
    source: Mapping[str, np.ndarray],
    abstract: Mapping[str, Any],
    *,
    ignored: Iterable[str] = IGNORED,
) -> dict[str, Any]:
    """Fill a network's parameters from arrays with original names.

    Each source name must match exactly one row, unless an expression in ``ignored`` matches it.
    Each array of the port must be filled exactly once, with its exact shape.

    Args:
        weight_map: the rows.
        source: the arrays by original name.
        abstract: a nested dict of shapes and dtypes.
        ignored: regular expressions for names that are no parameters.

    Returns:
        NumPy arrays in the structure and the dtypes of ``abstract``.

    Raises:
        InputError: one line with every name that is unmatched, matched twice, unfilled or of
            another shape.
    """
    rows = [
        (re.compile(pattern), template, transform) for pattern, template, transform in weight_map
    ]
    ignorable = re.compile("|".join(f"(?:{pattern})" for pattern in ignored) or r"(?!)")
    wanted = flatten(abstract)
    filled: dict[str, np.ndarray] = {}
    filled_by: dict[str, list[str]] = {}
    problems = []
    for name, array in source.items():
        if ignorable.fullmatch(name):
            continue
        hits = [(match, row) for row in rows if (match := row[0].fullmatch(name))]
        if len(hits) != 1:
            patterns = " and ".join(row[0].pattern for _, row in hits)
            problems.append(f"{name} matches {patterns}" if hits else f"{name} matches no row")
            continue
        [(match, (_, template, transform))] = hits
        path = match.expand(template)
        if path not in wanted:
            problems.append(f"{name} has no place: the port has no {path}")
            continue
        filled_by.setdefault(path, []).append(name)
        try:
            value = np.asarray(array) if transform is None else transform(np.asarray(array))
            fits = value.shape == tuple(wanted[path].shape)
            shape = str(value.shape)
        except (ValueError, IndexError):  # the transform expects another number of dimensions
            fits = False
            shape = f"{np.shape(array)} as stored"
        if fits:
            filled[path] = value.astype(wanted[path].dtype)
        else:
            problems.append(f"{name} has shape {shape}, {path} needs {tuple(wanted[path].shape)}")
    for path in wanted:
        names = filled_by.get(path, [])
        if len(names) != 1:
            problems.append(
                f"{path} is filled by {' and '.join(names)}"
                if names
                else f"{path} is filled by nothing"
            )
    if problems:
        raise InputError(
            f"{len(problems)} of {len(source)} arrays do not fit the network; convert the file of "
            "this very model: " + "; ".join(problems)
        )
    return unflatten({path: filled[path] for path in wanted})
