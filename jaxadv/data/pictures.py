"""Turns files and arrays into pictures (S, S, 3): decodes, resizes and crops.

Preprocessing "study" (released code, setup_imagenet.py): Lanczos resampling until the shorter side
is S, with the longer side truncated; then a crop of the centre, without a margin. The study treats
a square as a wide picture, and truncates its width too. For some sides (375 at S = 227) the width
becomes S - 1. The crop then has a black column at one edge, and we reproduce that. EXIF rotation is
ignored.

Preprocessing "resize-256-crop" (usual for ImageNet, as torchvision's transforms): bilinear
resampling until the shorter side is S * 256 / 224; then a crop of the centre.

Pictures that are not RGB are dropped, as in the study, or converted. Pictures that are unreadable,
too small, too large or too narrow are always dropped. `Unusable` has the reason for each drop.

Files may come from anybody. Only the decoders of `FORMATS` read them, because Pillow has others,
one of which starts Ghostscript. The size in the header is checked before pixels are decoded, so a
small file cannot use much memory.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxadv.support import checks

NOT_RGB = ("drop", "convert")
CONVERTIBLE = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGBA",
    "CMYK",
    "YCbCr",
)  # 8 bits or fewer; conversion would clip the values of other modes
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""The formats that are read, whatever the name of a file is."""
MIN_SIDE = 8  # pixels
MOST_PIXELS = 60_000_000
"""The largest picture.

Decoding takes 4 to 16 bytes per pixel, most for WebP: below a gigabyte in all.
"""
LARGE = 2**22
"""Pictures from this many pixels on are decoded one at a time.

Other threads take at most 40 MB each.
"""
_one_large = threading.Lock()
MAX_RATIO = 100  # largest ratio of the longer side to the shorter one


class Reading(NamedTuple):
    """How to turn a picture of any size and colours into (S, S, 3)."""

    preprocessing: str = "study"  # a key of PREPROCESSING
    not_rgb: str = "drop"  # one of NOT_RGB

    def check(self) -> None:
        """Check the values.

        Raises:
            InputError: for an unknown value.
        """
        checks.choice("preprocessing", self.preprocessing, tuple(PREPROCESSING))
        checks.choice("not_rgb", self.not_rgb, NOT_RGB)


class Unusable(Exception):
    """The reason why a picture is left out. It is counted and listed, and does not end a run."""


def decode(source: Path | bytes, size: int, reading: Reading) -> np.ndarray:
    """Decode and preprocess a picture.

    Args:
        source: a file, or the bytes of one.
        size: the side of the result, in pixels.
        reading: how to preprocess.

    Returns:
        (size, size, 3) uint8, RGB.

    Raises:
        Unusable: if the picture cannot be used.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which do not matter
            with Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
            ) as picture:
                is_large = picture.width * picture.height > LARGE
                with _one_large if is_large else contextlib.nullcontext():
                    return np.asarray(prepare(picture, size, reading))
    except Unusable:
        raise
    except Image.DecompressionBombError as error:  # Pillow's limit, which is above ours
        raise Unusable(f"too large (more than {MOST_PIXELS} pixels)") from error
    except Exception as error:  # decoders raise almost any exception for damaged files
        what = (
            "no known format"
            if isinstance(error, UnidentifiedImageError)
            else str(error) or type(error).__name__
        )
        raise Unusable(f"unreadable ({' '.join(what.split())[:160]})") from error


def content(file: Path) -> bytes:
    """Read the bytes of a file.

    Raises:
        Unusable: if the file cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unusable(f"unreadable ({error.strerror or error})") from error


def prepare(picture: Image.Image, size: int, reading: Reading) -> Image.Image:
    """Preprocess a picture.

    Args:
        picture: a picture of any size and mode.
        size: the side of the result, in pixels.
        reading: how to preprocess.

    Returns:
        An RGB picture of size x size.

    Raises:
        Unusable: if the picture cannot be used.
    """
    short, long = sorted(picture.size)
    if short * long > MOST_PIXELS:
        raise Unusable(f"too large ({picture.width}x{picture.height} pixels)")
    if short < MIN_SIDE:
        raise Unusable(f"tiny ({picture.width}x{picture.height} pixels)")
    if long > MAX_RATIO * short:
        raise Unusable(f"narrow ({picture.width}x{picture.height} pixels)")
    if picture.mode != "RGB":
        if reading.not_rgb == "drop" or picture.mode not in CONVERTIBLE:
            raise Unusable(f"not RGB (mode {picture.mode})")
        picture = (
            picture.convert("RGBA").convert("RGB")
            if picture.mode in ("P", "PA")
            else picture.convert("RGB")
        )
    return PREPROCESSING[reading.preprocessing](picture, size)


def prepare_floats(image: np.ndarray, size: int, reading: Reading) -> np.ndarray:
    """Preprocess an array of floats, one channel at a time and without rounding.

    Args:
        image: (H, W, 3) floats in [0, 1].
        size: the side of the result, in pixels.
        reading: how to preprocess.

    Returns:
        (size, size, 3) float32 in [0, 1].
    """
    channels = [
        PREPROCESSING[reading.preprocessing](
            Image.fromarray(image[:, :, c].astype(np.float32)), size
        )
        for c in range(3)
    ]
    # Lanczos overshoots, so the result is clipped.
    return np.stack([np.asarray(channel) for channel in channels], axis=-1).clip(0, 1)


def _study(picture: Image.Image, size: int) -> Image.Image:
    width, height = picture.size
    if width < height:
        resized = (size, int(height * (size / width)))
    else:
        resized = (int(width * (size / height)), size)
    picture = picture.resize(resized, Image.Resampling.LANCZOS)
    left, top = (side // 2 - size // 2 for side in picture.size)
    return picture.crop((left, top, left + size, top + size))


def _resize_256_crop(picture: Image.Image, size: int) -> Image.Image:
    short = round(size * 256 / 224)
    width, height = (short * side // min(picture.size) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (round((side - size) / 2) for side in picture.size)
    return picture.crop((left, top, left + size, top + size))


PREPROCESSING: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "study": _study,
    "resize-256-crop": _resize_256_crop,
}


def floats(image: np.ndarray) -> np.ndarray:
    """Convert uint8 in 0..255 to float32 in [0, 1]. Floats stay as they are."""
    return np.divide(image, np.float32(255), dtype=np.float32) if image.dtype == np.uint8 else image
