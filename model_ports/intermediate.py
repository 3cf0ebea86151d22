"""The outputs of every layer of a network on the way to the logits."""

import jax
import numpy as np
from flax import nnx

from model_ports.preprocessing import PREPROCESSING
from model_ports.registry import Network, Params

_OF_CALL = "__call__"  # nnx.capture names an output by the method that returned it


def outputs_of_layers(network: Network, params: Params, images: np.ndarray) -> dict[str, jax.Array]:
    """The output of each module that was called, by its path in params ("layers/conv_0/norm"). Images are as for `apply`."""

    def forward(module: nnx.Module, images: jax.Array) -> jax.Array:
        return module(PREPROCESSING[network.spec.preprocessing](images))

    @jax.jit
    def program(params: Params, images: jax.Array) -> dict[str, jax.Array]:
        with jax.default_matmul_precision("highest"):
            _, state = nnx.capture(forward, nnx.Intermediate, method_outputs=nnx.Intermediate)(
                network.module(params), images
            )
        found = nnx.to_pure_dict(state)
        return dict(_outputs(found, ()))

    return program(params, images)


def _outputs(tree: dict, path: tuple[str, ...]):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _outputs(value, (*path, str(key)))
        elif key == _OF_CALL:
            yield "/".join(path), value[-1] if isinstance(value, tuple) else value
