"""Pictures from arrays: an .npz file, or the embedded digits."""

import functools
import hashlib

import numpy as np
from PIL import Image

from jaxadv.data import digits, pictures
from jaxadv.data.pictures import Reading
from jaxadv.data.source import Source, fingerprint
from jaxadv.support import checks, places
from jaxadv.support.files import UNREADABLE
from model_ports.errors import InputError


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
        with np.load(places.place("--data", path), allow_pickle=False) as file:
            arrays = dict(file)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(
            f"data {name!r}: cannot read {path!r} ({error}); give an .npz with arrays images and labels"
        ) from error
    if not {"images", "labels"} <= set(arrays):
        raise InputError(
            f"data {name!r}: it has {', '.join(arrays) or 'no arrays'}; the arrays images and labels are needed: add them"
        )
    num_classes = arrays.get("num_classes")
    return from_arrays(
        arrays["images"],
        arrays["labels"],
        ids=arrays.get("ids"),
        num_classes=None if num_classes is None else int(num_classes),
        name=name,
    )


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
            f"data {name!r}: labels have type {labels.dtype} and {labels.size} values; integers from 0 are needed"
        )
    num_classes = int(labels.max() + 1) if num_classes is None else num_classes
    labels = checks.classes(labels, count=len(images), num_classes=num_classes, name="labels")
    ids = np.arange(len(images)) if ids is None else ids
    if (
        ids.shape != labels.shape
        or not np.issubdtype(ids.dtype, np.integer)
        or len(np.unique(ids)) < len(ids)
    ):
        raise InputError(
            f"data {name!r}: ids have type {ids.dtype} and shape {ids.shape}; {len(labels)} different integers are needed"
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
            f"data {name!r}: images have shape {images.shape}; (N, H, W, 3) is needed: RGB, channels last"
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            f"data {name!r}: images have type {images.dtype}; uint8 of 0..255 or floats in [0, 1] are needed: convert them"
        )
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise InputError(
            f"data {name!r}: images range from {low:g} to {high:g}; floats must lie in [0, 1]: divide 0..255 by 255"
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
