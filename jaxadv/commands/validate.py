"""validate: a port against the original network, which TensorFlow executes from its frozen graph, on the same images."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from jaxadv import comparison
from jaxadv.commands.predict import difference_of, evaluate, read_images
from model_ports import registry, weights
from model_ports.convert import sources
from model_ports.convert.originals import Original
from model_ports.errors import InputError
from model_ports.intermediate import outputs_of_layers
from model_ports.preprocessing import PREPROCESSING

FORMATS = (".csv", ".md", ".json")


def main(flags: SimpleNamespace) -> None:
    """Print, and write to --save, how port and original differ. Exit status 1 where that is beyond tolerance. Raises InputError."""
    for name in ("model", "source"):
        if getattr(flags, name) is None:
            raise InputError(f"--{name} is not given; validate needs --model and --source, the original's frozen graph")
    spec = registry.spec(flags.model)
    if flags.save is not None and (Path(flags.save).suffix not in FORMATS or not Path(flags.save).parent.is_dir()):
        raise InputError(f"--save is {flags.save!r}; a file name that ends in {', '.join(FORMATS)}, in a folder that exists, is needed")
    limits = comparison.tolerances(spec.family, double=flags.float64, logits=flags.tolerance)
    if flags.float64:
        jax.config.update("jax_enable_x64", True)
    original = Original(flags.source, spec, double=flags.float64)
    try:
        report = validate(original, flags, limits)
    finally:
        original.close()
    print(comparison.text(report))
    if flags.save is not None:
        Path(flags.save).write_text(comparison.written(report, Path(flags.save).suffix))
    if not report["passed"]:
        sys.exit(1)


def validate(original: Original, flags: SimpleNamespace, limits: dict[str, float]) -> dict[str, Any]:
    """All that the table shows, as JSON values. The port's weights are the file's own, or those in --weights_dir."""
    network = registry.network(flags.model, zoo="imagenet", input_size=_size(original, flags))
    kind = np.float64 if flags.float64 else np.float32
    pixels = _pixels(flags, network.input_size).astype(kind)
    outputs = flags.gradient or ["7", "3"]
    difference = difference_of(outputs, network.num_outputs)
    if flags.weights_dir is None:
        params = sources.parameters(original.path, network)
    else:
        params, _ = weights.load(network, weights.find(network, flags.weights_dir))
    params = jax.tree.map(lambda array: np.asarray(array, kind), params)

    preprocessed, pull_back = jax.vjp(PREPROCESSING[network.spec.preprocessing], pixels)
    logits, gradient = original.logits_and_gradient(np.asarray(preprocessed), np.tile(difference.astype(kind), (len(pixels), 1)))
    if logits.shape != (len(pixels), network.num_outputs):
        raise InputError(f"{original.path} puts out {logits.shape[1:]} logits, {flags.model} has {network.num_outputs}; name its own model")
    [gradient] = pull_back(gradient)
    found, found_gradient = evaluate(network, params, pixels, difference)
    rows = comparison.rows(logits, found, np.asarray(gradient), found_gradient)
    report = {
        "model": flags.model,
        "source": original.path.name,
        "sha256": sources.find(original.path).sha256(),
        "weights": "of the source" if flags.weights_dir is None else str(flags.weights_dir),
        "input": original.input,
        "input_size": network.input_size,
        "logits": original.logits,
        "gradient_of": [int(output) for output in outputs],
        "precision": np.dtype(kind).name,
        "tolerances": limits,
        "images": rows,
        "overall": comparison.overall(rows),
    }
    report["passed"] = comparison.within(report["overall"], limits)
    report["layers"] = None
    worst = int(np.argmax([row["relative_logit_difference"] for row in rows]))
    if not report["overall"]["relative_logit_difference"] <= limits["logits"]:
        report["layers"] = comparison.layers(
            original.outputs_of_layers(np.asarray(preprocessed)[worst : worst + 1]),
            outputs_of_layers(network, params, pixels[worst : worst + 1]),
            nodes=original.layers,
            limit=limits["logits"],
        )
    return report


def _size(original: Original, flags: SimpleNamespace) -> int | None:
    """The size that is asked for, or that the graph was made for; None for the network's own."""
    if flags.input_size is None:
        return original.size
    if original.size not in (None, flags.input_size):
        raise InputError(f"--input_size is {flags.input_size}, but {original.path} takes {original.size} pixels; leave it out")
    return flags.input_size


def _pixels(flags: SimpleNamespace, size: int) -> np.ndarray:
    if flags.images is None:
        return test_images(size)
    pixels = read_images(flags.images, size=size, double=flags.float64)
    if not len(pixels):
        raise InputError(f"--images is {flags.images!r}, which has no image; one at least is needed")
    return pixels


def test_images(size: int) -> np.ndarray:
    """(2, size, size, 3) float32 in [0, 1]: white noise, and a 9x9 grid of noise with straight lines between its points."""
    noise = np.random.Generator(np.random.PCG64(1215)).uniform(size=(size, size, 3))
    grid = np.random.Generator(np.random.PCG64(7)).uniform(size=(9, 9, 3))
    position = np.linspace(0, 8, size)
    share = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(9)))  # of each grid point at each pixel
    return np.stack([noise, np.einsum("yi,xj,ijc->yxc", share, share, grid)]).astype(np.float32)


test_images.__test__ = False  # for pytest: no test
