"""The expected cost of units, worked out by hand in GFLOP."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from jaxadv.evaluation import units
from jaxadv.evaluation.costs import Costs, Gigaflops
from jaxadv.evaluation.units import Unit

ROWS = pd.DataFrame({"gradients": [10, 20], "forwards": [4, 6]})


def a_job(*, cycles: int | None = 1, clever_targets: int = 1) -> Any:
    """One network; two attempts of an attack with at most 100 gradients and 60 logits, and another
    attack; blocks of four images.
    """
    schedule = SimpleNamespace(schedule=SimpleNamespace(cycles=cycles))
    attempts = [SimpleNamespace(attack=name, probe=schedule) for name in ("mine", "mine", "other")]
    return SimpleNamespace(
        attempts=attempts,
        models=["net"],
        ensembles={},
        settings=SimpleNamespace(parts=("attacks",), block_images=4),
        evaluations={"mine": (100, 60), "other": (1, 0), "clever": (8, 0)},
        clever_targets=clever_targets,
    )


def gigaflops(costs: Costs, what: str) -> float:
    return costs.of_image("net", what) / 1e9


KNOWN = {"net": Gigaflops(5.0, 2.0)}


def test_an_attack_costs_its_evaluations_and_a_judgement_of_each_attempt():
    """If it may end early, half of the evaluations; its judgements remain."""
    assert gigaflops(Costs(a_job(), KNOWN), "mine") == 100 * 5 + 60 * 2 + 2 * 2
    assert gigaflops(Costs(a_job(cycles=None), KNOWN), "mine") == 50 * 5 + 30 * 2 + 2 * 2


def test_a_network_that_nobody_has_counted_costs_three_and_one():
    costs = Costs(a_job(), {})
    assert gigaflops(costs, "") == 1 and gigaflops(costs, "mine") == 100 * 3 + 60 + 2


@pytest.mark.parametrize(("targets", "passes"), [(0, 1), (1, 1), (4, 1 / 4), (5, 2 / 5)])
def test_four_targets_of_scores_share_a_forward_pass(targets, passes):
    costs = Costs(a_job(clever_targets=targets), KNOWN)
    assert gigaflops(costs, "clever") == pytest.approx(8 * (3 + passes * 2))


def test_rows_replace_the_expected_evaluations():
    """By their mean, 15 gradients and 5 logits an attempt; also where they come piece by piece."""
    costs = Costs(a_job(cycles=None), KNOWN)
    early = gigaflops(costs, "mine")
    costs.learn("net", "mine", ROWS[:0])
    assert gigaflops(costs, "mine") == early
    costs.learn("net", "mine", ROWS[:1])
    assert gigaflops(costs, "mine") == 2 * (10 * 5 + 4 * 2) + 4
    costs.learn("net", "mine", ROWS[1:])
    assert gigaflops(costs, "mine") == 2 * (15 * 5 + 5 * 2) + 4
    assert gigaflops(costs, "other") == 0.5 * 5 + 2


@pytest.mark.parametrize(("images", "expected"), [(3, 0), (4, 0), (6, 2), (8, 4), (9, 4)])
def test_a_unit_costs_the_images_that_it_has(monkeypatch, images, expected):
    monkeypatch.setattr(units, "size", lambda *_: 4)
    costs = Costs(a_job(), KNOWN)
    second = Unit("net", "attack", "other", 1)
    assert costs.of(second, images) == expected * costs.of_image("net", "other")
