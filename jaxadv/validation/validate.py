"""validate: compares a port with the original network on the same images.

The original's own framework executes it. TensorFlow executes a frozen graph, or the graph beside a
checkpoint. For weight files of Keras and PyTorch, keras.applications or timm builds the network,
with its own preprocessing.
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxadv.validation import comparison
from jaxadv.validation.predict import difference_of, evaluate, read_images
from model_ports import registry, weights
from model_ports.convert import (
    keras_h5,
    originals,
    originals_keras,
    originals_torch,
    shards,
    sources,
    torch_state,
)
from model_ports.errors import InputError
from model_ports.intermediate import outputs_of_layers

ORIGINALS = {
    "frozen graph": originals.Original,
    "TensorFlow checkpoint": originals.Original,
    "TensorFlow checkpoint, version 1": originals.Original,
    keras_h5.FORMAT: originals_keras.Original,
    keras_h5.ARCHIVE: originals_keras.Original,
    torch_state.FORMAT: originals_torch.Original,
}
"""The class that executes a file, by the file's format (`sources.find`)."""

Original = originals.Original | originals_keras.Original | originals_torch.Original


def open_original(
    path: str, spec: registry.ModelSpec, *, size: int | None, double: bool
) -> Original:
    """Open the original network in a file, ready for execution.

    Args:
        path: the file.
        spec: the architecture.
        size: the input size in pixels; None for the file's own.
        double: True for double precision.

    Raises:
        InputError: if the file cannot be read, or has no graph to execute.
    """
    source = sources.find(path)
    if source.format in (".safetensors", shards.FORMAT) and torch_state.recognises(
        sources.read(path)
    ):
        return originals_torch.Original(path, spec, size=size, double=double)
    if source.format not in ORIGINALS:
        raise InputError(
            f"{path} ({source.format}) has weights but no graph to execute; validate needs a "
            "frozen graph (.pb), a TensorFlow checkpoint with its .meta, Keras's .h5, or PyTorch's "
            ".pth"
        )
    return ORIGINALS[source.format](path, spec, size=size, double=double)


@dataclass(frozen=True)
class Question:
    """What to ask a port and its original.

    Args:
        model: the network's name.
        variant: AlexNet's variant, or None.
        weights_dir: the folder with the port's weights; None to take them from the original's file.
        images: an .npy file of images (N, S, S, 3) in [0, 1]; None for two built-in test images.
        gradient: the outputs A and B of the gradient of raw logit A minus raw logit B.
        double: True to evaluate the whole network in double precision.
    """

    model: str
    variant: str | None = None
    weights_dir: str | None = None
    images: str | None = None
    gradient: tuple[int, int] = (7, 3)
    double: bool = False


def validate(
    original: Original, question: Question, *, tolerance: float | None = None
) -> dict[str, Any]:
    """Compare a port with its original.

    Args:
        original: the original network.
        question: the port, the images and the gradient.
        tolerance: the allowed relative L2 difference of logits; None for the default.

    Returns:
        Everything that the report shows, as JSON values. "passed" is True if all is within
        tolerance.

    Raises:
        InputError: if the port, its weights, the images and the original do not fit together.
    """
    network = registry.network(
        question.model, zoo="imagenet", input_size=original.size, variant=question.variant
    )
    limits = comparison.tolerances(
        network.spec.family,
        double=question.double,
        logits=tolerance,
        least=original.least_tolerances,
    )
    kind = np.float64 if question.double else np.float32
    pixels = _pixels(question, network.input_size).astype(kind)
    outputs = question.gradient
    difference = difference_of(outputs, network.num_outputs)
    # 1 if the port has a background column that the file's network lacks, else 0.
    lacks = network.num_outputs - original.outputs
    if lacks not in (0, network.label_offset):
        has = f"{question.model} has {network.num_outputs}"
        raise InputError(
            f"{original.path} puts out {original.outputs} logits, {has}; name its own model"
        )
    if difference[:lacks].any():
        given = f"--gradient is {outputs[0]},{outputs[1]}"
        raise InputError(
            f"{given}, but {original.path} has no output {lacks - 1}, the background; name classes"
        )
    if question.weights_dir is None:
        params = sources.parameters(original.path, network)
    else:
        params, _ = weights.load(network, weights.find(network, question.weights_dir))
    params = jax.tree.map(lambda array: np.asarray(array, kind), params)

    logits, gradient = original.logits_and_gradient(
        pixels, np.tile(difference[lacks:].astype(kind), (len(pixels), 1))
    )
    port_logits, port_gradient = evaluate(network, params, pixels, difference)
    rows = comparison.rows(logits, port_logits[:, lacks:], gradient, port_gradient)
    report = {
        "model": question.model,
        "source": original.path.name,
        "sha256": sources.find(original.path).sha256(),
        "weights": "of the source" if question.weights_dir is None else str(question.weights_dir),
        "input": original.input,
        "input_size": network.input_size,
        "logits": original.logits,
        "gradient_of": list(outputs),
        "precision": np.dtype(kind).name,
        "tolerances": limits,
        "images": rows,
        "overall": comparison.overall(rows),
    }
    report["passed"] = comparison.within(report["overall"], limits)
    report["layers"] = None
    worst = int(np.argmax([row["relative_logit_difference"] for row in rows]))
    if not report["overall"]["relative_logit_difference"] <= limits["logits"]:
        image = pixels[worst : worst + 1]
        port_layers = outputs_of_layers(network, params, image)
        last = list(original.layers)[-1]
        port_layers[last] = port_layers[last][..., lacks:]
        report["layers"] = comparison.layers(
            original.outputs_of_layers(image),
            port_layers,
            nodes=original.layers,
            limit=limits["logits"],
        )
    return report


def _pixels(question: Question, size: int) -> np.ndarray:
    if question.images is None:
        return test_images(size)
    pixels = read_images(question.images, size=size, double=question.double)
    if not len(pixels):
        raise InputError(
            f"--images is {question.images!r}, which has no image; one at least is needed"
        )
    return pixels


def test_images(size: int) -> np.ndarray:
    """Two test images: white noise, and a 9x9 grid of noise with linear interpolation between its
    points.

    Args:
        size: the side of the images in pixels.

    Returns:
        (2, size, size, 3) float32 in [0, 1].
    """
    noise = np.random.Generator(np.random.PCG64(1215)).uniform(size=(size, size, 3))
    grid = np.random.Generator(np.random.PCG64(7)).uniform(size=(9, 9, 3))
    position = np.linspace(0, 8, size)
    # The share of each grid point at each pixel.
    share = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(9)))
    return np.stack([noise, np.einsum("yi,xj,ijc->yxc", share, share, grid)]).astype(np.float32)


test_images.__test__ = False  # pytest must not collect it as a test
