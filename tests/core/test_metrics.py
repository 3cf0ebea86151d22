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
