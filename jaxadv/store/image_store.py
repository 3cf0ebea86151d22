"""Adversarial images on disk: Zarr arrays (format 3), which other programs can read. They are
float32, without loss, or float16.

Each part of examples has one array under the same name: adversarial/part-NAME.zarr, (N, S, S, 3)
float32 in [0, 1]. Image i is that of row i. Each picture is a chunk with a checksum, so a reader
can read single pictures. SHARD pictures share a file. The attributes in zarr.json have the run's
digest, the size and CRC-32 of each file, and a checksum of zarr.json.

The compression is a bit shuffle and zstd at level 1. It was measured on adversarial pictures of
MobileNet (224 x 224, five attacks, one core). The size is 67 % (I-FGSM and C&W 78 %, FGSM and EAD
49 %). Writing runs at 329 MB/s and reading at 624 MB/s. zstd without the shuffle gives 74 % at 217
MB/s (level 1) and 56 % at 48 MB/s (level 5). Higher levels with the shuffle gain at most 2 %.
"""

import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxadv.support import log
from jaxadv.support.files import cannot_write, set_aside, short, sync_folder, temporary_of
from model_ports.errors import InputError, said

FOLDER = "adversarial"
DTYPES = ("float32", "float16")
SHARD = 128  # pictures in a file
_LEFTOVER = re.compile(r"\.part-.+\.zarr\.\d+\.tmp")
_INSIDE = re.compile(r"zarr\.json|c/\d+/0/0/0")
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_CHECKED = {"name": "crc32c"}
_SMALLER = {
    "name": "blosc",
    "configuration": {
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "bitshuffle",
        "typesize": 4,
        "blocksize": 0,
    },
}
_META = "zarr.json"
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
)  # errors of a damaged zarr.json


def write(
    directory: Path, part: str, images: np.ndarray, *, digest: str = "", dtype: str = DTYPES[0]
) -> None:
    """Write the adversarial images of a part of examples, completely or not at all. They replace
    earlier ones.

    Args:
        directory: the run's folder.
        part: the unit of work.
        images: (N, S, S, 3) float32 in [0, 1], one for each row.
        digest: the digest of the run's identity.
        dtype: one of `DTYPES`. float16 moves a pixel by at most 1/4096 (1/16 of a step of 8 bits).

    Raises:
        InputError: if they cannot be written.
    """
    place = _place(directory, part)
    temporary = temporary_of(place)
    try:
        try:
            temporary.mkdir(parents=True)
            array = _open(temporary, _metadata(part, images, dtype))
            for start in range(
                0, len(images), SHARD
            ):  # one shard at a time, so that no other write runs when one fails
                some = images[start : start + SHARD].astype(dtype, copy=False)
                array[start : start + len(some)].write(some).result()  # flushes to disk
            _seal(temporary, digest)
            _make_room(place, digest)
            os.replace(temporary, place)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(place.parent)
    except OSError as error:
        raise cannot_write(place, error) from error
    except ValueError as error:  # tensorstore raises it for errors of the system
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if not code:
            raise
        raise cannot_write(place, OSError(int(code[1]), os.strerror(int(code[1])))) from error


def exists(directory: Path, part: str, *, digest: str = "") -> bool:
    """Whether the images of a part exist and are of this run. The images are not read.

    Args:
        directory: the run's folder.
        part: the unit of work.
        digest: the digest of the run's identity.

    Returns:
        True if they exist.
    """
    try:
        attributes = _attributes(_place(directory, part))
    except _UNREADABLE:
        return False
    return _is_of(attributes, part, digest)


def _is_of(attributes: Mapping[str, Any], part: str, digest: str) -> bool:
    return (attributes["digest"], attributes["part"]) == (digest, part)


def has(directory: Path, part: str, *, digest: str = "", dtype: str | None = None) -> bool:
    """Whether the images of a part exist, are of this run, and are undamaged.

    Args:
        directory: the run's folder.
        part: the unit of work.
        digest: the digest of the run's identity.
        dtype: one of `DTYPES` that they must have; None for any.

    Returns:
        True if every byte is right.
    """
    place = _place(directory, part)
    try:
        metadata = _checked(place)
        attributes = metadata["attributes"]
        return (
            dtype in (None, metadata["data_type"])
            and _is_of(attributes, part, digest)
            and all(_sum(place / name) == known for name, known in attributes["files"].items())
        )
    except _UNREADABLE:
        return False


def make_room(directory: Path, part: str, *, digest: str = "") -> None:
    """Remove the images of a part, or rename those of another run.

    Args:
        directory: the run's folder.
        part: the unit of work.
        digest: the digest of the run's identity.

    Raises:
        InputError: if they cannot be removed.
    """
    place = _place(directory, part)
    if place.exists():
        try:
            _make_room(place, digest)
        except OSError as error:
            raise cannot_write(place, error) from error


def read(directory: Path, part: str) -> np.ndarray:
    """The images that `write` wrote.

    Args:
        directory: the run's folder.
        part: the unit of work.

    Returns:
        (N, S, S, 3) float32 in [0, 1].

    Raises:
        InputError: if they are missing or damaged.
    """
    place = _place(directory, part)
    try:
        missing = [name for name in _attributes(place)["files"] if not (place / name).is_file()]
        if missing:
            raise ValueError(f"the file {missing[0]} is missing")
        return _open(place).read().result().astype(np.float32, copy=False)
    except _UNREADABLE as error:
        raise InputError(
            f"{str(place)!r} is not a readable array ({said(error)}); run the command that "
            "made it again"
        ) from error


def remove_images(directory: Path, digest: str) -> None:
    """Remove the images of the run with this digest. Other files and their folders stay.

    Args:
        directory: the run's folder.
        digest: the digest of the run's identity.
    """
    for place in Path(directory, FOLDER).glob("part-*.zarr"):
        try:
            attributes = _attributes(place)
            ours = attributes["digest"] == digest and place == _place(directory, attributes["part"])
        except _UNREADABLE:
            ours = False
        if ours:
            try:
                _remove(place)
            except OSError as error:
                raise cannot_write(place, error) from error


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of interrupted writes."""
    for place in Path(directory, FOLDER).glob(".part-*.zarr*"):
        if _LEFTOVER.fullmatch(place.name):
            try:
                shutil.rmtree(place)
            except OSError as error:
                raise cannot_write(place, error) from error


def name(part: str) -> str:
    """The name of a part's array in its folder."""
    return f"part-{short(part)}.zarr"


def _place(directory: Path, part: str) -> Path:
    return Path(directory) / FOLDER / name(part)


def _seal(place: Path, digest: str) -> None:
    """Write the run's digest and all checksums into the attributes of a complete array."""
    metadata = json.loads((place / _META).read_bytes())
    files = {
        path.relative_to(place).as_posix(): _sum(path) for path in sorted(place.glob("c/*/0/0/0"))
    }
    metadata["attributes"] |= {"digest": digest, "files": files}
    metadata["attributes"]["checksum"] = _checksum(metadata)
    with open(place / _META, "w", encoding="utf-8") as file:
        json.dump(metadata, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _checked(place: Path) -> dict[str, Any]:
    """The metadata of an array. Raises one of _UNREADABLE if zarr.json is damaged."""
    metadata = json.loads((place / _META).read_bytes())
    if metadata["attributes"].pop("checksum") != _checksum(metadata):
        raise ValueError(f"{_META} was changed or damaged")
    return metadata


def _attributes(place: Path) -> dict[str, Any]:
    """The attributes of an array. Raises as `_checked`."""
    return _checked(place)["attributes"]


def _checksum(metadata: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(metadata, sort_keys=True).encode())


def _sum(path: Path) -> list[int]:
    """The size and the CRC-32 of a file."""
    content = path.read_bytes()
    return [len(content), zlib.crc32(content)]


def _metadata(part: str, images: np.ndarray, dtype: str) -> dict:
    smaller = {**_SMALLER, "configuration": {**_SMALLER["configuration"]}}
    smaller["configuration"]["typesize"] = np.dtype(dtype).itemsize
    one = [1, *images.shape[1:]]
    count = [SHARD, *images.shape[1:]]
    inner = {
        "chunk_shape": one,
        "codecs": [_LITTLE, smaller, _CHECKED],
        "index_codecs": [_LITTLE, _CHECKED],
    }
    return {
        "shape": images.shape,
        "data_type": dtype,
        "fill_value": "NaN",  # no picture has NaN, so a missing file shows
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
    """The array on disk, or a new one if there are ``metadata``."""
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": os.fspath(place)}}
    return tensorstore.open(
        spec | ({"metadata": metadata, "create": True} if metadata else {})
    ).result()


def _make_room(place: Path, digest: str) -> None:
    """Remove an array of this run, or a damaged one. An array of another run is renamed."""
    try:
        other = _attributes(place)["digest"] != digest
    except _UNREADABLE:
        other = False
    if other:
        log.warn(f"{str(place)!r} is of another run; it is renamed to {set_aside(place).name!r}")
    _remove(place)


def _remove(place: Path) -> None:
    """Remove an array. zarr.json goes first, since without it there is no array."""
    paths = sorted(
        place.rglob("*"), reverse=True
    )  # files come before their folder, and zarr.json before c
    for path in paths:
        if path.is_file() and _INSIDE.fullmatch(path.relative_to(place).as_posix()):
            path.unlink()
    for path in [*paths, place]:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
