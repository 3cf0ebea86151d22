"""ONNX files as classifiers: `from_onnx`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core.classifier import Classifier
from jaxadv.foreign import network, trust
from jaxadv.foreign.layout import plain
from jaxadv.foreign.network import Normalisation, fingerprint, normalisation, plain_name
from jaxadv.foreign.onnx.graph import Graph, read
from jaxadv.foreign.operators import types
from jaxadv.support import places
from model_ports.errors import InputError, said


def from_onnx(
    path: str | os.PathLike,
    *,
    input_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    label_offset: int = 0,
    prove: bool = True,
    facts: dict[str, Any] | None = None,
) -> Classifier:
    """A classifier from an ONNX file, in JAX: gradients, compilation and lanes as for any other.

    A softmax at the end is left out. At conversion, logits are compared with those of ONNX's
    reference evaluator on two images, in double and in single precision; that has no gradients.

    Args:
        path: of the file. One input of images, (N, 3, S, S) or (N, S, S, 3) float32, and one output
            (N, K).
        input_size: S, pixels. None: that of the file.
        mean, std: the network gets ``(image - mean) / std`` of images in [0, 1], a number for each
            channel. None: the images as they are.
        num_classes: K, without background classes. None: as many as the network puts out.
        name: what tables call it. None: the name of the file.
        label_offset: background columns in front of the real classes.
        prove: whether to compare with the original.
        facts: what else is to be kept with results.

    Returns:
        A `Classifier`, whose ``facts`` have "source", "sha256" and, in "proof", how far it is from
        the original.

    Raises:
        InputError: the file cannot be read, fixes a batch, has an operator that is not read, is
            random or quantised; or the proof fails. The message is one line.
    """
    file = places.place("path", path)
    name = name or plain_name(file.stem)
    model = _opened(file)
    graph = read(model, name)
    if input_size and graph.input_size and input_size != graph.input_size:
        raise InputError(
            f"input_size is {input_size}, and {name} takes {graph.input_size} pixels; leave it out"
        )
    size = network.input_size(input_size, graph.input_size, name)
    normal = normalisation(mean, std)
    apply = _applied(graph, normal)
    outputs = _outputs(apply, graph.params, size, name)
    proof = None
    if prove:
        from jaxadv.foreign.onnx.reference import original

        proof = trust.prove(
            name,
            apply,
            graph.params,
            original(model, normal, graph),
            input_size=size,
            outputs=outputs,
        )
    import onnx

    kept = {
        "source": f"onnx: {file.name}",
        "framework": f"onnx {onnx.__version__}, written by {model.producer_name or 'others'}",
        "preprocessing": {"mean": list(normal[0]), "std": list(normal[1])},
        "without_softmax": graph.without_softmax,
        "sha256": fingerprint(graph.steps, graph.params, normal),
        "proof": proof,
    }
    return network.classifier(
        apply,
        graph.params,
        name=name,
        input_size=size,
        outputs=outputs,
        num_classes=num_classes,
        label_offset=label_offset,
        facts=kept | (facts or {}),
    )


def _opened(file: Path) -> Any:
    """The model, without functions of its own. Raises InputError."""
    try:
        import onnx
        import onnx.inliner
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed; run: pip install 'jaxadv[onnx]'"
        ) from error
    if not file.is_file():
        raise InputError(f"there is no file {str(file)!r}; name an ONNX file")
    try:
        model = onnx.load(file)
        onnx.checker.check_model(model)
    except Exception as error:  # of protobuf, of external data, of the checker
        raise InputError(
            f"{str(file)!r} is no ONNX file that can be read ({said(error)})"
        ) from error
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _applied(graph: Graph, normal: Normalisation) -> trust.Apply:
    """``apply(params, images)`` of images (N, S, S, 3) in [0, 1]."""
    if graph.is_channels_first:
        return network.applied(graph.steps, normal, graph.one_by_one)

    def logits(params: Any, pixels: jax.Array) -> jax.Array:
        return plain(graph.steps(params, pixels))

    def apply(params: Any, images: jax.Array) -> jax.Array:
        mean, std = (jnp.asarray(numbers, images.dtype) for numbers in normal)
        pixels = (images - mean.reshape(1, 1, 1, 3)) / std.reshape(1, 1, 1, 3)
        with types.working(images.dtype):
            if graph.one_by_one:
                return jax.vmap(lambda image: logits(params, image[None])[0])(pixels)
            return logits(params, pixels)

    return apply


def _outputs(apply: trust.Apply, params: dict[str, np.ndarray], size: int, name: str) -> int:
    two = jax.ShapeDtypeStruct((2, size, size, 3), np.float32)
    shape = jax.eval_shape(apply, params, two).shape
    if len(shape) != 2 or shape[0] != 2:
        raise InputError(
            f"{name} gives an array of shape {shape} for two images; (2, classes) is needed"
        )
    return shape[1]
