"""Adversarial images on disk without loss: Zarr arrays (format 3), which other programs read too.

One array for each part of examples, under the same name: adversarial/part-NAME.zarr, (N, S, S, 3) float32 in [0, 1], image i that of row i.
A picture is a chunk with its own checksum, so a reader may take single ones; SHARD of them share a file. Shuffling bits and zstd's first
level, measured on adversarial pictures of MobileNet (224 x 224, all five attacks, one core): 67 % of the size (I-FGSM and C&W 78 %, FGSM
and EAD 49 %), written at 329 MB/s and read at 624; zstd alone at levels 1 and 5: 74 and 56 % at 217 and 48 MB/s; stronger levels behind the
shuffle gain at most 2 %.
"""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np

from jaxadv.store.rows import one_line
from jaxadv.support.files import cannot_write, sync_folder
from model_ports.errors import InputError

SHARD = 128  # pictures in a file
_OWN = re.compile(r"part-.+\.zarr")
_LEFTOVER = re.compile(r"\.part-.+\.zarr\.\d+\.tmp")
_INSIDE = re.compile(r"zarr\.json|c/\d+/0/0/0")
_LITTLE, _CHECKED = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
_SMALLER = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0}}


def write(directory: Path, part: str, images: np.ndarray) -> None:
    """The adversarial images (N, S, S, 3) float32 of the examples' rows of ``part``, whole or not at all, in place of earlier ones.

    directory: of the run. Raises InputError where it cannot be written.
    """
    place = _place(directory, part)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.mkdir(parents=True)
            array = _open(temporary, _metadata(part, images))
            for start in range(0, len(images), SHARD):  # one after the other: where one fails, nothing is at work on another
                some = images[start : start + SHARD]
                array[start : start + len(some)].write(some).result()  # which syncs
            _remove(place)
            os.replace(temporary, place)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(place.parent)
    except OSError as error:
        raise cannot_write(place, error) from error
    except ValueError as error:  # what tensorstore makes of the system's errors
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if not code:
            raise
        raise cannot_write(place, OSError(int(code[1]), os.strerror(int(code[1])))) from error


def has(directory: Path, part: str) -> bool:
    """Whether the images of a part are there. Checksums are verified when they are read."""
    return _is_whole(_place(directory, part))


def read(directory: Path, part: str) -> np.ndarray:
    """What `write` was given. Raises InputError where it is not there or damaged."""
    place = _place(directory, part)
    try:
        if not _is_whole(place):
            raise ValueError("files are missing")
        return _open(place).read().result()
    except ValueError as error:
        raise InputError(f"{str(place)!r} is no readable array ({one_line(error)}); give the command that made it again") from error


def remove(directory: Path, *, leftovers: bool = False) -> None:
    """Remove all images of a run, or what interrupted writes have left of them; files of others stay, and what holds them."""
    for place in Path(directory, "adversarial").glob("*part-*.zarr*"):
        if leftovers and _LEFTOVER.fullmatch(place.name):
            shutil.rmtree(place)
        elif not leftovers and _OWN.fullmatch(place.name):
            _remove(place)


def _place(directory: Path, part: str) -> Path:
    return Path(directory) / "adversarial" / f"part-{part}.zarr"


def _metadata(part: str, images: np.ndarray) -> dict:
    one, count = [1, *images.shape[1:]], [SHARD, *images.shape[1:]]
    inner = {"chunk_shape": one, "codecs": [_LITTLE, _SMALLER, _CHECKED], "index_codecs": [_LITTLE, _CHECKED]}
    return {
        "shape": images.shape,
        "data_type": "float32",
        "fill_value": "NaN",  # no picture has one: a file that is missing shows
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": count}},
        "codecs": [{"name": "sharding_indexed", "configuration": inner}],
        "dimension_names": ["row", "y", "x", "channel"],
        "attributes": {
            "part": part,
            "rows": f"examples/part-{part}.parquet",
            "order": "image i is the adversarial image of row i (from 0) of that file",
            "columns": ["model", "attack", "setting", "target_kind", "image_id", "label", "target"],
            "pixels": "RGB in [0, 1]",
        },
    }


def _open(place: Path, metadata: dict | None = None):
    """The array that is there, or a new one."""
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": os.fspath(place)}}
    return tensorstore.open(spec | ({"metadata": metadata, "create": True} if metadata else {})).result()


def _is_whole(place: Path) -> bool:
    try:
        count = json.loads((place / "zarr.json").read_text())["shape"][0]
    except (OSError, ValueError, KeyError):
        return False
    return all((place / "c" / str(number) / "0" / "0" / "0").is_file() for number in range(-(-count // SHARD)))


def _remove(place: Path) -> None:
    """Remove an array, zarr.json first, without which it is none."""
    paths = sorted(place.rglob("*"), reverse=True)  # what is inside comes before its folder, and zarr.json before c
    for path in paths:
        if path.is_file() and _INSIDE.fullmatch(path.relative_to(place).as_posix()):
            path.unlink()
    for path in [*paths, place]:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
