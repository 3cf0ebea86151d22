"""Small pictures, drawn here: smooth, different for each seed, and as files of any kind."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """RGB waves."""
    phases = np.random.default_rng(seed).uniform(0, 6, (3, 3))
    x, y = np.arange(width)[None, :, None] / 7, np.arange(height)[:, None, None] / 5
    waves = np.sin(x + phases[0]) + np.sin(y + phases[1]) + np.sin((x + y) / 2 + phases[2])
    return Image.fromarray(((waves + 3) * 42).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def write(path: Path, seed: int = 0, *, mode: str = "RGB", kind: str = "JPEG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed).convert(mode), kind))
