"""Tests the accelerator script: its measurements within a time limit, and its comparison of
answers.
"""

import copy
import csv

import numpy as np
import pandas as pd
import pytest
from models import inner_images, random_linear

from jaxadv.benchmark import accelerator, comparison, speeds
from jaxadv.benchmark.answers import Answers, Scale
from jaxadv.benchmark.cases import Case
from jaxadv.benchmark.programs import Programs
from jaxadv.benchmark.runner import COLUMNS, Group, Item, Record, run
from jaxadv.core.oracle import Answer

FACTS = {"device": "slow", "jax": "1", "torch": "", "date": "2026-01-01"}


class Clock:
    """A clock that measurements move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float, rows=None, error=None):
        def measure():
            self.now += seconds
            if error:
                raise error
            return rows or {"percent": 1.0}

        return measure


def item(what: str, guess: float, measure, **more) -> Item:
    return Item("a", "net", what, "highest", 8, guess, measure, **more)


def rows_of(path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def measure(tmp_path):
    """Run items for some seconds of a clock.

    Returns what was left out, the rows, and what was compiled.
    """
    compiled = []

    def measure(clock, items, seconds, device="slow"):
        record = Record(tmp_path / "out" / "m.csv", FACTS | {"device": device})
        left_out = run(
            items, record, seconds=seconds, prepare=compiled.append, clock=clock, say=str
        )
        return [each.what for each in left_out], rows_of(record.path), compiled

    return measure


def test_nothing_is_begun_that_would_not_end_in_time(measure):
    clock = Clock()
    long, short = clock.takes(50), clock.takes(5)
    items = [item("first", 10, short), item("long", 60, long), item("short", 10, short)]
    left_out, rows, _ = measure(clock, items, 20)
    assert left_out == ["long"] and [row["what"] for row in rows] == ["first", "short"]
    assert clock.now == 10 and rows[0]["seconds"] == "5" and rows[0]["percent"] == "1"


def test_guesses_follow_what_measurements_took(measure):
    """The first takes twice its guess, so the second is expected to: 20 seconds, and 15 are
    left.
    """
    clock = Clock()
    items = [item("first", 5, clock.takes(10)), item("second", 10, clock.takes(10))]
    assert measure(clock, items, 25)[0] == ["second"]


def test_an_error_is_a_row_and_the_next_one_is_measured(measure):
    clock = Clock()
    wrong = clock.takes(1, error=ValueError("no\nmemory"))
    _, rows, _ = measure(clock, [item("wrong", 1, wrong), item("right", 1, clock.takes(1))], 9)
    assert [row["error"] for row in rows] == ["ValueError: no memory", ""]


def test_a_file_is_continued_for_the_same_device(measure):
    clock = Clock()
    items = [
        item("one", 1, clock.takes(1)),
        item("two", 1, clock.takes(1, [{"what": "2a"}, {"what": "2b"}])),
    ]
    for expected in (3, 3):
        _, rows, _ = measure(clock, items, 99)
        assert [row["what"] for row in rows] == ["one", "2a", "2b"][:expected] and clock.now == 2
    assert len(measure(clock, items, 99, device="fast")[1]) == 6


def test_a_group_is_compiled_once_for_what_is_left_of_it(measure):
    clock, group = Clock(), Group("all", 3)
    items = [item(what, 1, clock.takes(1), needs=(what, "shared"), group=group) for what in "xyz"]
    assert measure(clock, items[:1], 99)[2] == [["x", "shared"]]
    assert measure(clock, items, 99)[2][1:] == [["y", "shared", "z"]]


def test_a_column_that_is_not_known_is_refused(measure):
    with pytest.raises(KeyError, match="colour"):
        measure(Clock(), [item("one", 1, lambda: {"colour": 1})], 9)


def test_comparison_counts_what_changed():
    before = pd.DataFrame({"image": [1, 2, 3, 4], "success": [True, True, True, False]})
    before = before.assign(revoked=False, l2=[1.0, 2.0, 4.0, np.nan], path=["1", "1 2", "1", None])
    after = before.assign(
        success=[True, True, False, True],
        revoked=[False, False, True, False],
        l2=[1.1, 2.4, np.nan, 7.0],
        path=["1", "1 3", "1", None],
    )
    found = comparison.compare(before, after.iloc[::-1], "l2")
    assert (found["images"], found["successes"], found["changed"]) == (4, 3, 2)
    assert (found["lost"], found["revoked"], found["same_path"]) == (1, 1, 0.75)
    np.testing.assert_allclose((found["median_change"], found["median_size"]), 0.15)
    np.testing.assert_allclose((found["low"], found["high"]), (0.1, 0.2))


def test_rounding_is_of_the_margin_and_relative_to_the_gradient():
    exact = Answer(np.array([[3.0, 1.0, 0.0]]), np.ones((1, 2, 2, 3)))
    rough = Answer(np.array([[3.5, 1.0, 9.0]]), 1.1 * np.ones((1, 2, 2, 3)))
    found = comparison.rounding(exact, rough, np.array([0]), np.array([1]))
    np.testing.assert_allclose(list(found.values()), [0.5, 0.5, 0.1])


@pytest.mark.slow
def test_answers_of_every_variant_are_compared_with_those_in_highest(tmp_path):
    """A linear network with large logits: bfloat16 moves its decisions, the next float32 does
    not.
    """
    case = Case(random_linear(0, 4, scale=1.0), inner_images(1, 8), np.arange(8))
    answers = Answers(tmp_path / "m.images.csv", "slow", Scale(20, 2, 4, 4, 4, 2, 3))
    items, programs = answers.items({"linear": case}, 1.0, 1.0), Programs("digits")
    record = Record(tmp_path / "m.csv", FACTS)
    assert run(items, record, seconds=999, prepare=programs.prepare, say=str) == []
    rows = pd.read_csv(record.path).set_index(["precision", "what"])
    assert len(rows) == 4 + 5 + 3 + 5 and rows["error"].isna().all()
    assert (rows.loc["highest", ["changed", "median_size"]] == 0).all(axis=None)
    assert (rows.loc["nudged", "median_size"] < 1e-5).all() and (
        rows.loc["nudged", "changed"] == 0
    ).all()
    assert rows.loc[("bfloat16", "rounding"), "gradient_error"] > 1e-3
    assert rows.loc[("bfloat16", "ead"), "median_size"] > 1e-5
    kept = pd.read_csv(tmp_path / "m.images.csv")
    assert len(kept) == 3 * (3 * 8 + 4) + 3 * 8
    again = {each.what: each.measure() for each in items if each.precision == "bfloat16"}
    pd.testing.assert_series_equal(  # measured again, the last counts
        pd.Series(again["cw"]),
        rows.loc[("bfloat16", "cw"), list(again["cw"])],
        check_dtype=False,
        check_names=False,
        rtol=1e-5,
    )


@pytest.mark.long
def test_speeds_of_a_small_network(tmp_path):
    """A raw gradient, and eight steps in one program, which change no bit."""
    scale = speeds.Scale("digits", 2, (4,), 0.01, 4, 1)
    builders = {}
    programs = Programs("digits", builders)
    chunked, made = speeds.chunks(programs, scale)
    builders |= made
    raw = speeds.raw(programs, scale, ("mobilenet_v1_025",), 1.0)[0]
    record = Record(tmp_path / "m.csv", FACTS)
    left_out = run([raw, chunked[1]], record, seconds=999, prepare=programs.prepare, say=str)
    rows = pd.read_csv(record.path)
    assert left_out == [] and rows["error"].isna().all()
    assert list(rows["what"]) == ["gradient", "step by step", "8 steps in one program"]
    assert (rows["gradients_per_second"] > 0).all() and rows["megabytes"][0] > 0
    assert rows["same_bits"][2]
    expected = (
        rows["gradients_per_second"][0] * programs.get(speeds.Count("mobilenet_v1_025")) / 1e3
    )
    np.testing.assert_allclose(rows["teraflops"][0], expected, rtol=1e-5)
    assert set(COLUMNS) == set(rows)


def test_calls_are_repeated_until_the_time_is_right(monkeypatch):
    """A call of 10 ms on 4 images: 400 a second, from turns of a tenth of a second each."""
    clock, calls = Clock(), []
    monkeypatch.setattr(speeds.time, "perf_counter", clock)

    def repeat(times: int) -> None:
        calls.append(times)
        clock.now += 0.01 * times

    assert speeds.per_second(repeat, 4, 0.3) == pytest.approx(400)
    assert calls == [2, 2, 10, 10, 10]


def test_the_dry_run_lists_everything_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(accelerator, "FLAGS", copy.deepcopy(accelerator.FLAGS))
    accelerator.main(["accelerator", "--dry_run", "--small"])
    told = capsys.readouterr().out
    assert {line.split()[2] for line in told.splitlines()[:-1]} == set("abcdefg")
    assert "nasnet_large gradient bfloat16" in told and "nothing was measured" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--parts=az", "parts is 'az'; give some of the letters abcdefg"),
        ("--data=nowhere", "data is 'nowhere', which has no folder weights"),
        ("--precision=high", "Unknown command line flag 'precision'"),
        ("all", "'all' is one word too many"),
    ],
)
def test_bad_input_is_one_line(given, told, monkeypatch, capsys):
    monkeypatch.setattr(accelerator, "FLAGS", copy.deepcopy(accelerator.FLAGS))
    with pytest.raises(SystemExit) as ended:
        accelerator.main(["accelerator", given])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and told in said and said.count("\n") == 1
