"""The recordings of the original networks, and the weights and images they were made with.

Every weight follows from its variable's name and shape, so that the recordings need no weight
files.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "golden" / "models"


class Recording(NamedTuple):
    """One network's file; the arrays are described in golden/models/README.md."""

    meta: dict
    logits: dict[str, np.ndarray]
    sample_index: np.ndarray
    gradient: dict[str, np.ndarray]


def recording(name: str) -> Recording:
    with np.load(FOLDER / f"{name}.npz") as file:
        return Recording(
            meta=json.loads(file["meta"].tobytes()),
            logits={kind: file[f"logits_{kind}"] for kind in ("uniform", "smooth")},
            sample_index=file["sample_index"],
            gradient={kind: file[f"gradient_{kind}"] for kind in ("uniform", "smooth")},
        )


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def weight(name: str, shape: list[int], *, kernel_scale: float) -> np.ndarray:
    """The float32 value of the original variable `name`: its own generator, its distribution by the
    last component.
    """
    random = _generator(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little"))
    match name.rsplit("/", 1)[-1]:
        case "weights" | "pointwise_weights":
            value = (
                random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1])) * kernel_scale
            )
        case "depthwise_weights":
            value = (
                random.standard_normal(shape) * np.sqrt(2.0 / (shape[0] * shape[1])) * kernel_scale
            )
        case "biases" | "beta" | "moving_mean":
            value = 0.1 * random.standard_normal(shape)
        case "gamma":
            value = 1.0 + 0.1 * random.standard_normal(shape)
        case "moving_variance":
            value = random.uniform(0.5, 1.5, shape)
        case other:
            raise ValueError(f"no rule for {other!r}")
    return value.astype(np.float32)


def weights(meta: dict) -> dict[str, np.ndarray]:
    """All variables of a recording, by their original names."""
    scale = meta["kernel_scale"]
    return {
        name: weight(name, shape, kernel_scale=scale) for name, shape in meta["variables"].items()
    }


def images(kind: str, size: int) -> np.ndarray:
    """(2, size, size, 3) float32 in [-0.5, 0.5]: white noise, or a 9x9 grid of noise interpolated
    corner to corner.
    """
    if kind == "uniform":
        return _generator(1215).uniform(-0.5, 0.5, (2, size, size, 3)).astype(np.float32)
    grid = _generator(7).uniform(-0.5, 0.5, (2, 9, 9, 3))
    position = np.arange(size, dtype=np.float64) * 8 / (size - 1)
    cell = np.minimum(position.astype(np.int64), 7)
    share = position - cell
    down, right = share[None, :, None, None], share[None, None, :, None]
    rows = grid[:, cell] * (1 - down) + grid[:, cell + 1] * down
    return (rows[:, :, cell] * (1 - right) + rows[:, :, cell + 1] * right).astype(np.float32)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
