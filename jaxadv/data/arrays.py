"""Pictures from arrays: an .npz file, or the embedded digits."""

import functools
import hashlib
import math
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from jaxadv.data import digits, pictures
from jaxadv.data.pictures import Reading
from jaxadv.data.source import MOST_CLASSES, Source, fingerprint
from jaxadv.support import checks, places
from jaxadv.support.files import UNREADABLE
from model_ports.convert.arrays import check_members
from model_ports.errors import InputError, said

MOST, RATIO = 2**29, 100
"""An archive may unpack to so many bytes, or to so many times its size if that is more.

Archives of zeros reach a thousand.
"""
_NAMES = ("images", "labels", "ids", "num_classes")


def open_npz(path: str, *, name: str) -> Source:
    """Open an .npz file as a source.

    Args:
        path: the file. It has `images` (N, H, W, 3), uint8 or floats in [0, 1], and `labels` (N,),
            integers from 0. It may have `ids` (N,) and `num_classes`; see `from_arrays`.
        name: what messages and the manifest call the source.

    Raises:
        InputError: if the file cannot be read, or lacks an array, or an array does not fit.
    """
    try:
        arrays = _read(places.place("--data", path), name)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(
            f"data {name!r}: cannot read {path!r} ({said(error)}); give an .npz with arrays "
            "images and labels"
        ) from error
    if not {"images", "labels"} <= set(arrays):
        raise InputError(
            f"data {name!r}: it has {', '.join(arrays) or 'no arrays'}; the arrays images and "
            "labels are needed: add them"
        )
    num_classes = arrays.get("num_classes")
    if num_classes is not None and (
        num_classes.size != 1 or not np.issubdtype(num_classes.dtype, np.integer)
    ):
        raise InputError(
            f"data {name!r}: num_classes has type {num_classes.dtype} and shape "
            f"{num_classes.shape}; one integer is needed"
        )
    return from_arrays(
        arrays["images"],
        arrays["labels"],
        ids=arrays.get("ids"),
        num_classes=None if num_classes is None else int(num_classes.item()),
        name=name,
    )


def _read(path: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays that are used.

    What they say to take is compared with the file's size before memory is spent on them.
    """
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        if isinstance(file, np.ndarray):
            raise ValueError("it is one array")
        check_members(file.zip)
        members = {member.filename.removesuffix(".npy"): member for member in file.zip.infolist()}
        wanted = [member for one, member in members.items() if one in _NAMES]
        total = sum(member.file_size for member in wanted)
        limit = max(MOST, RATIO * path.stat().st_size)
        if total > limit:
            raise InputError(
                f"data {name!r}: {str(path)!r} unpacks to {total} bytes, {limit} at most are "
                "allowed for its size; save it with numpy.savez"
            )
        for member in wanted:
            _check_size(file.zip, member)
        if not wanted:
            return dict.fromkeys(file.files[:9], np.zeros(0))  # their names are told
        return {one: file[one] for one in members if one in _NAMES}


def _check_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raises ValueError for a member that has not the size of its shape."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        if dtype.hasobject:
            raise ValueError("objects are not loaded: allow_pickle is False")
        if (
            min(shape, default=0) < 0
            or math.prod(shape) * dtype.itemsize != member.file_size - stream.tell()
        ):
            raise ValueError(f"{member.filename[:40]!r} has not the size of its shape")


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    ids: np.ndarray | None = None,
    num_classes: int | None = None,
    name: str = "arrays",
) -> Source:
    """Make a source of arrays.

    Args:
        images: (N, H, W, 3), uint8, or floats in [0, 1]. A network of input size H = W gets them
            unchanged. For other sizes they are preprocessed as pictures are.
        labels: (N,) integers in 0..num_classes-1.
        ids: (N,) different integers; 0..N-1 if not given.
        num_classes: the number of classes; the largest label plus 1 if not given.
        name: what messages and the manifest call the source.

    Raises:
        InputError: for another type, shape or range.
    """
    images = _checked(np.asarray(images), name)
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer) or not labels.size:
        raise InputError(
            f"data {name!r}: labels have type {labels.dtype} and {labels.size} values; integers "
            "from 0 are needed"
        )
    num_classes = int(labels.max()) + 1 if num_classes is None else num_classes
    if num_classes > MOST_CLASSES:
        raise InputError(
            f"data {name!r}: they have {num_classes} classes; at most {MOST_CLASSES} are "
            "allowed: number them from 0"
        )
    labels = checks.classes(labels, count=len(images), num_classes=num_classes, name="labels")
    ids = np.arange(len(images)) if ids is None else ids
    if (
        ids.shape != labels.shape
        or not np.issubdtype(ids.dtype, np.integer)
        or len(np.unique(ids)) < len(ids)
        or int(ids.max()) > np.iinfo(np.int64).max
    ):
        raise InputError(
            f"data {name!r}: ids have type {ids.dtype} and shape {ids.shape}; {len(labels)} "
            "different integers are needed"
        )
    content = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()

    def draw(index: int, size: int, reading: Reading) -> np.ndarray:
        image = images[index]
        if image.shape == (size, size, 3):
            return image
        if image.dtype == np.uint8:
            return np.asarray(pictures.prepare(Image.fromarray(image), size, reading))
        return pictures.prepare_floats(image, size, reading)

    return Source(
        name=name,
        ids=ids.astype(np.int64),
        labels=labels,
        names=[f"image {number}" for number in ids],
        num_classes=num_classes,
        fingerprint=fingerprint(content, images.shape, labels.tolist(), ids.tolist()),
        draw=draw,
    )


def _checked(images: np.ndarray, name: str) -> np.ndarray:
    """Check the images, and convert floats to float32."""
    if images.ndim != 4 or images.shape[3] != 3 or not images.size:
        raise InputError(
            f"data {name!r}: images have shape {images.shape}; (N, H, W, 3) is needed: RGB, "
            "channels last"
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            f"data {name!r}: images have type {images.dtype}; uint8 of 0..255 or floats in [0, "
            "1] are needed: convert them"
        )
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise InputError(
            f"data {name!r}: images range from {low:g} to {high:g}; floats must lie in [0, 1]: "
            "divide 0..255 by 255"
        )
    return images.astype(np.float32)


def open_digits(*, name: str) -> Source:
    """Open the test part of the embedded digits, which can be drawn at any size.

    Raises:
        InputError: if scikit-learn is not installed.
    """
    ink, labels, ids = digits.glyphs("test")
    images = functools.lru_cache(maxsize=4)(lambda size: digits.load("test", size).images)
    return Source(
        name=name,
        ids=ids.astype(np.int64),
        labels=labels,
        names=[f"digit {number}" for number in ids],
        num_classes=digits.NUM_CLASSES,
        fingerprint=hashlib.sha256(ink.tobytes() + labels.tobytes()).hexdigest(),
        draw=lambda index, size, reading: images(size)[index],
    )
