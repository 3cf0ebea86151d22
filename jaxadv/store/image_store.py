"""Adversarial images on disk without loss: Zarr arrays (format 3), which other programs read too.

One array for each part of examples, under the same name: adversarial/part-NAME.zarr, (N, S, S, 3) float32 in [0, 1], image i that of row i.
A picture is a chunk with its own checksum, so a reader may take single ones; SHARD of them share a file. The attributes in zarr.json
have the run's digest, the size and CRC-32 of each file, and a checksum of zarr.json itself. Shuffling bits and zstd's first
level, measured on adversarial pictures of MobileNet (224 x 224, all five attacks, one core): 67 % of the size (I-FGSM and C&W 78 %, FGSM
and EAD 49 %), written at 329 MB/s and read at 624; zstd alone at levels 1 and 5: 74 and 56 % at 217 and 48 MB/s; stronger levels behind the
shuffle gain at most 2 %.
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

from jaxadv.store.rows import one_line
from jaxadv.support import log
from jaxadv.support.files import cannot_write, set_aside, short, sync_folder
from model_ports.errors import InputError

SHARD = 128  # pictures in a file
_OWN = re.compile(r"part-.+\.zarr")
_LEFTOVER = re.compile(r"\.part-.+\.zarr\.\d+\.tmp")
_INSIDE = re.compile(r"zarr\.json|c/\d+/0/0/0")
_LITTLE, _CHECKED = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
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
)  # of a zarr.json that is damaged


def write(directory: Path, part: str, images: np.ndarray, *, digest: str = "") -> None:
    """Write the adversarial images of the examples' rows of ``part``, whole or not at all, in place of earlier ones.

    Args:
        directory: of the run.
        part: the unit of work.
        images: (N, S, S, 3) float32 in [0, 1].
        digest: of the run's identity.

    Raises:
        InputError: where they cannot be written.
    """
    place = _place(directory, part)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.mkdir(parents=True)
            array = _open(temporary, _metadata(part, images))
            for start in range(
                0, len(images), SHARD
            ):  # one after the other: where one fails, nothing is at work on another
                some = images[start : start + SHARD]
                array[start : start + len(some)].write(some).result()  # which syncs
            _seal(temporary, digest)
            _make_room(place, digest)
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


def exists(directory: Path, part: str, *, digest: str = "") -> bool:
    """Whether the images of a part are there, and of this run; they are not read."""
    try:
        attributes = _attributes(_place(directory, part))
    except _UNREADABLE:
        return False
    return (attributes["digest"], attributes["part"]) == (digest, part)


def has(directory: Path, part: str, *, digest: str = "") -> bool:
    """Whether the images of a part are there, of this run, and every byte is as it was written."""
    place = _place(directory, part)
    try:
        return exists(directory, part, digest=digest) and all(
            _sum(place / name) == known for name, known in _attributes(place)["files"].items()
        )
    except _UNREADABLE:
        return False


def read(directory: Path, part: str) -> np.ndarray:
    """What `write` was given. Raises InputError where it is not there or damaged."""
    place = _place(directory, part)
    try:
        missing = [name for name in _attributes(place)["files"] if not (place / name).is_file()]
        if missing:
            raise ValueError(f"the file {missing[0]} is missing")
        return _open(place).read().result()
    except _UNREADABLE as error:
        raise InputError(
            f"{str(place)!r} is no readable array ({one_line(error)}); give the command that made it again"
        ) from error


def remove(directory: Path, digest: str) -> None:
    """Remove the images of the run with this digest; files of others stay, and what holds them."""
    for place in Path(directory, "adversarial").glob("part-*.zarr"):
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
    """Remove what interrupted writes have left."""
    for place in Path(directory, "adversarial").glob(".part-*.zarr*"):
        if _LEFTOVER.fullmatch(place.name):
            try:
                shutil.rmtree(place)
            except OSError as error:
                raise cannot_write(place, error) from error


def _place(directory: Path, part: str) -> Path:
    return Path(directory) / "adversarial" / f"part-{short(part)}.zarr"


def _seal(place: Path, digest: str) -> None:
    """Write the run's digest and all checksums into the attributes of an array that is complete."""
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


def _attributes(place: Path) -> dict[str, Any]:
    """Those of an array whose zarr.json is as it was written. Raises _UNREADABLE."""
    metadata = json.loads((place / _META).read_bytes())
    if metadata["attributes"].pop("checksum") != _checksum(metadata):
        raise ValueError(f"{_META} was changed or damaged")
    return metadata["attributes"]


def _checksum(metadata: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(metadata, sort_keys=True).encode())


def _sum(path: Path) -> list[int]:
    """Size and CRC-32 of a file."""
    content = path.read_bytes()
    return [len(content), zlib.crc32(content)]


def _metadata(part: str, images: np.ndarray) -> dict:
    one, count = [1, *images.shape[1:]], [SHARD, *images.shape[1:]]
    inner = {
        "chunk_shape": one,
        "codecs": [_LITTLE, _SMALLER, _CHECKED],
        "index_codecs": [_LITTLE, _CHECKED],
    }
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
    return tensorstore.open(
        spec | ({"metadata": metadata, "create": True} if metadata else {})
    ).result()


def _make_room(place: Path, digest: str) -> None:
    """Remove what is there of this run, or damaged; another run's array gets another name."""
    try:
        other = _attributes(place)["digest"] != digest
    except _UNREADABLE:
        other = False
    if other:
        log.warn(f"{str(place)!r} is of another run; it is now called {set_aside(place).name!r}")
    _remove(place)


def _remove(place: Path) -> None:
    """Remove an array, zarr.json first, without which it is none."""
    paths = sorted(
        place.rglob("*"), reverse=True
    )  # what is inside comes before its folder, and zarr.json before c
    for path in paths:
        if path.is_file() and _INSIDE.fullmatch(path.relative_to(place).as_posix()):
            path.unlink()
    for path in [*paths, place]:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
