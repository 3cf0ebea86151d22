"""From a file's bytes, or an array, to (S, S, 3): decode, resize, crop.

study (released code, setup_imagenet.py): Lanczos until the shorter side is S, the longer one truncated; the centre of it. A square
passes for a wide picture there, and its width is truncated too, which for some sides (375 at S = 227) makes S - 1 of it: the crop then
has a black column at one edge, here as well. There is no margin around the crop, and no turning by EXIF.

resize-256-crop (usual for ImageNet, torchvision's transforms): bilinear until the shorter side is S * 256 / 224; the centre of it.

Pictures that are not RGB are dropped, as in the study, or converted. What cannot be read at all, or is too small, too large or too
narrow to be a photograph, is dropped under either rule. Every drop is a `Unusable` with its reason.

Files may be anybody's. Only the decoders of `FORMATS` look at them: Pillow's others include one that starts Ghostscript. The header
says how large a picture is before its pixels are decoded, so a small file cannot take much memory.
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
)  # 8 bits or fewer; others would be cut, not scaled
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""The only ones that are read, whatever a file is called."""
MIN_SIDE = 8  # pixels
MOST_PIXELS = 60_000_000
"""Of a picture. Decoding takes 4 to 16 bytes for each, a WebP most: less than a gigabyte in all."""
LARGE = 2**22
"""Pixels from which on pictures are decoded one at a time, so that many threads take no more than 40 MB each."""
_one_large = threading.Lock()
MAX_RATIO = 100  # of the longer side to the shorter


class Reading(NamedTuple):
    """How a picture of any size and colours becomes (S, S, 3)."""

    preprocessing: str = "study"  # see PREPROCESSING
    not_rgb: str = "drop"  # see NOT_RGB

    def check(self) -> None:
        """Raises InputError."""
        checks.choice("preprocessing", self.preprocessing, tuple(PREPROCESSING))
        checks.choice("not_rgb", self.not_rgb, NOT_RGB)


class Unusable(Exception):
    """A picture that is left out, and why; counted and listed, never an error of the run."""


def decode(source: Path | bytes, size: int, reading: Reading) -> np.ndarray:
    """The picture of a file, or of a file's bytes, as (size, size, 3) uint8. Raises Unusable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: the pixels are what counts
            with Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
            ) as picture:
                is_large = picture.width * picture.height > LARGE
                with _one_large if is_large else contextlib.nullcontext():
                    return np.asarray(prepare(picture, size, reading))
    except Unusable:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own bound, above ours
        raise Unusable(f"too large (more than {MOST_PIXELS} pixels)") from error
    except Exception as error:  # decoders of damaged files raise about anything
        what = (
            "no known format"
            if isinstance(error, UnidentifiedImageError)
            else str(error) or type(error).__name__
        )
        raise Unusable(f"unreadable ({' '.join(what.split())[:160]})") from error


def content(file: Path) -> bytes:
    """The bytes of a file. Raises Unusable."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unusable(f"unreadable ({error.strerror or error})") from error


def prepare(picture: Image.Image, size: int, reading: Reading) -> Image.Image:
    """An RGB picture of size x size. Raises Unusable."""
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
    """The same for an array (H, W, 3) of floats in [0, 1], a channel at a time, without rounding; float32 in [0, 1]."""
    channels = [
        PREPROCESSING[reading.preprocessing](
            Image.fromarray(image[:, :, c].astype(np.float32)), size
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1).clip(
        0, 1
    )  # Lanczos overshoots


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
    """uint8 of 0..255, or float32 of [0, 1], as float32 of [0, 1]."""
    return np.divide(image, np.float32(255), dtype=np.float32) if image.dtype == np.uint8 else image
