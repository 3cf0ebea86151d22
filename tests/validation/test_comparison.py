"""Comparisons of known differences: the numbers, the verdict, and the tables as text and files."""

import csv
import io
import json

import numpy as np
import pytest

from jaxadv.validation import comparison


def report(change: float = 0.0, **more) -> dict:
    """Two images, ten logits; the second image's third logit is changed."""
    logits = np.tile(np.arange(10.0), (2, 1))
    found = logits.copy()
    found[1, 2] += change
    gradient = np.ones((2, 4, 4, 3))
    rows = comparison.rows(
        logits, found, gradient, gradient * [[[[1]]], [[[-1 if more.pop("flipped", False) else 1]]]]
    )
    limits = comparison.tolerances("VGG", double=False, logits=None)
    overall = comparison.overall(rows)
    base = {
        "model": "vgg_16",
        "source": "f.pb",
        "input": "input:0",
        "logits": "l:0",
        "precision": "float32",
        "input_size": 4,
    }
    base |= {
        "gradient_of": [7, 3],
        "images": rows,
        "overall": overall,
        "tolerances": limits,
        "layers": None,
    }
    return base | {"passed": comparison.within(overall, limits)} | more


def test_differences_are_those_that_were_made():
    first, second = report(8.0)["images"]
    assert first["relative_logit_difference"] == first["relative_gradient_difference"] == 0
    assert (
        first["top1_agrees"]
        and first["top5_agreement"] == 1
        and first["gradient_cosine"] == pytest.approx(1)
    )
    assert second["largest_logit_difference"] == 8 and second[
        "relative_logit_difference"
    ] == pytest.approx(8 / np.sqrt(285))
    assert not second["top1_agrees"] and second["top5_agreement"] == 0.8  # 2 in place of 5
    overall = report(8.0)["overall"]
    assert (
        overall["relative_logit_difference"] == second["relative_logit_difference"]
        and overall["top1_agrees"] == 0.5
    )


@pytest.mark.parametrize(
    ("change", "passed"), [(1e-4, True), (1e-3, False), (np.nan, False), (np.inf, False)]
)
def test_the_verdict_keeps_to_the_tolerance(change, passed):
    with np.errstate(invalid="ignore"):
        assert report(change)["passed"] is passed


def test_a_gradient_of_the_wrong_sign_fails():
    wrong = report(flipped=True)
    assert not wrong["passed"] and wrong["overall"]["gradient_cosine"] == pytest.approx(-1)
    assert "the logits agree, the gradients do not" in comparison.text(wrong)


def test_layers_end_with_the_first_that_differs():
    expected = {"a": np.ones((1, 2, 2, 3)), "b": np.ones((1, 1, 1, 5)), "c": np.ones(3)}
    found = {"a": np.ones((1, 2, 2, 3)), "b": np.full((1, 5), 1.1), "c": np.zeros(3)}
    table = comparison.layers(expected, found, nodes={"a": "A", "b": "B", "c": "C"}, limit=1e-5)
    assert [row["layer"] for row in table] == ["a", "b"] and [row["agrees"] for row in table] == [
        True,
        False,
    ]
    text = comparison.text(report(1.0, layers=table))
    assert (
        "first layer that differs: b, node B (1.0e-01 relative); a before it agrees (0.0e+00)"
        in text
    )


@pytest.mark.parametrize(
    ("family", "double", "given", "expected"),
    [
        ("VGG", False, None, 1e-5),
        ("MobileNet", False, None, 5e-5),
        ("MobileNet", True, None, 1e-7),
        ("VGG", True, 1e-9, 1e-9),
    ],
)
def test_tolerances(family, double, given, expected):
    assert comparison.tolerances(family, double=double, logits=given)["logits"] == expected


def test_files_say_what_was_found():
    found = report(8.0)
    head, *rows = csv.reader(io.StringIO(comparison.written(found, ".csv")))
    assert head == list(comparison.COLUMNS) and len(rows) == 3 and rows[1][1] == "8.00e+00"
    assert json.loads(comparison.written(found, ".json")) == found
    lines = comparison.written(found, ".md").splitlines()
    assert lines[2].count("|") == lines[3].count("|") == lines[4].count("|") and lines[
        -2
    ].startswith("NOT the same function")
