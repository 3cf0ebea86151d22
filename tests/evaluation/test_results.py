"""A run on disk, as Python sees it."""

from types import SimpleNamespace

import pandas as pd
import pytest

import jaxadv
from jaxadv.report import robust, tables
from jaxadv.store import run as store


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({}, "0 models, not finished"),
        ({"models": ["a", "b"], "finished_parts": []}, "2 models, not finished"),
        (
            {"models": ["a"], "finished_parts": ["attacks", "clever"]},
            "1 models, finished: attacks, clever",
        ),
    ],
)
def test_a_run_says_what_it_has_and_which_parts_are_finished(
    tmp_path, monkeypatch, manifest, words
):
    monkeypatch.setattr(store.Run, "manifest", lambda self: manifest)
    run = jaxadv.Run(tmp_path)
    assert repr(run) == f"Run({str(tmp_path)!r}, {words})"


def test_a_run_that_is_only_opened_has_finished_nothing_and_made_no_report(tmp_path):
    run = jaxadv.Run(tmp_path)
    assert run.was_finished is False and run.made_report is False
    told = jaxadv.Run(tmp_path, was_finished=True, made_report=True)
    assert told.was_finished and told.made_report


def test_tables_are_those_of_the_report(tmp_path, monkeypatch):
    usual, of_robustness = pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [2]})
    monkeypatch.setattr(tables, "compute", lambda run: SimpleNamespace(law=usual))
    monkeypatch.setattr(tables, "run_models", lambda run: ["b", "a"])
    asked: list[list[str]] = []

    def compute(run, order):
        asked.append(order)
        return SimpleNamespace(tables=lambda: {"optimality": of_robustness})

    monkeypatch.setattr(robust, "compute", compute)
    run = jaxadv.Run(tmp_path)
    assert run.table("law") is usual and asked == []
    assert run.table("optimality") is of_robustness and asked == [["b", "a"]]
    with pytest.raises(jaxadv.InputError, match="unknown table 'laws'; did you mean 'law'"):
        run.table("laws")


def test_a_folder_without_rows_holds_no_run(tmp_path, monkeypatch):
    with pytest.raises(jaxadv.InputError, match="^no run in"):
        jaxadv.open_run(tmp_path)
    monkeypatch.setattr(store.Run, "count_parts", lambda self: 3)
    with pytest.raises(jaxadv.InputError, match="rows of an unknown run"):
        jaxadv.open_run(tmp_path)
    monkeypatch.setattr(store.Run, "manifest", lambda self: {"models": ["a"]})
    assert jaxadv.open_run(tmp_path).directory == tmp_path
