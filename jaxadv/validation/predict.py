"""Logits and an input gradient of one network, for images in an .npy file."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np

from jaxadv.core import oracle
from jaxadv.support import checks
from jaxadv.support.files import UNREADABLE
from model_ports import registry, weights
from model_ports.errors import InputError

BATCH = 8


def use_float64() -> None:
    """Let JAX compute in double precision, for the whole process."""
    jax.config.update("jax_enable_x64", True)


def read_images(path: str, *, size: int, double: bool) -> np.ndarray:
    """Read the images of --images.

    Args:
        path: an .npy file with floating-point images (N, size, size, 3) in [0, 1].
        size: the side that the network expects, in pixels.
        double: True to keep double precision.

    Returns:
        The images, float64 if ``double``, else float32.

    Raises:
        InputError: if the file cannot be read, or its array has another type, shape or range.
    """
    try:
        with open(path, "rb") as file:
            stored = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"--images is {path!r}, which does not exist; name an .npy file") from None
    except UNREADABLE:
        raise InputError(
            f"--images is {path!r}, which is not a readable .npy; save one with numpy.save"
        ) from None
    if not isinstance(stored, np.ndarray):
        stored.close()
        raise InputError(
            f"--images is {path!r}, an archive; one array in an .npy is needed: save it with "
            "numpy.save"
        )
    checked = checks.images(stored, size=size)
    return stored.astype(np.float64) if double else checked


def difference_of(gradient: Sequence[int], outputs: int) -> np.ndarray:
    """The weights of raw logit A minus raw logit B.

    Args:
        gradient: the indices (A, B) of two outputs.
        outputs: the number of the network's outputs.

    Returns:
        (outputs,) float64: 1 at A, -1 at B, 0 elsewhere.

    Raises:
        InputError: if there are not two indices, or one is out of range.
    """
    if len(gradient) != 2 or not all(0 <= index < outputs for index in gradient):
        raise InputError(
            f"--gradient is {','.join(map(str, gradient))!r}; two outputs A,B of "
            f"0..{outputs - 1} are needed"
        )
    return np.eye(outputs)[gradient[0]] - np.eye(outputs)[gradient[1]]


def predict(
    network: registry.Network,
    images: np.ndarray,
    difference: np.ndarray | None,
    *,
    weights_dir: str | None,
) -> dict[str, np.ndarray]:
    """Load a network's weights, and evaluate it.

    Args:
        network: the network.
        images: (N, S, S, 3) in [0, 1]. Their type sets the precision of the whole network.
        difference: (outputs,) weights of the raw logits whose gradient is wanted, or None.
        weights_dir: the folder with converted weights; None for the embedded ones.

    Returns:
        "logits" (N, K) without a background class, "raw_logits" (N, outputs), and "gradient"
        (N, S, S, 3) if ``difference`` is given.

    Raises:
        InputError: if the weights are missing or damaged.
    """
    params, _ = weights.load(network, weights.find(network, weights_dir))
    params = jax.tree.map(lambda array: np.asarray(array, images.dtype), params)
    raw, gradient = evaluate(network, params, images, difference)
    arrays = {"logits": raw[:, network.label_offset :], "raw_logits": raw}
    if difference is not None:
        arrays["gradient"] = gradient
    return arrays


def evaluate(
    network: registry.Network, params, images: np.ndarray, difference: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Raw logits and an input gradient.

    Args:
        network: the network.
        params: its parameters.
        images: (N, S, S, 3) in [0, 1].
        difference: (outputs,) weights of the raw logits whose gradient is wanted, or None.

    Returns:
        Raw logits (N, outputs), and the gradient (N, S, S, 3) of ``difference . logits``. The
        gradient has no rows if ``difference`` is None.
    """

    @partial(jax.jit, compiler_options=oracle.compiler_options())
    def program(params, images):
        with jax.default_matmul_precision("highest"):
            raw, pull_back = jax.vjp(lambda pixels: network.apply(params, pixels), images)
            if difference is None:
                return raw, images[:0]
            return raw, pull_back(
                jax.numpy.broadcast_to(difference.astype(images.dtype), raw.shape)
            )[0]

    parts = [
        jax.device_get(program(params, images[i : i + BATCH]))
        for i in range(0, max(1, len(images)), BATCH)
    ]
    raw, gradient = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return raw, gradient
