"""What findings count and which setting they speak of, on tables whose answer is known."""

import pandas as pd
import pytest

from jaxadv.report import findings
from jaxadv.report.measures import Measure


def measure(means: list[float], half_width: float) -> Measure:
    """Models a, b, ... with these means, all with intervals of one width."""
    rows = {
        "model": list("abcdef")[: len(means)],
        "mean": means,
        "low": [mean - half_width for mean in means],
        "high": [mean + half_width for mean in means],
        "n": 10,
        "failures": 0,
    }
    points = pd.DataFrame(rows)
    return Measure("cw", "random", "confidence=0", "l2", True, points, None, [])


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ([1.0, 0.5, 0.4], "No other model's interval reaches"),
        ([1.0, 0.85, 0.4], "The intervals of 1 other overlap"),
        ([1.0, 0.8, 0.4], "The intervals of 1 other overlap"),  # they touch
        ([1.0, 0.9, 0.85, 0.81, 0.4], "The intervals of 3 others overlap"),
    ],
)
def test_the_first_ones_rivals_are_the_others_whose_intervals_reach_it(means, words):
    finding = findings._extremes(measure(means, half_width=0.1))
    assert finding and words in finding.text and finding.text.startswith("a needs the largest")


@pytest.mark.parametrize(
    ("models", "low", "words"),
    [
        (2, 0.3, "cannot be tested (fewer than 3 models on the frontier)"),
        (3, 0.3, "holds (b is above 0)"),
        (3, 0.0, "is not settled (the interval of b includes 0)"),
        (3, -0.1, "is not settled (the interval of b includes 0)"),
    ],
)
def test_the_law_needs_three_models_and_a_slope_that_is_surely_above_zero(models, low, words):
    law = {"models": models, "slope": 0.5, "slope_low": low, "slope_high": 0.9}
    finding = findings._law([measure([1.0, 0.5, 0.4], 0.1)._replace(law=law)])
    assert finding and words in finding.text


def test_the_law_is_not_spoken_of_without_three_models():
    law = {"models": 3, "slope": 0.5, "slope_low": 0.1, "slope_high": 0.9}
    assert findings._law([measure([1.0, 0.5], 0.1)._replace(law=law)]) is None
    assert findings._law([measure([1.0, 0.5, 0.4], 0.1)]) is None


def test_a_map_without_a_success_at_its_source_is_not_the_best():
    """Untargeted, an image of NaN counts as transferred: such a map would win with 100 %."""
    how = {"attack": ["cw", "fgsm"], "target_kind": "untargeted", "setting": ["c", "e"]}
    numbers = {"pairs": 2, "mean": [1.0, 0.3], "best": "a", "best_mean": 0.4}
    spread = pd.DataFrame(how | numbers | {"n_low": 5, "n_high": 5})
    rows = pd.DataFrame({**how, "model": "a", "n": 5, "successes": [0, 4]})
    kept = findings.with_successes(spread, rows)
    assert kept["attack"].tolist() == ["fgsm"]
    finding = findings._transfer(pd.DataFrame(), kept, out_of=2)
    assert finding and finding.text.startswith("FGSM") and "30 %" in finding.text
    none = findings.with_successes(spread, rows.assign(successes=0))
    finding = findings._transfer(pd.DataFrame(), none, out_of=2)
    assert finding and finding.text.startswith("Nothing can transfer")


def test_the_best_sources_are_named_in_the_order_of_the_table():
    rates = {"z": 0.5, "m": 0.2, "a": 0.5}
    rows = pd.DataFrame(
        [
            {"source": source, "model": model, "released": rate, "n_released": 7 + (model == "a")}
            for source, rate in rates.items()
            for model in rates
            if model != source
        ]
    ).assign(attack="cw", target_kind="random", setting="c")
    (found,) = findings.panel_means(rows).to_dict("records")
    assert (found["best"], found["best_mean"], found["pairs"]) == ("z and a", 0.5, 6)
    assert found["mean"] == pytest.approx(0.4) and (found["n_low"], found["n_high"]) == (7, 8)


def test_fixed_budgets_are_those_of_the_last_setting():
    """A sweep ends with its largest budget, and that one is reported."""
    rows = pd.DataFrame(
        [
            {
                "attack": "fgsm",
                "target_kind": "random",
                "setting": setting,
                "model": model,
                "n": 10,
                "success_rate": rate,
            }
            for setting, rates in (
                ("eps=0.1", (0.1, 0.2)),
                ("eps=0.2", (0.5, 0.6)),
                ("eps=0.3", (0.8, 0.9)),
            )
            for model, rate in zip("ab", rates, strict=True)
        ]
    )
    finding = findings._budgets(rows)
    assert finding and "eps=0.3" in finding.text and "80–90 %" in finding.text
    assert "eps=0.1" not in finding.text and "eps=0.2" not in finding.text
