"""The order of models: ties by what is printed, and the places that settled differences leave
open.
"""

import pandas as pd
import pytest

from jaxadv.report import ranking
from jaxadv.report.ranking import Order

KEY = ("cw", "random", "confidence=0", "l2")


def order(values, larger=True) -> Order:
    points = {
        "model": list("abcdef")[: len(values)],
        "value": values,
        "low": values,
        "high": values,
        "n": 9,
    }
    return Order("C&W L2, random target", "mean L2", KEY, larger, pd.DataFrame(points))


def comparison(*pairs) -> pd.DataFrame:
    """pairs: model, other, low, high."""
    columns = ["model", "other", "difference_low", "difference_high"]
    table = pd.DataFrame(pairs, columns=columns).assign(common=9)
    table["difference"] = (table["difference_low"] + table["difference_high"]) / 2
    return table.assign(
        **dict(zip(("attack", "target_kind", "setting", "distance"), KEY, strict=True))
    )


def places(found) -> dict:
    return {name: rank.text for name, rank in found.items()}


def test_what_prints_alike_is_tied():
    found = ranking.ranks(order([0.5, 0.50004, 0.7, 0.1]), comparison())
    assert places(found) == {"c": "1", "b": "2=", "a": "2=", "d": "4"}
    assert found["d"].best == 1 and found["d"].worst == 4  # nothing is settled


def test_where_smaller_is_more_robust():
    found = ranking.ranks(order([0.5, 0.1, 1.0], larger=False), comparison())
    assert places(found) == {"b": "1", "a": "2", "c": "3"}


def test_open_places_are_what_settled_differences_leave():
    table = comparison(
        ("a", "b", 0.1, 0.3), ("a", "c", -0.1, 0.4), ("b", "c", -0.5, -0.2), ("a", "d", 1, 2)
    )
    found = ranking.ranks(order([0.9, 0.3, 0.6, 0.1]), table)
    assert [(found[name].best, found[name].worst) for name in "abcd"] == [
        (1, 2),
        (3, 4),
        (1, 3),
        (2, 4),
    ]


def test_a_difference_is_found_either_way_round():
    table = comparison(("a", "b", 0.1, 0.3))
    there = ranking.difference(order([0.9, 0.3]), table, "a", "b")
    back = ranking.difference(order([0.9, 0.3]), table, "b", "a")
    assert there == {"common": 9, "value": pytest.approx(0.2), "low": 0.1, "high": 0.3}
    assert back == {"common": 9, "value": pytest.approx(-0.2), "low": -0.3, "high": -0.1}
    smaller = ranking.difference(order([0.3, 0.9], larger=False), table, "a", "b")
    assert smaller and smaller["value"] == pytest.approx(-0.2) and smaller["low"] == -0.3
    assert ranking.difference(order([0.9, 0.3]), comparison(), "a", "b") is None


def test_groups_go_from_the_largest_to_the_smallest():
    assert ranking.alike([1.0, 2.0, 1.0001, -1.0]) == [[1], [2, 0], [3]]
