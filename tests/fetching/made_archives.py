"""Synthetic archives: tar files of any kind, and the study's two in small."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import golden_weights as golden
import numpy as np
import writers
from PIL import Image

from jaxadv.data import study, validation
from jaxadv.fetching.addresses import GRAPHS

SMALLEST = ("mobilenet_v1_025", "mobilenet_v1_050", "mobilenet_v1_100")
NUMBERS = tuple(int(number) for number in study.images()[:12])
"""The first of the study's images."""


def packed(
    members: Iterable[tuple[str, bytes]], *, format: int = tarfile.GNU_FORMAT, level: int = 1
) -> bytes:
    """A .tar.gz with these members; no times are in it, so that it is the same again."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type, info.name = tarfile.DIRTYPE, name[:-1]
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), level, mtime=0)


def write_all(path: Path) -> None:
    """The study's archive of weights in full, one graph in memory at a time; 3 GB, minutes."""
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        for name in GRAPHS:
            content = graph(name)
            info = tarfile.TarInfo(GRAPHS[name].member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def graph(name: str) -> bytes:
    """A network's frozen graph with the weights of its recording."""
    return writers.frozen_graph(golden.weights(golden.recording(name).meta))


def graphs(names: Iterable[str], *, folder: str = "") -> list[tuple[str, bytes]]:
    """The members of the study's archive of weights."""
    return [(folder + GRAPHS[name].member, graph(name)) for name in names]


def picture_name(number: int) -> str:
    """As the study names a validation image."""
    return f"{validation.study_labels()[number - 1] + 1}.{number:08d}.jpg"


def jpeg(number: int, *, width: int = 240, height: int = 230) -> bytes:
    """A picture of soft shapes that follow from its number."""
    random = np.random.default_rng(number)
    small = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8).astype(np.uint8))
    stream = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def photographs(numbers: Iterable[int] = NUMBERS, *, folder: str = "imgs/"):
    """The members of the study's archive of pictures."""
    return [(folder + picture_name(number), jpeg(number)) for number in numbers]
