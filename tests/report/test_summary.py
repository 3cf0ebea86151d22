"""summary.json: keys that stay, numbers of the tables, and JSON that every reader takes."""

import json

import hostile
import pytest

from jaxadv.report import summary
from jaxadv.report.index import index
from jaxadv.report.views import views
from jaxadv.store.run import Run
from model_ports.errors import InputError

KEYS = (
    "format run date commit versions machine seconds settings data counts findings order models "
    "measures success transfer warnings"
).split()


def strict(text: str):
    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def told(synthetic_views, tmp_path_factory):
    path = tmp_path_factory.mktemp("summary") / summary.NAME
    summary.write(synthetic_views, path)
    return strict(path.read_text(encoding="utf-8"))


def test_its_keys(told):
    assert list(told) == KEYS and told["format"] == 1
    assert told["counts"]["attempts"] == 432 and told["settings"]["data"] == "digits"
    assert list(told["models"][0]) == ["name", "family", "accuracy", "rank"]
    assert list(told["models"][0]["rank"]) == ["place", "tied", "best", "worst"]
    assert list(told["measures"][0]) == [
        *("attack", "target_kind", "setting", "distance", "values", "law", "frontier")
    ]
    assert list(told["success"][0]) == ["attack", "target_kind", "setting", "values"]
    assert list(told["transfer"][0]) == [
        *("attack", "target_kind", "setting", "pairs", "mean"),
        *("best_source", "best_mean", "n_low", "n_high"),
    ]
    assert [finding["about"] for finding in told["findings"]] == [
        "Most robust",
        "Accuracy",
        "Transfer",
    ]


def test_its_numbers_are_those_of_the_run(told):
    """C&W's mean L2 grows with the number of the model, and accuracy falls with it."""
    assert told["order"]["attack"] == "cw" and told["order"]["larger_is_more_robust"]
    places = {one["name"]: one["rank"]["place"] for one in told["models"]}
    assert places["mobilenet_v1_100"] == 1 and places["alexnet"] == 6
    assert (
        told["models"][0]["accuracy"]["top1_percent"] == 100
        and told["models"][0]["family"] == "AlexNet"
    )
    [ead] = [one for one in told["measures"] if one["attack"] == "ead"]
    assert [value["mean"] for value in ead["values"]] == [None] * 6  # nothing succeeds
    [weiss] = [
        one for one in told["measures"] if one["attack"] == "cw" and one["target_kind"] == "random"
    ]
    assert weiss["values"][2]["mean"] == pytest.approx(0.6) and weiss["values"][2]["n"] == 12


@pytest.mark.few("0", "4")
@pytest.mark.parametrize("seed", range(8))
def test_it_stands_whatever_the_rows_hold(tmp_path, seed):
    run = hostile.write(tmp_path / "run", seed)
    summary.write(views(run), tmp_path / summary.NAME)
    told = strict((tmp_path / summary.NAME).read_text(encoding="utf-8"))
    assert list(told) == KEYS


def test_infinity_and_nothing_have_their_own_words():
    odd = {"a": [float("inf"), -float("inf"), float("nan")], 1: (True, None)}
    assert summary.plain(odd) == {"a": ["inf", "-inf", None], "1": [True, None]}


def test_index_lists_runs_and_nothing_else(synthetic_run, tmp_path):
    for name in ("b", "deep/a"):
        Run.begin(tmp_path / name).write_manifest(
            {"models": ["x", "y"], "settings": {"data": "digits"}}
        )
    (tmp_path / "notes").mkdir()
    lines = index(str(tmp_path)).splitlines()
    assert [line.split()[0] for line in lines] == ["run", "b", "deep/a"]
    assert "digits" in lines[1] and "unfinished" in lines[1]
    with pytest.raises(InputError, match="no run in .*evaluate makes one"):
        index(str(tmp_path / "notes"))
    with pytest.raises(InputError, match="is no folder"):
        index(str(tmp_path / "absent"))
