"""Logits, and an input gradient, of one network for an .npy of images."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np

from jaxadv.core import oracle
from jaxadv.support import checks
from jaxadv.support.files import UNREADABLE
from model_ports import registry
from model_ports.errors import InputError

BATCH = 8


def read_images(path: str, *, size: int, double: bool) -> np.ndarray:
    """The images of --images, (N, size, size, 3) in [0, 1], float32 or as they are in float64. Raises InputError."""
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
            f"--images is {path!r}, an archive; one array in an .npy is needed: save it with numpy.save"
        )
    checked = checks.images(stored, size=size)
    return stored.astype(np.float64) if double else checked


def difference_of(gradient: Sequence[int], outputs: int) -> np.ndarray:
    """Weights (outputs,) of raw logit A minus raw logit B, of (A, B). Raises InputError."""
    if len(gradient) != 2 or not all(0 <= index < outputs for index in gradient):
        raise InputError(
            f"--gradient is {','.join(map(str, gradient))!r}; two outputs A,B of 0..{outputs - 1} are needed"
        )
    return np.eye(outputs)[gradient[0]] - np.eye(outputs)[gradient[1]]


def evaluate(
    network: registry.Network, params, images: np.ndarray, difference: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Raw logits (N, outputs), and the gradient (N, S, S, 3) of ``difference . logits``; difference (outputs,), or None: no gradient."""

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
