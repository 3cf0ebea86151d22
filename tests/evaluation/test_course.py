"""The course of a run: what is checked, begun and ended, and who does it. No unit is done here."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from models import inner_images, random_linear

import jaxadv
from jaxadv.core import engine
from jaxadv.evaluation import evaluate as course
from jaxadv.evaluation.evaluate import Evaluation
from jaxadv.evaluation.networks import Zoo
from jaxadv.evaluation.settings import Settings
from jaxadv.report import remake
from jaxadv.store import run as store

SETTINGS = Settings(
    attacks=(jaxadv.FGSM(eps=0.1),),
    targets=("untargeted",),
    parts=("attacks",),
    lanes=2,
    progress=False,
)


class Stop(Exception):
    """The rest does not matter."""


class Work:
    """Stands in for the units: they are done at once, or were done before."""

    def __init__(self):
        self.does = [True]  # whether a call of `work` does any, call by call
        self.sound = [True]
        self.during: Callable[[], None] = lambda: None
        self.calls = 0
        self.checked: list[list[str]] = []  # networks whose contracts were checked
        self.owners: list[int] = []  # processes that have the run open

    def __call__(self, run, job, claims, compiled, costs, *, joins, begin) -> "Work":
        self._claims, self._begin = claims, begin
        return self

    def work(self) -> bool:
        self.calls += 1
        self.owners.append(sum(name.startswith("process@") for name in self._claims.folder.names()))
        did = self.does.pop(0) if self.does else False
        if did:
            self._begin()
        self.during()
        return did

    def is_sound(self) -> bool:
        return self.sound.pop(0) if self.sound else True


@pytest.fixture
def work(monkeypatch) -> Work:
    def waits_for_itself(*_: Any) -> bool:
        raise AssertionError("the process that makes the report is this one")

    made = Work()
    monkeypatch.setattr(course, "Scheduler", made)
    monkeypatch.setattr(course.hosts, "wait_for_end", waits_for_itself)
    monkeypatch.setattr(
        course, "check_contracts", lambda loaded, names, lanes: made.checked.append(names)
    )
    return made


@pytest.fixture
def reports(monkeypatch) -> list[tuple[Path, bool]]:
    made: list[tuple[Path, bool]] = []
    monkeypatch.setattr(remake, "remake", lambda out, progress: made.append((Path(out), progress)))
    return made


@functools.cache
def evaluation(**change: Any) -> Evaluation:
    images, labels = inner_images(1, 4), np.array([0, 1, 2, 0])
    networks = [random_linear(0, 3, name="mine")]
    return Evaluation.of(networks, (images, labels), replace(SETTINGS, **change))


def manifest(out: Path, **change: Any) -> dict[str, Any]:
    """What the manifest says, after some change."""
    run = store.Run(out)
    known = run.manifest()
    if change:
        changed = (known | change).items()
        run.write_manifest({name: value for name, value in changed if value is not None})
    return run.manifest()


def test_a_run_is_ended_by_who_did_its_units(tmp_path, work, reports):
    run = evaluation().run(tmp_path)
    assert run.made_report and not run.was_finished and reports == []
    known = manifest(tmp_path)
    assert known["finished_parts"] == ["attacks"] and 0 <= known["seconds"] < 600
    assert known["seconds"] == round(known["seconds"], 1) and known["settings"]["zoo"] == "digits"
    assert work.calls == 1 and work.checked == [["mine"]] and work.owners == [1]
    assert (tmp_path / "log" / "process-0.log").exists() and not (tmp_path / "claims").exists()


def test_seconds_are_from_the_beginning_to_the_end_in_tenths(tmp_path, work, monkeypatch):
    times = iter([1000.0, 1012.345])
    clock = SimpleNamespace(time=lambda: next(times), strftime=lambda form: "2026-01-01")
    monkeypatch.setattr(course, "time", clock)
    evaluation().run(tmp_path)
    assert manifest(tmp_path)["seconds"] == 12.3


def test_a_finished_run_is_left_as_it_is(tmp_path, work, reports):
    evaluation().run(tmp_path)
    before = manifest(tmp_path, date="then")
    run = evaluation().run(tmp_path)
    assert run.was_finished and not run.made_report and manifest(tmp_path) == before
    wider = evaluation(parts=("attacks", "report")).run(tmp_path)
    assert wider.made_report and not wider.was_finished and reports == [(tmp_path, False)]
    assert manifest(tmp_path)["finished_parts"] == ["attacks", "report"]
    assert evaluation().run(tmp_path).was_finished


def test_a_finished_run_that_lacked_a_unit_is_ended_again(tmp_path, work, reports):
    parts = ("attacks", "report")
    evaluation(parts=parts).run(tmp_path)
    work.does = [True]
    run = evaluation(parts=parts).run(tmp_path)
    assert run.made_report and not run.was_finished and len(reports) == 2


def test_damage_found_in_the_end_is_more_work(tmp_path, work, reports):
    work.sound, work.does = [False, True], [True, True]
    run = evaluation(parts=("attacks", "report")).run(tmp_path)
    assert run.made_report and work.calls == 2 and len(reports) == 1


def test_who_comes_to_the_end_after_another_leaves_it(tmp_path, work, reports):
    work.during = lambda: manifest(tmp_path, finished_by="another") and None
    run = evaluation(parts=("attacks", "report")).run(tmp_path)
    assert not run.made_report and not run.was_finished and reports == []
    assert manifest(tmp_path)["finished_by"] == "another"


def test_while_another_makes_the_report_a_process_waits_and_works_if_that_dies(
    tmp_path, work, reports, monkeypatch
):
    waits = [False, True]
    monkeypatch.setattr(course.hosts, "ends", lambda claims: None)
    monkeypatch.setattr(course.hosts, "wait_for_end", lambda run, claims, parts: waits.pop(0))
    run = evaluation(parts=("attacks", "report")).run(tmp_path)
    assert not run.made_report and work.calls == 2 and waits == [] and reports == []


def test_who_begins_checks_the_networks_first(tmp_path, work):
    evaluation().run(tmp_path / "alone")
    evaluation().run(tmp_path / "joined", join=True)
    assert len(work.checked) == 2
    store.Run(tmp_path / "joined")  # has begun
    evaluation().run(tmp_path / "joined", join=True)
    assert len(work.checked) == 2
    evaluation().run(tmp_path / "alone", overwrite=True)
    assert len(work.checked) == 3


def test_who_continues_a_run_with_rows_checks_nothing(tmp_path, work, monkeypatch):
    evaluation().run(tmp_path)
    monkeypatch.setattr(store.Run, "count_parts", lambda self: 1)
    evaluation().run(tmp_path)
    assert len(work.checked) == 1
    evaluation().run(tmp_path, overwrite=True)
    assert len(work.checked) == 2


def test_a_process_that_joins_is_known_and_has_a_log_of_its_own(tmp_path, work):
    evaluation().run(tmp_path, join=True)
    (log,) = (tmp_path / "log").iterdir()
    assert log.name == f"process-{manifest(tmp_path)['finished_by']}.log" and work.owners == [1]


def test_a_process_that_joins_leaves_the_manifest_of_the_first(tmp_path, work):
    evaluation().run(tmp_path, join=True)
    manifest(tmp_path, date="then")
    work.does = [True]
    evaluation().run(tmp_path, join=True)
    assert manifest(tmp_path)["date"] == "then"
    work.does = [True]
    evaluation().run(tmp_path)
    assert manifest(tmp_path)["date"] != "then"


def test_a_manifest_has_settings_when_a_unit_has_begun(tmp_path, work, monkeypatch):
    """If they are lost, they are written again, although nothing is left to do."""
    work.does = []
    evaluation().run(tmp_path)
    assert "settings" not in manifest(tmp_path)
    monkeypatch.setattr(store.Run, "count_parts", lambda self: 1)
    evaluation().run(tmp_path)
    assert manifest(tmp_path)["settings"]["data"] == "arrays"
    evaluation().run(tmp_path / "joined", join=True)
    manifest(tmp_path / "joined", settings=None)
    evaluation().run(tmp_path / "joined", join=True)
    assert "settings" in manifest(tmp_path / "joined")


def test_claims_need_time_and_a_folder_that_all_know(tmp_path, work):
    for seconds in (0, -1):
        with pytest.raises(jaxadv.InputError, match="^claim_seconds is .* above 0"):
            evaluation().run(tmp_path, claim_seconds=seconds)
    with pytest.raises(jaxadv.InputError, match="^--join without --out"):
        evaluation().run(join=True)
    assert work.calls == 0
    evaluation().run(tmp_path, claim_seconds=0.5)
    assert work.calls == 1


def test_a_run_without_a_place_is_below_results(tmp_path, work, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = evaluation().run()
    assert run.directory.parent.name == "results" and (tmp_path / run.directory).is_dir()


@pytest.mark.parametrize(
    "begin",
    [
        lambda out: evaluation().run(out),
        lambda out: jaxadv.evaluate(
            [random_linear(0, 3, name="mine")],
            (inner_images(1, 4), np.array([0, 1, 2, 0])),
            SETTINGS,
            out=out,
        ),
    ],
)
def test_a_run_is_neither_replaced_nor_shared_nor_moved_unless_asked(
    tmp_path, work, monkeypatch, begin
):
    asked: list[dict[str, Any]] = []

    def stop(*given: Any, **more: Any):
        asked.append(more)
        raise Stop

    monkeypatch.setattr(store.Run, "begin", stop)
    with pytest.raises(Stop):
        begin(tmp_path)
    assert asked == [{"overwrite": False, "any_machine": False, "joins": False}]


def test_a_run_keeps_its_number_of_lanes(tmp_path, monkeypatch):
    known: list[Any] = []

    def choose(classifiers, asked, before) -> int:
        known.append(before)
        return 16

    monkeypatch.setattr(course.memory, "choose", choose)
    made = evaluation(lanes=None)
    for identity in ({"--lanes": 8}, [], {}):
        monkeypatch.setattr(store.Run, "manifest", lambda self, known=identity: {"identity": known})
        for overwrite in (False, True):
            job = made._with_lanes(made._loaded(), tmp_path, overwrite)
            assert job.settings.lanes == 16 and made.job.settings.lanes is None
    assert known == [8, None, None, None, None, None]


def test_a_plan_loads_nothing_unless_it_measures(tmp_path, monkeypatch):
    told: list[tuple[Any, ...]] = []

    def text(job, sizes, out, *, time="") -> str:
        told.append((job.settings.lanes, sizes, str(out), time))
        return "plan"

    monkeypatch.setattr(course.estimate, "text", text)
    monkeypatch.setattr(course.estimate, "measured", lambda job, networks, zoo: f"hours of {zoo}")
    monkeypatch.setattr(course.networks, "missing", lambda entries: ["no weights of x"])
    made = evaluation(lanes=None)
    assert made.estimate() == "missing: no weights of x\nplan"
    assert told == [(engine.DEFAULT_LANES, made.entries, "results", "")]
    evaluation(lanes=3).estimate(tmp_path)
    assert told[1][0] == 3 and told[1][2:] == (str(tmp_path), "")
    lanes = {"identity": {"--lanes": 5}}
    monkeypatch.setattr(store.Run, "manifest", lambda self: lanes)
    assert made.estimate(tmp_path, measure=True) == "missing: no weights of x\nplan"
    assert told[2][0] == 5 and told[2][2:] == (str(tmp_path), "hours of digits")
    assert isinstance(told[2][1]["mine"], jaxadv.Classifier)


def test_what_evaluate_is_given_of_the_zoo(monkeypatch):
    asked: list[Zoo] = []

    def stop(models, data, settings, *, zoo, ensembles):
        asked.append(zoo)
        raise Stop

    monkeypatch.setattr(Evaluation, "of", stop)
    for more in ({}, {"weights_dir": "there", "input_sizes": {"a": 8}, "pretrained": False}):
        with pytest.raises(Stop):
            jaxadv.evaluate(["a"], **more)
    assert asked == [Zoo(), Zoo("digits", "there", {"a": 8}, pretrained=False)]
    assert asked[0].pretrained and not asked[0].allow_missing


def test_pictures_that_were_left_out_are_counted_by_reason(monkeypatch):
    rows = pd.DataFrame(
        {
            "image_id": [1, 1, 2, 3],
            "reason": ["unreadable (a)", "unreadable (a)", "tiny (3 x 3)", "unreadable (b)"],
        }
    )
    said: list[str] = []
    monkeypatch.setattr(course.log, "warn", said.append)
    for some in (rows[:0], rows):
        run: Any = SimpleNamespace(read=lambda kind, some=some: some, directory=Path("out"))
        course._warn_of_dropped(run)
    assert said == ["3 pictures were left out (2 unreadable, 1 tiny): out/dropped"]
