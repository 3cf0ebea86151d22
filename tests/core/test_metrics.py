"""Distances and success rules on logits whose answer is known."""

import numpy as np
import pytest

from jaxadv.core import metrics


@pytest.mark.parametrize(
    ("logits", "target", "near"),
    [
        ([1.0, 1.0005, 0.0, 0.0], 0, True),
        ([1.0, 1.0, 0.0, 0.0], 1, True),
        ([1.0, 1.002, 0.0, 0.0], 0, False),  # 0.002 below the largest
        ([0.0, 1.0005, 0.0, 1.0], 3, False),  # the last class is left out
        (
            [1.0, 1.0005, 0.0, 1.0],
            3,
            False,
        ),  # of it as the target, also where the first class is near
        ([1.0, 0.0, 0.0, 1.0005], 0, False),  # the last class is no second one
        ([1.0005, 1.0, 0.0, 0.0], 0, False),  # a success is no near tie
    ],
)
def test_near_ties_are_the_studys_rule_without_the_last_class(logits, target, near):
    found = metrics.near_ties(np.float32([logits]), np.array([target]), np.array([True]))
    assert found.tolist() == [near]
    assert not metrics.near_ties(np.float32([logits]), np.array([target]), np.array([False])).any()


def test_near_ties_of_several_images_and_of_two_classes():
    logits = np.float32([[1.0, 1.0005, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [3.0, 3.0, 3.0, 0.0]])
    found = metrics.near_ties(logits, np.array([0, 0, 2]), np.ones(3, bool))
    assert found.tolist() == [True, False, True]
    two = np.float32([[1.0, 1.0005]])
    assert not metrics.near_ties(two, np.array([1]), np.ones(1, bool)).any()
    assert not metrics.near_ties(two, np.array([0]), np.ones(1, bool)).any()


def test_a_logit_that_is_0_001_below_the_largest_is_not_near():
    largest = np.float32(1)
    logits = np.array([[largest - np.float32(1e-3), largest, 0, 0]], np.float32)
    assert not metrics.near_ties(logits, np.array([0]), np.ones(1, bool)).any()


def test_distances_of_small_and_large_changes():
    """A row of 9 values for each image, so the blocks are of many images."""
    clean = np.zeros((3, 1, 3, 3), np.float32)
    images = clean.copy()
    images[0, 0, 1] = [-0.25, 0.0, 0.5]
    images[2] = 2.0
    found = metrics.distances(images, clean)
    assert found["l0"].tolist() == [2, 0, 9] and found["l1"].tolist() == [0.75, 0, 18]
    np.testing.assert_allclose(found["l2"], [0.3125**0.5, 0, 6], rtol=1e-7)
    assert found["linf"].tolist() == [0.5, 0, 2]
    assert all(values.dtype == np.float32 for values in found.values())


@pytest.mark.parametrize("block", [1, 6, 12, 13])
def test_distances_do_not_depend_on_the_blocks(monkeypatch, block):
    draw = np.random.default_rng(0)
    images, clean = draw.random((2, 5, 2, 1, 3), np.float32)
    whole = metrics.distances(images, clean)
    monkeypatch.setattr(metrics, "BLOCK", block)
    for name, values in metrics.distances(images, clean).items():
        np.testing.assert_array_equal(values, whole[name])
        assert (values > 0).all()


def test_a_class_is_that_of_the_largest_finite_logit():
    logits = np.float32([[0, 2, 2], [5, 1, 0], [np.inf, 0, 0], [0, 0, np.nan]])
    assert metrics.valid(logits).tolist() == [True, True, False, False]
    predicted = metrics.predicted(logits)
    assert predicted.tolist() == [1, 0, -1, -1] and predicted.dtype == np.int32


@pytest.mark.parametrize(("targeted", "expected"), [(True, [1, 0, 0]), (False, [0, 1, 0])])
def test_success_is_the_target_or_another_class_than_the_true_one(targeted, expected):
    logits = np.float32([[0, 3, 1], [0, 3, 1], [0, np.inf, 1]])
    found = metrics.fooled(logits, np.array([1, 2, 1]), np.full(3, targeted))
    assert found.tolist() == expected
