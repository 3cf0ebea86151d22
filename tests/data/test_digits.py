"""The embedded pictures: fixed, in range, readable, and split without overlap."""

import importlib.util

import numpy as np
import pytest

from jaxadv.data import digits
from model_ports.errors import InputError

# recorded from the first version of this data set; means of the test pictures at 24 pixels, by
# channel
MEAN_24 = [0.60997, 0.67722, 0.54030]
GREEN_ROW_24 = [
    0.90674,
    0.79202,
    0.64042,
    0.44245,
    0.29022,
    0.46612,
    0.83280,
    0.91090,
    0.91090,
    0.82761,
    0.49595,
]  # row 12 of picture 1297, green, columns 4..14


@pytest.fixture(scope="module")
def test_set():
    return digits.load("test", 32)


def test_shapes_types_and_split(test_set):
    assert test_set.images.shape == (500, 32, 32, 3) and test_set.images.dtype == np.float32
    assert test_set.labels.dtype == np.int32 and test_set.ids.dtype == np.int32
    assert test_set.ids.tolist() == list(range(1297, 1797))
    assert set(test_set.labels.tolist()) == set(range(10))
    train = digits.load("train", 8)
    assert train.ids.tolist() == list(range(1297)) and train.images.shape == (1297, 8, 8, 3)


@pytest.mark.parametrize("size", [8, 25, 32])
def test_pixels_keep_away_from_the_edge_of_the_range(size):
    images = digits.load("test", size).images
    assert images.min() >= 0.05 and images.max() <= 0.95


def test_ink_is_darker_than_paper_by_the_contrast():
    paper, ink = digits.colours(np.arange(1797))
    assert ((paper - ink) @ digits.LUMINANCE).min() >= digits.MIN_CONTRAST - 1e-6
    assert len(np.unique(paper, axis=0)) == 1797


def test_set_do_not_change():
    """Recorded once: the trained networks and the reference results rest on these very pictures."""
    images = digits.load("test", 24).images
    np.testing.assert_allclose(images.mean((0, 1, 2)), MEAN_24, atol=1e-5)
    np.testing.assert_allclose(images[0, 12, 4:15, 1], GREEN_ROW_24, atol=1e-5)


def test_colours_depend_on_the_id_and_not_on_the_size(test_set):
    other = digits.load("test", 24)
    np.testing.assert_allclose(
        other.images[:, 0, 0], test_set.images[:, 0, 0], atol=1e-6
    )  # the paper
    paper, _ = digits.colours(test_set.ids[7:9])
    np.testing.assert_allclose(test_set.images[7:9, 0, 0], paper, atol=1e-6)


def test_glyph_fills_the_middle_and_survives_the_crop(test_set):
    """The crop 32 -> 24 may lose next to no ink, and the glyph must be larger than half the
    canvas.
    """
    ink, _, ids = digits.glyphs("test")
    at = digits.centred(32)
    amount = digits.coverage(ink, at[None], at[None, None])
    inside = amount[:, 4:28, 4:28].sum((1, 2)) / amount.sum((1, 2))
    assert inside.min() > 0.98
    height = (amount.max(2) > 0.5).sum(1)
    assert 17 <= np.median(height) <= 24


def test_coverage_interpolates():
    """At the glyph's own pixel centres the cubic returns the glyph; far outside, nothing."""
    ink, _, _ = digits.glyphs("test")
    at = np.arange(8, dtype=np.float32)
    np.testing.assert_allclose(digits.coverage(ink, at[None], at[None, None]), ink, atol=1e-6)
    assert not digits.coverage(ink, at[None] + 20, at[None, None]).any()


def test_coverage_slants():
    """A vertical stroke whose columns move by one pixel a row comes out as a diagonal."""
    stroke = np.zeros((1, 8, 8), np.float32)
    stroke[:, :, 3] = 1
    at = np.arange(8, dtype=np.float32)
    amount = digits.coverage(stroke, at[None], (at[None] - at[:, None] + 3)[None])
    np.testing.assert_allclose(amount[0], np.eye(8), atol=1e-6)


def test_bad_input_is_one_line(monkeypatch):
    with pytest.raises(InputError, match="unknown split of the digits 'tset'; did you mean 'test'"):
        digits.load("tset", 32)
    with pytest.raises(InputError, match="size 4.*at least 8"):
        digits.load("test", 4)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install scikit-learn"):
        digits.load("test", 32)
