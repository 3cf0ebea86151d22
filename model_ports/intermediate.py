"""Computes the outputs of every layer of a network."""

import jax
import numpy as np
from flax import nnx

from model_ports.preprocessing import PREPROCESSING
from model_ports.registry import Network, Params

_OF_CALL = "__call__"  # nnx.capture names an output after the method that returned it


def outputs_of_layers(network: Network, params: Params, images: np.ndarray) -> dict[str, jax.Array]:
    """Compute the output of every module that is called on the way to the logits.

    Args:
        network: the network.
        params: its parameters.
        images: (N, H, W, 3), RGB in [0, 1].

    Returns:
        The outputs by the module's path in the parameters, such as "layers/conv_0/norm".
    """

    def forward(module: nnx.Module, images: jax.Array) -> jax.Array:
        return module(PREPROCESSING[network.spec.preprocessing](images))

    @jax.jit
    def program(params: Params, images: jax.Array) -> dict[str, jax.Array]:
        with jax.default_matmul_precision("highest"):
            _, state = nnx.capture(forward, nnx.Intermediate, method_outputs=nnx.Intermediate)(
                network.module(params), images
            )
        return dict(_outputs(nnx.to_pure_dict(state), ()))

    return program(params, images)


def _outputs(tree: dict, path: tuple[str, ...]):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _outputs(value, (*path, str(key)))
        elif key == _OF_CALL:
            yield "/".join(path), value[-1] if isinstance(value, tuple) else value
