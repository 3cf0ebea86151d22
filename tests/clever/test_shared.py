"""Several targets of one image share their forward passes: the same maxima from fewer of them."""

import jax
import numpy as np
import pytest
from models import PIXELS, SIZE, inner_images, linear_apply

import jaxadv
from jaxadv import api

BATCHES, SAMPLES, LANES = 3, 4, 6
OPTIONS = {"batches": BATCHES, "samples": SAMPLES, "method": "max", "lanes": LANES}


@pytest.fixture
def classifier():
    """Its gradient is another one at every point."""
    weights = np.random.default_rng(0).normal(size=(PIXELS, 6), scale=0.3).astype(np.float32)
    params = {"weights": weights, "bias": np.zeros(6, np.float32)}
    return jaxadv.Classifier(
        lambda p, x: linear_apply(p, jax.numpy.sin(9 * x)),
        params,
        input_size=SIZE,
        num_classes=6,
        name="waves",
    )


def scored(classifier, monkeypatch, from_samples: int, *arguments, **options):
    """Scores, and the shapes of the objectives that the gradient program was asked about."""
    asked, ask = [], classifier.oracle.ask
    monkeypatch.setattr(api, "SHARED_FROM", from_samples)
    monkeypatch.setattr(
        classifier.oracle,
        "ask",
        lambda *question: asked.append(question[2].label.shape) or ask(*question),
    )
    result = jaxadv.clever_scores(classifier, *arguments, **OPTIONS, **options)
    monkeypatch.setattr(classifier.oracle, "ask", ask)
    return result, asked


@pytest.mark.slow
def test_rows_of_one_image_share_and_others_do_not(classifier, monkeypatch):
    """Three targets of one image, another image with one, and the first image under another
    number.
    """
    images = inner_images(1, 2)[[0, 1, 0, 0, 0]]
    question = (images, np.array([0, 1, 0, 0, 0]), np.array([1, 0, 2, 5, 3]))
    ids = np.array([7, 8, 7, 7, 9])
    apart, asked = scored(classifier, monkeypatch, BATCHES * SAMPLES + 1, *question, ids=ids)
    assert asked == [(LANES,)] * (-(-5 * BATCHES // LANES) * SAMPLES)
    shared, asked = scored(classifier, monkeypatch, BATCHES * SAMPLES, *question, ids=ids)
    assert asked == [(LANES // 3, 3)] * (-(-3 * BATCHES // (LANES // 3)) * SAMPLES)
    assert len(np.unique(apart.maxima)) == apart.maxima.size
    np.testing.assert_allclose(
        shared.maxima, apart.maxima, rtol=1e-5
    )  # the batch has another shape, which rounds otherwise
    np.testing.assert_allclose(shared.score, apart.score, rtol=1e-5)
    np.testing.assert_array_equal(shared.margin, apart.margin)


@pytest.mark.slow
def test_the_classes_of_an_untargeted_score_share(classifier, monkeypatch):
    """Five, in groups of three and two."""
    question = (inner_images(2, 2), np.array([0, 3]), None)
    apart, _ = scored(classifier, monkeypatch, 10**6, *question)
    shared, asked = scored(classifier, monkeypatch, 1, *question)
    assert asked == [(LANES // 3, 3)] * (-(-2 * 2 * BATCHES // (LANES // 3)) * SAMPLES)
    np.testing.assert_array_equal(shared.target, apart.target)
    np.testing.assert_allclose(shared.score, apart.score, rtol=1e-5)
    np.testing.assert_allclose(shared.maxima, apart.maxima, rtol=1e-5)


def test_none_of_none(classifier, monkeypatch):
    result, asked = scored(
        classifier,
        monkeypatch,
        1,
        np.zeros((0, SIZE, SIZE, 3), np.float32),
        np.zeros(0, int),
        np.zeros(0, int),
    )
    assert result.score.shape == (0, 3) and not asked
