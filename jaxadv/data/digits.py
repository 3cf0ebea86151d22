"""The embedded data set: scikit-learn's handwritten digits, as colour pictures of any size.

The digits are the test part of the UCI "Optical Recognition of Handwritten Digits" set: 1797 glyphs
of 8x8 pixels with ink 0..16. scikit-learn's package contains them, so nothing is downloaded. The
first 1297 glyphs are the training part, the last 500 the test part. Other people wrote the last
ones, and they are harder. Neighbours in the file share a writer. A shuffled split would therefore
make every network look better.

A picture depends on its id and its size alone. Cubic interpolation draws the glyph in the middle of
the canvas. The colours of ink and paper depend on the id. Three choices matter for attacks:

* The colours keep away from 0 and 1. Carlini-Wagner searches over w with x = (tanh(w) + 1) / 2. At
  0 and 1 this has derivative 0, so a pixel there cannot move. Pictures of pure black and white
  would make that attack look weak for a reason unrelated to the network. The other attacks would
  lose half of their directions to clipping.
* The ink is darker than the paper by at least `MIN_CONTRAST` in luminance. Hues are free, so no
  single channel separates ink from paper. Light ink on dark paper does not occur: the smallest
  networks (5000 parameters) could not learn that as well.
* The glyph's box takes `GLYPH_SHARE` of the canvas. Between networks of 24 and 32 pixels the study
  crops the centre or adds a mid-grey border, without resampling. The crop from 32 to 24 pixels
  keeps 75 % of the side.
"""

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_ports.errors import InputError, unknown

GLYPH = 8  # side of a source glyph, pixels
NUM_CLASSES = 10
TRAIN_COUNT = 1297  # ids 0..1296 train, 1297..1796 test
SPLITS = {"train": slice(0, TRAIN_COUNT), "test": slice(TRAIN_COUNT, None)}
GLYPH_SHARE = 0.72  # side of the glyph's box over the side of the canvas
COLOUR_RANGE = (0.08, 0.92)
MIN_CONTRAST = 0.35  # least difference of luminance between paper and ink
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
MIN_SIZE = 8
_COLOUR_SEED = 20180708


class Digits(NamedTuple):
    """Pictures of digits, with labels and ids."""

    images: np.ndarray  # (N, size, size, 3) float32 in [0, 1], RGB
    labels: np.ndarray  # (N,) int32, 0..9
    ids: np.ndarray  # (N,) int32, index in sklearn.datasets.load_digits()


def load(split: str, size: int) -> Digits:
    """Draw the pictures of a split.

    Args:
        split: "train" or "test".
        size: the side of the pictures, at least 8 pixels.

    Raises:
        InputError: for an unknown split or a smaller size, or if scikit-learn is not installed.
    """
    ink, labels, ids = glyphs(split)
    if size < MIN_SIZE:
        raise InputError(
            f"digits of size {size}: the side must be at least {MIN_SIZE} pixels; give a larger "
            "size"
        )
    at = centred(size)
    amount = coverage(ink, at[None], at[None, None])
    paper, inks = colours(ids)
    return Digits(paint(amount, paper, inks), labels, ids)


def glyphs(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the glyphs of a split.

    Args:
        split: "train" or "test".

    Returns:
        Ink (N, 8, 8) float32 in [0, 1], labels (N,) int32, and ids (N,) int32.

    Raises:
        InputError: for an unknown split, or if scikit-learn is not installed.
    """
    if split not in SPLITS:
        raise unknown("split of the digits", split, SPLITS)
    # Importing sklearn would take longer than everything else in this function.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise InputError(
            "data 'digits' come with scikit-learn, which is not installed; run: pip install "
            "scikit-learn"
        )
    table = np.loadtxt(
        Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz",
        np.float32,
        delimiter=",",
    )
    ids = np.arange(len(table), dtype=np.int32)[SPLITS[split]]
    return table[ids, :-1].reshape(-1, GLYPH, GLYPH) / 16, table[ids, -1].astype(np.int32), ids


def colours(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The colours of pictures. They do not depend on the size.

    Args:
        ids: (N,) the ids of the pictures.

    Returns:
        The colours of paper and of ink, each (N, 3) float32 within `COLOUR_RANGE`.
    """
    pairs = np.stack([_colour_pair(int(i)) for i in ids])
    return pairs[:, 0], pairs[:, 1]


@functools.cache  # a run draws each picture at several sizes, in the same colours
def _colour_pair(number: int) -> np.ndarray:
    """(2, 3), the colours of paper and ink. Each id has its own generator.

    Colours are drawn until their luminances differ enough.
    """
    generator = np.random.Generator(np.random.PCG64([_COLOUR_SEED, number]))
    low, high = COLOUR_RANGE
    while True:
        pair = (low + (high - low) * generator.random((2, 3))).astype(np.float32)
        light, dark = (pair * LUMINANCE).sum(1)
        if light - dark >= MIN_CONTRAST:
            return pair


def centred(size: int) -> np.ndarray:
    """The position of each pixel centre of the canvas along one axis of the glyph.

    Args:
        size: the side of the canvas in pixels.

    Returns:
        (size,) float32 in pixels of the glyph; 0 is the centre of the glyph's first pixel.
    """
    pixels = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5  # canvas from -1/2 to 1/2
    return pixels * np.float32(GLYPH / GLYPH_SHARE) + np.float32((GLYPH - 1) / 2)


def coverage(ink, rows, columns):
    """Interpolate the glyphs by cubics. There is no ink outside of a glyph.

    Sums replace matrix products here, so that NumPy gives the same result on every machine.

    Args:
        ink: (N, 8, 8) in [0, 1], arrays of NumPy or JAX.
        rows: (N or 1, H) row positions in pixels of the glyph; 0 is the centre of the first row.
        columns: (N or 1, H or 1, W) column positions. They may differ by row, to slant the glyph.

    Returns:
        (N, H, W) amounts of ink in [0, 1]. Overshoots of the cubic are clipped.
    """
    centres = np.arange(GLYPH, dtype=np.float32)
    along = (_cubic(rows[..., None] - centres)[..., None] * ink[:, None]).sum(2)  # (N, H, 8)
    return (along[:, :, None] * _cubic(columns[..., None] - centres)).sum(-1).clip(0, 1)


def _cubic(distance):
    """The Catmull-Rom kernel: 1 at 0, 0 at all other integers and beyond 2, with continuous
    slope.
    """
    away = abs(distance)
    outer, inner = (2 - away).clip(0), (1 - away).clip(0)
    return (outer - 1) * outer * outer * np.float32(0.5) + (1 - 2 * inner) * inner * inner


def paint(amount, paper, ink):
    """Mix colours into pictures.

    Args:
        amount: (N, H, W) amounts of ink in [0, 1].
        paper: (N, 3) colours.
        ink: (N, 3) colours.

    Returns:
        (N, H, W, 3) pictures.
    """
    paper = paper[:, None, None]
    return paper + (ink[:, None, None] - paper) * amount[..., None]
