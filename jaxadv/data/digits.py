"""The embedded data set: scikit-learn's handwritten digits as colour pictures of any size.

The source is the test part of the UCI "Optical Recognition of Handwritten Digits" set: 1797 glyphs of 8x8 pixels with
ink 0..16. scikit-learn carries it inside its package, so nothing is downloaded. Train is the first 1297 glyphs, test the
last 500. Other people wrote the last ones, and they are harder. Neighbours in the file share a writer, so a shuffled split
would flatter every network.

A picture is a fixed function of (id, size): the glyph is drawn by cubic interpolation in the middle of the canvas, in an
ink on a paper whose colours depend on the id alone. Three choices matter to the evaluator:

* The colours keep away from 0 and 1. Carlini-Wagner searches over w with x = (tanh(w) + 1) / 2, so a pixel at the edge
  of the range has derivative 0 and cannot move; a picture of pure black and white would make that attack look weak for
  a reason that has nothing to do with the network. The other attacks lose half of their directions there to clipping.
* The ink is darker than the paper by at least `MIN_CONTRAST` in luminance. Hues are free, so no single channel tells ink
  from paper; light ink on dark paper as well would ask more of the smallest networks (5000 parameters) than they have.
* The glyph's box takes `GLYPH_SHARE` of the canvas. Between networks of 24 and 32 pixels the study's rule crops the
  centre or adds a mid-grey border and never resamples; the crop 32 -> 24 keeps just 75 % of the side.
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
MIN_CONTRAST = 0.35  # least luminance of the paper less that of the ink
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
MIN_SIZE = 8
_COLOUR_SEED = 20180708


class Digits(NamedTuple):
    images: np.ndarray  # (N, size, size, 3) float32 in [0, 1], RGB
    labels: np.ndarray  # (N,) int32, 0..9
    ids: np.ndarray  # (N,) int32, index in sklearn.datasets.load_digits()


def load(split: str, size: int) -> Digits:
    """The pictures of a split ("train" or "test") at `size` x `size` pixels.

    Raises InputError for an unknown split, a size below 8, or when scikit-learn is not installed.
    """
    ink, labels, ids = glyphs(split)
    if size < MIN_SIZE:
        raise InputError(
            f"digits of size {size}: the side must be at least {MIN_SIZE} pixels; give a larger size"
        )
    at = centred(size)
    amount = coverage(ink, at[None], at[None, None])
    paper, inks = colours(ids)
    return Digits(paint(amount, paper, inks), labels, ids)


def glyphs(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The source glyphs of a split: ink (N, 8, 8) float32 in [0, 1], labels (N,) int32, ids (N,) int32."""
    if split not in SPLITS:
        raise unknown("split of the digits", split, SPLITS)
    package = importlib.util.find_spec(
        "sklearn"
    )  # not imported, which takes longer than all else here together
    if package is None or package.origin is None:
        raise InputError(
            "data 'digits' come with scikit-learn, which is not installed; run: pip install scikit-learn"
        )
    table = np.loadtxt(
        Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz",
        np.float32,
        delimiter=",",
    )
    ids = np.arange(len(table), dtype=np.int32)[SPLITS[split]]
    return table[ids, :-1].reshape(-1, GLYPH, GLYPH) / 16, table[ids, -1].astype(np.int32), ids


def colours(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paper and ink, each (N, 3) float32 within COLOUR_RANGE, of the pictures with these ids; independent of the size."""
    pairs = np.stack([_colour_pair(int(i)) for i in ids])
    return pairs[:, 0], pairs[:, 1]


@functools.cache  # the same at all sizes, of which a run has several
def _colour_pair(number: int) -> np.ndarray:
    """(2, 3), paper and ink: draws until the luminances differ enough. One generator an id, so no picture depends on another."""
    generator = np.random.Generator(np.random.PCG64([_COLOUR_SEED, number]))
    low, high = COLOUR_RANGE
    while True:
        pair = (low + (high - low) * generator.random((2, 3))).astype(np.float32)
        light, dark = (pair * LUMINANCE).sum(1)
        if light - dark >= MIN_CONTRAST:
            return pair


def centred(size: int) -> np.ndarray:
    """(size,) float32: where each pixel centre of the canvas lies in the glyph, 0 being the glyph's first pixel centre."""
    pixels = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5  # canvas from -1/2 to 1/2
    return pixels * np.float32(GLYPH / GLYPH_SHARE) + np.float32((GLYPH - 1) / 2)


def coverage(ink, rows, columns):
    """How much ink covers each pixel: the glyph, interpolated by cubics, at given points; no ink outside.

    ink (N, 8, 8) in [0, 1]; where the pixels lie in the glyph, in its pixels, 0 the centre of the first: rows (N or 1, H)
    and columns (N or 1, H or 1, W), so a slant is possible. Returns (N, H, W) in [0, 1] (what the cubic overshoots is
    cut off). NumPy and JAX arrays alike; sums, not a matrix product, so that NumPy's result is the same everywhere.
    """
    centres = np.arange(GLYPH, dtype=np.float32)
    along = (_cubic(rows[..., None] - centres)[..., None] * ink[:, None]).sum(2)  # (N, H, 8)
    return (along[:, :, None] * _cubic(columns[..., None] - centres)).sum(-1).clip(0, 1)


def _cubic(distance):
    """Catmull-Rom kernel: 1 at 0, 0 at the other integers and beyond 2, continuous slope."""
    away = abs(distance)
    outer, inner = (2 - away).clip(0), (1 - away).clip(0)
    return (outer - 1) * outer * outer * np.float32(0.5) + (1 - 2 * inner) * inner * inner


def paint(amount, paper, ink):
    """Mix (N, H, W) amounts of ink with colours (N, 3) into pictures (N, H, W, 3)."""
    amount, paper, ink = amount[..., None], paper[:, None, None], ink[:, None, None]
    return paper + (ink - paper) * amount
