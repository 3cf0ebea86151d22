"""Square against the recordings of golden/modern: schedule and windows exactly, success within the
spread of seeds.
"""

import json

import driven
import jax
import numpy as np
import pytest
import recorded

from jaxadv.api import run_attacks
from jaxadv.attacks import windows
from jaxadv.attacks.square import Square


@pytest.mark.parametrize(("odd", "column"), [(False, 2), (True, 3)])
def test_schedule(odd, column):
    """First iterations and sides, of all that were recorded; of a side that two lines share the
    first counts.
    """
    schedules = json.loads((driven.GOLDEN / "square_schedule.json").read_text())
    assert len(schedules) > 2
    for name, lines in schedules.items():
        if name == "columns":
            continue
        queries = int(name.split("_")[0].removeprefix("q"))
        found = windows.sides(32, queries, 0.8, odd=odd, rescale="rescaled" in name.split("_")[1:2])
        known = []
        for line in lines:
            if not known or known[-1][1] != line[column]:
                known.append((line[0], line[column]))
        assert found == known, name


@pytest.mark.parametrize("norm", [1, 2])
def test_pairs_of_peaks(norm):
    etas = {
        int(name.split("_")[2]): eta
        for name, eta in driven.arrays("square_eta").items()
        if name.startswith(f"eta_L{norm}")
    }
    assert len(etas) == 8

    @jax.jit
    def drawn(row, column, side, turned):
        rows, columns, inside = windows.window(row, column, side, 32)
        return windows.peaks(rows, columns, side, turned, 32, norm), inside

    for side, eta in etas.items():
        for turned in (False, True):
            found, inside = map(np.asarray, drawn(1, 2, side, turned))
            own = found[1 : 1 + side, 2 : 2 + side]
            np.testing.assert_allclose(own, eta.T if turned else eta, atol=2e-7)
            assert not found[~inside].any()


@pytest.mark.long
@pytest.mark.parametrize(
    ("net", "norm", "eps"),
    [
        *(("smooth", "Linf", eps) for eps in (0.1, 0.2)),
        *(("tiny", "Linf", 0.1), ("tiny", "L2", 1)),
    ],
)
def test_success_within_the_spread_of_seeds(net, norm, eps):
    """500 queries at as many seeds as were recorded.

    Windows are random, so rates are compared: of all images within the recorded seeds' least and
    most; of each image by the difference of two binomial rates, at four standard deviations.
    """
    known = driven.fields(f"square_{net}", f"{norm}__eps{eps:g}__q500")
    data, seeds = recorded.net(net), len(known["success"])
    attack = Square(eps, {"Linf": np.inf, "L2": 2}[norm], queries=500)
    success, queries = [], []
    for seed in range(seeds):
        result = run_attacks(
            data.classifier,
            [attack] * 16,
            data.images,
            data.labels,
            np.zeros(16, bool),
            lanes=16,
            seed=seed,
        )
        success.append(result.success)
        queries.append(result.forwards - 1)
    ours, theirs = np.mean(success, axis=0), known["success"].mean(0)
    each = known["success"].mean(1)
    spread = np.std(each) + 1 / 32
    assert each.min() - spread <= ours.mean() <= each.max() + spread
    pooled = (ours + theirs) / 2
    width = 4 * np.sqrt(2 * np.maximum(pooled * (1 - pooled), 0.5 / seeds) / seeds)
    assert (np.abs(ours - theirs) <= width).all()
    broken, recorded_broken = np.array(success), known["success"]
    if recorded_broken.sum() > 50:
        logs = [
            np.log(np.asarray(count, float)[flags]).mean()
            for count, flags in ((queries, broken), (known["queries"], recorded_broken))
        ]
        assert abs(logs[0] - logs[1]) < 0.35
