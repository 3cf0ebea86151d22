"""bench: the counts are exact, the share of the ceiling is what the times say, and history keeps
other runs.
"""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from absl.testing import flagsaver
from models import PIXELS, random_linear

from jaxadv.benchmark import bench
from jaxadv.commands import cli
from jaxadv.evaluation import estimate

EVALUATIONS = {
    "gradient": (1, 0),
    "forward": (0, 1),
    "fgsm": (1, 1),
    "ifgsm": (6, 1),
    "ifgsm_search": (1 + 2 * 2, 2 + 1),
    "cw": (6, 1),
    "ead": (6, 6 + 1),
    "apgd": (6, 1),
    "apgd_l2": (6, 1),
    "fab": (3, 3 + 1),
    "square": (0, 6 + 1),
    "ddn": (6, 1),
    "fmn": (6, 1),
    "fmn_linf": (6, 1),
    "pdpgd": (6, 1),
    "alma": (6, 1),
    "clever": (6, 0),
}
"""I-FGSM's search shares its first gradient. EAD takes one of each. The final judgement is a forward
pass.
"""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.DataFrame(bench.measure(random_linear(0, 4), lanes=4, steps=6, turns=2)).set_index(
        "what"
    )


@pytest.mark.slow
def test_evaluations_of_an_item_are_counted(rows):
    counted = {name: (row.gradients, row.forwards) for name, row in rows.iterrows()}
    assert counted == EVALUATIONS


@pytest.mark.slow
def test_the_ceiling_is_itself(rows):
    raw = rows.loc[["gradient", "forward"]]
    np.testing.assert_allclose(raw[["percent", "percent_low", "percent_high"]], 100)
    assert (rows["percent_low"] <= rows["percent"]).all() and (
        rows["percent"] <= rows["percent_high"]
    ).all()
    assert (rows["evaluations_per_second"] > 0).all() and (rows["compile_seconds"] >= 0).all()


@pytest.mark.slow
def test_arithmetic_is_counted(rows):
    """The operations are a matrix product forward and one backward.

    An objective of four classes adds an eighth.
    """
    product = 2 * PIXELS * 4 / 1e9
    gradient, forward = estimate.gigaflops(random_linear(0, 4))
    np.testing.assert_allclose((gradient, forward), (2 * product, product), rtol=0.15)
    expected = gradient / 1e3 * rows.loc["gradient", "evaluations_per_second"]
    np.testing.assert_allclose(rows.loc["gradient", "teraflops"], expected, rtol=1e-6)


def test_raw_calls_wait_for_each_other():
    """Every call has the same images, which depend on the logits before.

    A NaN there would give a NaN pixel.
    """
    images = jnp.ones((1, 2, 2, 3))
    for logit, pixel in ((1.0, 1.0), (np.nan, np.nan)):
        seen = []
        bench.repeat(
            lambda images, logit=logit, seen=seen: (
                seen.append(np.array(images)) or jnp.full((1, 1), logit)
            ),
            images,
            3,
        )
        expected = np.ones((3, 1, 2, 2, 3))
        expected[1:, 0, 0, 0, 0] = pixel
        np.testing.assert_array_equal(seen, expected)
    assert not images.is_deleted()


@pytest.mark.slow
def test_the_command_writes_tables_and_keeps_history(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    every, some = bench.probes, ("fgsm", "ifgsm_search", "ead", "clever")
    monkeypatch.setattr(bench, "probes", lambda steps: {name: every(steps)[name] for name in some})
    times = iter(["2026-01-01 00:00", "2026-01-02 00:00"])
    monkeypatch.setattr(bench.time, "strftime", lambda _: next(times))
    for _ in range(2):
        arguments = [
            "run.py",
            "bench",
            "--models=mobilenet_v1_025",
            "--random_weights",
            "--lanes=2",
            "--bench_steps=4",
            "--bench_turns=1",
        ]
        with flagsaver.flagsaver():
            cli.main(cli.parse([*arguments, "--noprogress", "--compilation_cache="]))
    assert "clever" in capsys.readouterr().out
    table, history = (
        pd.read_csv("results/bench/bench.csv"),
        pd.read_csv("results/bench/history.csv"),
    )
    assert len(table) == 6 and len(history) == 12
    assert history["date"].nunique() == 2 and {"commit", "device", "jax", "lanes"} <= set(history)
    assert "| mobilenet_v1_025 |" in (tmp_path / "results" / "bench" / "bench.md").read_text()
