"""Summarises a network's logits for one fixed picture.

The numbers show whether two conversions are the same function.
"""

from typing import Any

import jax
import numpy as np

from model_ports.errors import InputError
from model_ports.registry import Network

PICTURE = "pixel (row, column, channel) is ((7 row + 11 column + 13 channel) mod 32) / 31"


def picture(size: int) -> np.ndarray:
    """The picture of `PICTURE`: (1, size, size, 3) float32 in [0, 1]."""
    row, column, channel = np.ogrid[:size, :size, :3]
    return (((7 * row + 11 * column + 13 * channel) % 32) / 31).astype(np.float32)[None]


def logit_checksum(network: Network, params: Any) -> dict[str, Any]:
    """Summarise the raw logits of `picture`, at the network's input size.

    They are computed in float32. Other hardware gives the same to about 1e-6 relative.

    Returns:
        JSON values.

    Raises:
        InputError: if a logit is not finite.
    """
    with jax.default_matmul_precision("highest"):
        logits = np.asarray(jax.jit(network.apply)(params, picture(network.input_size)))[0].astype(
            np.float64
        )
    if not np.isfinite(logits).all():
        raise InputError(
            f"{network.spec.name} gives logits that are not finite with these weights; give an "
            "undamaged file"
        )
    return {
        "picture": PICTURE,
        "size": network.input_size,
        "outputs": len(logits),
        "norm": float(np.linalg.norm(logits)),
        "mean": float(logits.mean()),
        "largest": int(logits.argmax()),
        "first8": [float(f"{value:.9g}") for value in logits[:8]],
    }
