"""What refilled lanes save beside fixed batches, in steps of the model, with early abort of each
image.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import recorded

import jaxadv
from jaxadv.api import run_attacks

LANES, RATIO = 16, 1.3
ATTACK = {"steps": 100, "search_steps": 9, "learning_rate": 0.01}


def fixed_batches(iterations: np.ndarray, lanes: int) -> int:
    """Steps of the usual loop: a batch's binary-search steps begin together, so each lasts as long
    as its slowest image.

    iterations: (N, search_steps), of each image alone, which nothing else changes.
    """
    return sum(
        int(iterations[start : start + lanes].max(0).sum())
        for start in range(0, len(iterations), lanes)
    )


@contextmanager
def counted(oracle):
    """A list that grows by one with each evaluation with gradient of a batch."""
    asked, ask = [], oracle.ask
    oracle.ask = lambda *question: asked.append(1) or ask(*question)
    try:
        yield asked
    finally:
        oracle.ask = ask


@pytest.mark.slow
def test_refilled_lanes_take_fewer_steps_than_fixed_batches():
    """Here 1.45 times fewer: images are few and attacks short.

    `pytest -m paper` counts a long queue at the study's settings.
    """
    known = recorded.net("smooth")
    kinds = [(confidence, kind) for confidence in (0.0, 10.0) for kind in recorded.KINDS]
    attacks = [
        jaxadv.CarliniWagnerL2(confidence=confidence, **ATTACK)
        for confidence, _ in kinds
        for _ in known.labels
    ]
    images = np.concatenate([known.images] * len(kinds))
    classes = np.concatenate([known.targets[kind] for _, kind in kinds])
    targeted = np.repeat([kind != "untargeted" for _, kind in kinds], len(known.labels))
    classifier = known.classifier

    def attack(rows: slice):
        return run_attacks(
            classifier, attacks[rows], images[rows], classes[rows], targeted[rows], lanes=LANES
        )

    with counted(classifier.oracle) as asked:
        result = attack(slice(None))
    iterations = result.details["iterations"]
    assert len(asked) <= 1.12 * iterations.sum() / LANES  # the last lanes run out one by one
    assert fixed_batches(iterations, LANES) > RATIO * len(asked)
    last = slice(len(images) - LANES, None)
    alone = attack(last)  # a fixed batch: the same rows
    np.testing.assert_array_equal(alone.details["iterations"], iterations[last])
    np.testing.assert_array_equal(alone.adversarial, result.adversarial[last])
