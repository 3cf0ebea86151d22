"""Full-size networks of rule-made weights that call chosen pictures what they are told to.

The last layer is solved for: of n pictures whose features are no multiples of each other, it can
give each any output. Everything before it has the weights of the recordings.
"""

import golden_weights as golden
import jax
import numpy as np

from model_ports import registry
from model_ports.weight_map import assemble

LEAD = 5.0
"""Logits of the output that a picture is told, above a spread of 1 of all others."""


def weights(name: str, images: np.ndarray, says: list[int]) -> dict[str, np.ndarray]:
    """Weights by their original names.

    Args:
        name: a full-size network of the zoo, with one layer behind its features.
        images: (N, S, S, 3) float32 in [0, 1].
        says: the output of each, among all that the network has.
    """
    arrays = golden.weights(golden.recording(name).meta)
    outputs = registry.network(name, zoo="imagenet").num_outputs
    kernel, bias = _last_layer(arrays, outputs)
    shape = arrays[kernel].shape
    width = min(shape[-2], outputs)
    arrays[kernel] = np.eye(shape[-2], outputs, dtype=np.float32).reshape(shape)
    arrays[bias] = np.zeros(outputs, np.float32)
    features = run(name, arrays, images)[:, :width].astype(np.float64)

    wanted = np.random.default_rng(1215).normal(size=(len(images), outputs))
    wanted[np.arange(len(images)), says] = wanted.max(1) + LEAD
    centre = features.mean(0)
    solved = np.zeros(shape[-2:])
    solved[:width] = np.linalg.pinv(features - centre) @ (wanted - wanted.mean(0))
    arrays[kernel] = solved.reshape(shape).astype(np.float32)
    arrays[bias] = (wanted.mean(0) - centre @ solved[:width]).astype(np.float32)
    return arrays


def run(name: str, arrays: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """All outputs (N, outputs) of a network, one picture at a time; no attack's program is used."""
    network = registry.network(name, zoo="imagenet")
    params = assemble(network.spec.weight_map, arrays, network.abstract())
    with jax.default_matmul_precision("highest"):
        program = jax.jit(network.apply)
        return np.concatenate([np.asarray(program(params, image[None])) for image in images])


def _last_layer(arrays: dict[str, np.ndarray], outputs: int) -> tuple[str, str]:
    """The names of its kernel and of its bias."""
    kernel, bias = (name for name, array in arrays.items() if array.shape[-1] == outputs)
    return kernel, bias
