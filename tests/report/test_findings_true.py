"""No sentence contradicts its numbers: findings of random tables with few distinct values, so that
ties are common.
"""

import re

import numpy as np
import pandas as pd
import pytest

from jaxadv.report import findings, headline, ranking, reading
from jaxadv.report.columns import three_digits
from jaxadv.report.measures import Measure
from jaxadv.report.settings import NOTHING
from jaxadv.report.study.page import ahead
from jaxadv.report.tables import Tables

NAMES = ["alexnet", "vgg_16", "vgg_19", "resnet_v2_50", "mine"]
HOW = {"attack": "cw", "target_kind": "random", "setting": "confidence=0"}
CASES = pytest.mark.parametrize(
    "seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 60))]
)


class World:
    """A few models, each with one of two or three accuracies, means and rates."""

    def __init__(self, seed: int):
        draw = np.random.default_rng(seed)
        models = NAMES[: draw.integers(2, 6)]
        some = draw.choice([0.0, 0.2, 0.5, 0.50001, 1.3], draw.integers(1, 4), replace=False)
        self.means = dict(zip(models, draw.choice([*some, np.nan], len(models)), strict=True))
        self.right = dict(
            zip(models, draw.choice([0.0, 50.0, 99.96, 100.0], len(models)), strict=True)
        )
        self.models = models
        mean = pd.Series(self.means)
        half = draw.choice([0.0, 0.1, 0.4])
        points = {"model": models, "mean": mean.to_numpy(), "low": (mean - half).to_numpy()}
        points |= {
            "high": (mean + half).to_numpy(),
            "n": 12,
            "failures": 3,
            "error": 0.5,
            "images": 24,
        }
        self.measure = Measure(
            *("cw", "random", "confidence=0", "l2", True), pd.DataFrame(points), None, []
        )
        successes = np.where(mean.isna(), 0, 9)
        self.robustness = pd.DataFrame({"model": models, "n": 12, "successes": successes, **HOW})
        right = pd.Series(self.right)
        self.accuracy = pd.DataFrame(
            {
                "model": models,
                "images": 24,
                "top1_percent": right.to_numpy(),
                "top1_percent_low": right.to_numpy() - 1,
                "top1_percent_high": right.to_numpy() + 1,
            }
        )
        rate = draw.choice([0.0, 0.001, 0.4, 1.0], 2)
        pairs = [(a, b) for a in models for b in models if a != b]
        self.transfer = pd.concat(
            pd.DataFrame(pairs, columns=["source", "model"]).assign(
                attack="cw",
                target_kind=kind,
                setting="confidence=0",
                released=draw.choice(rate, len(pairs)),
                n_released=12,
            )
            for kind in ("untargeted", "random")
        )
        table = pd.DataFrame(
            [(a, b) for number, a in enumerate(models) for b in models[number + 1 :]],
            columns=["model", "other"],
        )
        gap = (mean[table["model"]].to_numpy() - mean[table["other"]].to_numpy()) * draw.choice(
            [1, 1, -1]
        )
        table = table.assign(**HOW, distance="l2", common=8, difference=gap)
        self.comparison = table.assign(difference_low=gap - half, difference_high=gap + half)
        self.spread = findings.panel_means(self.transfer)

    def tables(self) -> Tables:
        empty = pd.DataFrame()
        return Tables(
            self.models,
            self.accuracy,
            self.robustness,
            empty,
            self.transfer,
            empty,
            {},
            {},
            NOTHING,
        )


def names_in(text: str) -> list[str]:
    return [name for name in NAMES if re.search(rf"(?<![\w]){name}(?!\w)", text)]


def tells(text: str, names: set[str]) -> bool:
    """Whether a text names these models and no others; "and 2 more" stands for two of them."""
    said, more = set(names_in(text)), re.search(r" and (\d+) more", text)
    return said <= names and len(said) + (int(more[1]) if more else 0) == len(names)


def at(values: dict, best: float, text) -> set[str]:
    return {name for name, value in values.items() if value == value and text(value) == text(best)}


@CASES
def test_the_largest_and_the_smallest(seed):
    world = World(seed)
    finding = findings._extremes(world.measure)
    known = {name: value for name, value in world.means.items() if value == value}
    if len(known) < 2:
        assert finding is None
        return
    assert finding
    without = finding.text.partition(" No success at all against ")[2]
    assert tells(without, set(world.means) - set(known))
    text = finding.text.partition(" No success at all against ")[0]
    tops = at(known, max(known.values()), three_digits)
    bottoms = at(known, min(known.values()), three_digits)
    if tops == set(known):
        assert "are equal" in text and "largest" not in text and "smallest" not in text
        return
    large, small = text.split("; ")[:2]
    assert tells(large, tops) and tells(small.split(". ")[0], bottoms)
    assert not tops & bottoms
    rivals = sum(
        row["high"] >= row["low"]
        and row["high"] >= max(known.values()) - (row["high"] - row["mean"])
        for row in world.measure.points.to_dict("records")
        if row["model"] not in tops
    )
    if len(tops) == 1 and "reaches" in text:
        assert rivals == 0
    if "overlap" in text:
        assert f"The intervals of {rivals} other" in text


@CASES
def test_accuracy(seed):
    world = World(seed)
    finding = findings._accuracy(world.accuracy)
    assert finding

    def one(value):
        return f"{value:.1f}"

    tops, bottoms = (at(world.right, end(world.right.values()), one) for end in (max, min))
    if tops == bottoms:
        assert "equally accurate" in finding.text
        return
    large, small = finding.text.split("), ")
    assert tells(large, tops) and tells(small, bottoms)


@CASES
def test_transfer(seed):
    world = World(seed)
    finding = findings._transfer(world.transfer, world.spread)
    assert finding
    means = world.spread["mean"]
    if not means.any():
        assert finding.text.startswith("Nothing transfers") and "best" not in finding.text
        return
    assert "Nothing transfers" not in finding.text and " 0 %" not in finding.text.split(".")[0]
    shown = [findings.share_text(mean) for mean in means]
    assert ("equally well" in finding.text) == (shown[0] == shown[1])
    if "best from" in finding.text:
        best = world.spread.iloc[int(means.argmax())]
        rows = world.transfer[world.transfer["target_kind"] == best["target_kind"]]
        by_source = rows.groupby("source")["released"].mean()
        told = finding.text.split("best from ")[1].split(" (")[0]
        tops = at(dict(by_source), by_source.max(), findings.share_text)
        assert tells(told, tops)
        assert tops != set(by_source.index)


@CASES
def test_the_three_first_sentences(seed):
    world = World(seed)
    order = ranking.chosen([world.measure], world.robustness.assign(success_rate=0.5))
    ranked = ranking.ranks(order, world.comparison) if order else {}
    told = {
        finding.about: finding.text
        for finding in headline.headline(
            world.tables(), order, ranked, world.comparison, world.spread
        )
    }
    assert len(told) <= 3
    known = {name: value for name, value in world.means.items() if value == value}
    if len(known) < 2:
        assert "Most robust" not in told
    else:
        text = told["Most robust"]
        never = set(world.means) - set(known)
        said, _, last = text.partition("; never fooled: ")
        assert tells(last, never)
        tops = at(known, max(known.values()), three_digits)
        if tops == set(known):
            assert "are equal" in said and not names_in(said)
        elif len(tops) > 1:
            assert "equal" in said and tells(said, tops)
        else:
            said, _, bottom = said.partition(" Last: ")
            first, second = said.split(", before ")
            assert tells(first, tops)
            rest = {name: value for name, value in known.items() if name not in tops}
            seconds = at(rest, max(rest.values()), three_digits)
            assert tells(second, seconds)
            lasts = at(rest, min(rest.values()), three_digits)
            assert tells(bottom, lasts if lasts != seconds else set())
            [name] = tops
            gaps = [ranking.difference(order, world.comparison, name, other) for other in rest]
            sure = sum(gap is not None and gap["low"] > 0 for gap in gaps)
            if "settled against" in said:
                assert f"settled against {sure} of {len(rest)} others" in said and sure < len(rest)
                gap = ranking.difference(order, world.comparison, name, min(seconds))
                if "not against" in said:
                    assert sure and not (gap and gap["low"] > 0)
            elif "settled" in said:
                assert sure == len(rest)
    for name, rank in ranked.items():
        larger = sum(
            float(three_digits(value)) > float(three_digits(known[name]))
            for value in known.values()
        )
        assert rank.place == 1 + larger and rank.best <= rank.place <= rank.worst
    maps = findings.with_successes(world.spread, world.robustness)
    assert ("nothing transfers" in told["Transfer"]) == (not maps["mean"].any())


@CASES
def test_who_is_ahead_in_pairs(seed):
    world = World(seed)
    text = ahead(world.comparison, "has the larger value")
    wins = {name: 0 for name in world.models}
    for row in world.comparison.to_dict("records"):
        if row["difference"] > 0:
            wins[row["model"]] += 1
        elif row["difference"] < 0:
            wins[row["other"]] += 1
    most = max(wins.values())
    if not most:
        assert "All are equal" in text
        return
    first = {name for name, count in wins.items() if count == most}
    told = text.split("are settled. ")[1]
    assert tells(told, first)
    assert ("equally often" in told) == (len(first) > 1)


def _measure(attack: str, setting: str, **means: float) -> Measure:
    points = pd.DataFrame({"model": list(means), "mean": list(means.values())})
    points = points.assign(low=points["mean"], high=points["mean"], n=9, failures=0, error=0.5)
    return Measure(attack, "random", setting, "l2", True, points, None, [])


def test_other_measures_may_put_another_model_first():
    """CLEVER counts in its second norm alone, and a tie for the first place is no other model."""
    own = _measure("cw", "", a=3, b=2, c=1)
    agrees, differs = _measure("ead", "", a=2, b=2), _measure("fmn", "", a=1, b=2, c=1)
    scores = [_measure("clever", norm, a=1, b=2) for norm in ("1", "2", "inf")]
    measures = [own, agrees, differs, *scores]
    order = ranking.chosen(measures, pd.DataFrame({"attack": [], "eps": []}))
    assert order and order.name.startswith("C&W")
    text = headline._elsewhere(order, "a", measures)
    assert text == " Of 3 other measures, 2 put another model first."
    assert headline._elsewhere(order, "a", [own, agrees]) == ""
    assert headline._elsewhere(order, "a", [own, differs]).startswith(" Of 1 other measure, 1 put")


def test_a_caveat_says_that_inputs_differ_in_size():
    rows = pd.DataFrame({"l2_mean": [1.0, 2.0, np.nan], "l2_per_pixel_mean": [1e-3, 5e-4, np.nan]})
    assert reading._sizes(rows)[0].startswith(
        "The inputs differ in size, from 1,000 to 4,000 values."
    )
    assert reading._sizes(rows[:1]) == reading._sizes(rows[2:]) == reading._sizes(rows[:0]) == []
