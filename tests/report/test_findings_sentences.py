"""Whole sentences of findings, for tables with two or three rows."""

import numpy as np
import pandas as pd
import pytest

from jaxadv.report import findings
from jaxadv.report.measures import Measure


def accuracies(*percents: float, images=24) -> pd.DataFrame:
    """Models a, b, ...; the intervals are wider for later ones."""
    percent = np.array(percents)
    rows = {"model": list("abcdef")[: len(percents)], "images": images, "top1_percent": percent}
    width = np.arange(len(percents)) + 1
    return pd.DataFrame(
        rows | {"top1_percent_low": percent - width, "top1_percent_high": percent + width}
    )


def points(means, *, attack="cw", setting="confidence=0", length="l2", width=0.1, kind="random"):
    """A measure of models a, b, ... with 10, 11, ... images and 0, 1, ... failures."""
    mean, number = np.array(means, float), np.arange(len(means))
    table = pd.DataFrame(
        {
            "model": list("abcdef")[: len(means)],
            "mean": mean,
            "low": mean - width,
            "high": mean + width,
            "n": 10 + number,
            "failures": number,
        }
    )
    return Measure(attack, kind, setting, length, True, table, None, [])


def score(means, setting="2", **more):
    return points(means, attack="clever", setting=setting, length=f"l{setting}", **more)


def text(finding) -> str:
    assert finding
    return finding.text


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            accuracies(90, 80, 70),
            "a is the most accurate (90.0 % [89.0, 91.0] of 24 clean images), "
            "c the least (70.0 % [67.0, 73.0]).",
        ),
        (
            accuracies(70, 90, 90, 70),
            "b and c are the most accurate (90.0 % [88.0, 92.0] of 24 clean images), "
            "a and d the least (70.0 % [69.0, 71.0]).",
        ),
        (
            accuracies(90, 90, 70, images=[24, 30, 24]),
            "a and b are the most accurate (90.0 % [89.0, 91.0]), "
            "c the least (70.0 % [67.0, 73.0]).",
        ),
        (
            accuracies(90, 70, images=[24, 30]),
            "a is the most accurate (90.0 % [89.0, 91.0] of 24 clean images), "
            "b the least (70.0 % [68.0, 72.0]).",
        ),
        (accuracies(90, 90.01), "All 2 models are equally accurate, 90.0 % [88.0, 92.0]."),
    ],
)
def test_accuracy(table, words):
    assert text(findings._accuracy(table)) == words


def test_one_model_is_neither_the_most_nor_the_least():
    assert findings._accuracy(accuracies(90)) is None
    assert findings._extremes(points([1.0])) is None
    assert findings._extremes(points([1.0, np.nan])) is None


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        (
            points([1.0, 0.5, 0.7]),
            "a needs the largest mean L2, 1.00 [0.900, 1.10] (n 10, 0 failed); b the smallest, "
            "0.500 [0.400, 0.600] (n 11, 1 failed). "
            "No other model's interval reaches the first one's.",
        ),
        (
            points([1.0, 1.0, 0.95, 0.5]),
            "a and b need the largest mean L2, 1.00 each; d the smallest, "
            "0.500 [0.400, 0.600] (n 13, 3 failed).",
        ),
        (
            points([0.5, 1.0, 0.5, np.nan, np.inf], width=np.nan),
            "b needs the largest mean L2, 1.00 (n 11, 1 failed); a and c the smallest, "
            "0.500 each. No success at all against d. Without a finite mean: e.",
        ),
        (
            points([0.5, 0.5, np.inf]),
            "All 2 models are equal: mean L2 0.500. Without a finite mean: c.",
        ),
        (
            score([1.0, 0.8]),
            "a has the largest mean L2 score, 1.00 [0.900, 1.10] (n 10); b the smallest, "
            "0.800 [0.700, 0.900] (n 11). The intervals of 1 other overlap the first one's. "
            "Analysis compares them on the same images.",
        ),
        (
            score([1.0, 1.0, 0.5]),
            "a and b have the largest mean L2 score, 1.00 each; c the smallest, "
            "0.500 [0.400, 0.600] (n 12).",
        ),
    ],
)
def test_the_most_and_the_least_robust(measure, words):
    assert text(findings._extremes(measure)) == words


def test_half_an_interval_is_none():
    assert findings.interval(1.0, 0.5, np.nan) == findings.interval(1.0, -np.inf, 2.0) == "1.00"
    assert findings.interval(1.0, 0.5, 2.0) == "1.00 [0.500, 2.00]"


def test_the_law_of_several_measures():
    def law(low, models=4):
        return {"models": models, "slope": 0.5, "slope_low": low, "slope_high": 0.9}

    chief = [
        points([3, 2, 1])._replace(law=law(0.1)),
        score([3, 2, 1])._replace(law=law(-0.1)),
        points([3, 2, 1], attack="ead", length="l1")._replace(law=law(0.2)),
        score([3, 2, 1], "inf")._replace(law=law(0.1, models=2)),
        points([3, 2])._replace(law=law(0.1)),
        points([3, 2, 1]),
    ]
    assert text(findings._law(chief)) == (
        "It holds (b is above 0) for C&W L2 (b = 0.500 [0.100, 0.900], 4 models), "
        "EAD-L1 (b = 0.500 [0.200, 0.900], 4 models); "
        "it is not settled (the interval of b includes 0) for "
        "CLEVER L2 (b = 0.500 [-0.100, 0.900], 4 models); "
        "it cannot be tested (fewer than 3 models on the frontier) for CLEVER L∞. "
        "A frontier has no b below 0."
    )


def attempts(rows) -> pd.DataFrame:
    columns = ["attack", "target_kind", "setting", "model", "n", "success_rate"]
    return pd.DataFrame(rows, columns=columns)


def test_fixed_budgets_in_the_order_of_the_table():
    table = attempts(
        [
            ("fgsm", "untargeted", "eps=0.1", "a", 10, 0.5),
            ("fgsm", "random", "eps=0.1", "a", 9, 0.25),
            ("fgsm", "random", "eps=0.1", "b", 11, 0.251),
            ("fgsm", "least", "eps=0.1", "a", 9, 0.0),
            ("fgsm", "least", "eps=0.1", "b", 9, 1.0),
            ("cw", "random", "confidence=0", "a", 9, 1.0),
        ]
    )
    assert text(findings._budgets(table)) == (
        "FGSM · eps=0.1 · untargeted: 50 % (n 10); "
        "FGSM · eps=0.1 · random target: 25 % (n 9–11); "
        "FGSM · eps=0.1 · least-likely target: 0–100 % (n 9)."
    )
    assert findings._budgets(table[5:]) is None


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0 %"),
        (1e-9, "less than 1 %"),
        (0.005, "less than 1 %"),
        (0.006, "1 %"),
        (0.5, "50 %"),
        (0.994, "99 %"),
        (0.995, "more than 99 %"),
        (0.9999, "more than 99 %"),
        (1.0, "100 %"),
    ],
)
def test_only_nothing_is_0_percent_and_only_all_is_100(share, words):
    assert findings.share_text(share) == words


def rates(*rows) -> pd.DataFrame:
    """Rows: source, model, rate; of one map."""
    table = pd.DataFrame(rows, columns=["source", "model", "released"])
    return table.assign(n_released=8, attack="cw", target_kind="random", setting="c")


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([("a", "b", 0.5), ("b", "a", 0.501)], "all sources alike"),
        ([("a", "b", 0.5)], "a"),
        ([("b", "a", 0.5), ("c", "a", 0.1), ("a", "b", 0.5)], "b and a"),
        ([("a", "b", 0.1), ("b", "a", 0.5), ("c", "a", np.nan)], "b"),
        ([("a", "b", np.nan), ("b", "a", np.nan)], ""),
    ],
)
def test_the_best_sources(rows, best):
    (found,) = findings.panel_means(rates(*rows)).to_dict("records")
    assert found["best"] == best


HOW = ["attack", "target_kind", "setting"]


def maps(*rows) -> pd.DataFrame:
    """Rows: attack, target kind, mean; sources a and b are the best of all."""
    table = pd.DataFrame(rows, columns=["attack", "target_kind", "mean"])
    numbers = {"best": "a and b", "best_mean": table["mean"] + 0.1, "n_low": 7, "n_high": 8}
    return table.assign(setting="s", pairs=6, **numbers)


def test_maps_of_which_no_attempt_is_known_are_kept():
    kinds = pd.CategoricalDtype(["random", "least", "untargeted"])
    spread = maps(("cw", "random", 0.5), ("cw", "least", 0.4), ("cw", "untargeted", 0.3))
    spread["target_kind"] = spread["target_kind"].astype(kinds)
    rows = pd.DataFrame([("cw", "random", "s"), ("cw", "untargeted", "s")], columns=HOW)
    rows = rows.assign(target_kind=rows["target_kind"].astype(kinds), successes=[0, 1])
    kept = findings.with_successes(spread, rows)
    assert kept["target_kind"].tolist() == ["least", "untargeted"]
    assert kept.index.tolist() == [0, 1] and list(kept.columns) == list(spread.columns)
    assert findings.with_successes(spread[:0], rows).empty


BEST = " on average over 6 pairs (n 7–8 a pair), and best from a and b "


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        (
            maps(("cw", "random", 0.2), ("fgsm", "untargeted", 0.6), ("cw", "least", 0.3)),
            f"FGSM · s · untargeted transfers best: 60 %{BEST}(70 %). "
            "With a target it is at most 30 % (C&W L2 · s · least-likely target).",
        ),
        (
            maps(("cw", "random", 0.0), ("fgsm", "untargeted", 0.6)),
            f"FGSM · s · untargeted transfers best: 60 %{BEST}(70 %). "
            "With a target nothing transfers.",
        ),
        (
            maps(("cw", "random", 0.6), ("fgsm", "untargeted", 0.2)),
            f"C&W L2 · s · random target transfers best: 60 %{BEST}(70 %).",
        ),
        (
            maps(("fgsm", "untargeted", np.nan), ("cw", "untargeted", 0.6)),
            f"C&W L2 · s · untargeted transfers best: 60 %{BEST}(70 %).",
        ),
        (
            maps(("fgsm", "random", 0.5), ("cw", "untargeted", 0.6), ("fgsm", "untargeted", 0.6)),
            "C&W L2 · s · untargeted and FGSM · s · untargeted transfer equally well: "
            "60 % on average. With a target it is at most 50 % (FGSM · s · random target).",
        ),
        (
            maps(("cw", "random", 0.0), ("fgsm", "untargeted", 0.0)),
            "Nothing transfers: 0 % over 6 pairs in 2 maps.",
        ),
        (maps(("cw", "random", 0.0)), "Nothing transfers: 0 % over 6 pairs in 1 map."),
        (
            maps(("cw", "random", 0.4)).assign(best="all sources alike"),
            "C&W L2 · s · random target transfers best: 40 % on average over 6 pairs "
            "(n 7–8 a pair), and from all sources alike (50 %).",
        ),
    ],
)
def test_transfer(spread, words):
    assert text(findings._transfer(pd.DataFrame(), spread)) == words
    assert text(findings._transfer(pd.DataFrame(), spread, out_of=9)) == words


def test_without_maps_nothing_is_said_of_transfer():
    empty = maps()
    assert findings._transfer(pd.DataFrame(), empty) is None
    assert findings._transfer(pd.DataFrame(), maps(("cw", "random", np.nan)), out_of=1) is None
    assert "Nothing can transfer" in text(findings._transfer(pd.DataFrame(), empty, out_of=1))


def test_all_findings_in_order():
    """Of CLEVER's norms only L2 is spoken of; a map with a success is not left out."""
    robustness = pd.DataFrame([("cw", "random", "s")], columns=HOW)
    robustness = robustness.assign(successes=3, success_rate=0.5, n=6)
    chief = [points([1, 2]), score([1, 2], "inf"), score([1, 2], "2"), points([1])]
    spread = maps(("cw", "random", 0.4))
    told = findings.findings(accuracies(90, 80), robustness, pd.DataFrame(), chief, spread)
    assert [finding.about for finding in told] == [
        "Accuracy",
        "C&W L2, random target",
        "CLEVER L2, random target",
        "Transfer",
    ]
    failed = robustness.assign(successes=0)
    told = findings.findings(accuracies(90), failed, pd.DataFrame(), [], spread)
    assert [finding.text[:20] for finding in told] == ["Nothing can transfer"]
