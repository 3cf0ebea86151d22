"""What a process does around its units: it begins once, compiles ahead, waits, and forgets images."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import jaxadv
from jaxadv.core.classifier import PROGRAMS
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import plan, scheduler
from jaxadv.evaluation.cancel import Cancel
from jaxadv.evaluation.compiled import LOGITS
from jaxadv.evaluation.costs import Costs
from jaxadv.evaluation.scheduler import Scheduler
from jaxadv.evaluation.settings import Settings
from jaxadv.evaluation.units import Unit
from jaxadv.store.claims import Claims
from jaxadv.store.run import Run
from jaxadv.support.files import Damaged

NAMES = ["a", "b", "c"]


@pytest.fixture
def job() -> plan.Job:
    source = from_arrays(np.zeros((8, 8, 8, 3), np.uint8), np.arange(8) % 4)
    settings = Settings(
        attacks=(jaxadv.FGSM(eps=0.1),),
        targets=("random",),
        parts=("attacks", "transfer"),
        block_images=4,
        lanes=4,
        at_once=2,
        progress=False,
    )
    return plan.job(settings, NAMES, {}, source)


class Process:
    """A process at work on a folder. It notes what it compiles, and how often it begins."""

    def __init__(self, job: plan.Job, directory, owner: str = "me"):
        self.compiled: list[tuple[list[str], Any]] = []
        self.begun: list[None] = []
        self.claims = Claims(directory, owner=owner)
        self.claims.open()
        compiled: Any = SimpleNamespace(ahead=lambda *given: self.compiled.append(given))
        self.scheduler = Scheduler(
            Run(directory),
            job,
            self.claims,
            compiled,
            Costs(job, {}),
            joins=True,
            begin=lambda: self.begun.append(None),
        )


def test_a_run_begins_once(job, tmp_path):
    one = Process(job, tmp_path)
    one.scheduler._sit(0, Unit("a", "clean", "", 0))
    one.scheduler._sit(1, Unit("b", "clean", "", 0))
    assert one.begun == [None] and not one.compiled


def test_networks_are_ready_for_a_seat_in_the_order_of_their_last_use(job, tmp_path):
    one = Process(job, tmp_path).scheduler
    for name in ("a", "b", "a", "c"):
        one._sit(0, Unit(name, "attack", "fgsm", 0))
    assert one._seats == {0: ["c", "a", "b"]}


def test_alone_everything_is_compiled_in_the_order_of_need(job, tmp_path):
    one = Process(job, tmp_path)
    one.scheduler._compile_ahead()
    shown = ["b", "c", "a", "c", "a", "b"]
    assert one.compiled == [(["a", "b"], PROGRAMS), (shown, LOGITS), (["c"], PROGRAMS)]


@pytest.mark.parametrize("others", [0, 1])
def test_only_who_is_alone_compiles_everything_ahead(job, tmp_path, monkeypatch, others):
    one = Process(job, tmp_path)
    beside = [Process(job, tmp_path, f"other{number}") for number in range(others)]
    monkeypatch.setattr(one.scheduler, "_seat", lambda *_: None)
    assert not one.scheduler.work() and len(beside) == others
    assert bool(one.compiled) is (others == 0)


def test_beside_others_a_unit_gets_what_it_needs(job, tmp_path):
    one, other = Process(job, tmp_path), Process(job, tmp_path, "other")
    one.scheduler._look()
    assert one.scheduler._dispatcher.processes == 2 and other is not one
    one.scheduler._sit(0, Unit("a", "clean", "", 0))
    assert one.compiled == [(["a"], LOGITS)]
    one.scheduler._sit(0, Unit("a", "attack", "fgsm", 0))
    assert one.compiled[1:] == [(["a"], PROGRAMS), (["b", "c"], LOGITS)]


def test_a_process_waits_for_the_units_of_others_and_says_so(job, tmp_path, monkeypatch):
    """Once after the first pause, and again after a longer one."""
    monkeypatch.setattr(scheduler, "PAUSE", 0.01)
    monkeypatch.setattr(scheduler, "WARN_AFTER", 0.05)
    monkeypatch.setattr(scheduler, "WARN_EVERY", 1000.0)
    said: list[str] = []
    monkeypatch.setattr(scheduler.log, "warn", said.append)
    one, other = Process(job, tmp_path), Process(job, tmp_path, "other")
    taken = [other.claims.take(f"{name}-0000") for name in NAMES]
    assert all(taken)
    found: list[Any] = []
    whole: Any = SimpleNamespace(plan=lambda *_: None)
    thread = threading.Thread(
        target=lambda: found.append(one.scheduler._next(0, whole, Cancel())), daemon=True
    )
    thread.start()
    thread.join(1.0)
    assert not found and said == ["waiting for 3 units of other processes, for 0 s"]
    other.claims.release(taken[1])
    thread.join(20)
    assert found[0].unit == Unit("b", "clean", "", 0) and len(said) == 1


def test_costs_are_measured_from_what_others_have_done(job, tmp_path, monkeypatch):
    """One unit of each network and attack is read. A damaged one is left to who makes it again."""
    one = Process(job, tmp_path).scheduler
    rows = pd.DataFrame({"gradients": [10, 20], "forwards": [4, 6]})
    read: list[str] = []

    def examples(kind: str, columns: list[str], *, part: str) -> pd.DataFrame:
        assert kind == "examples" and columns == ["gradients", "forwards"]
        read.append(part)
        if part == "a-cw-0000":
            raise Damaged("a-cw-0000 is damaged")
        return rows

    monkeypatch.setattr(one._run, "read", examples)
    some = [("clean", "", 0), ("attack", "cw", 0), ("attack", "cw", 1), ("attack", "cw", 2)]
    monkeypatch.setattr(one._dispatcher, "look", lambda: [Unit("a", *each) for each in some])
    one._look()
    assert read == ["a-cw-0000", "a-cw-0001"]
    assert one._costs.knows("a", "cw") and one._costs._measured("a", "cw") == (15, 5)


def test_images_of_the_latest_networks_are_kept(job, tmp_path, monkeypatch):
    one = Process(job, tmp_path).scheduler
    read: list[str] = []
    monkeypatch.setattr(one, "_read_attackable", lambda name: read.append(name) or name)
    for name in "abcabdcb":
        assert one._attackable(name) == name
    assert "".join(read) == "abcdc" and list(one._kept) == ["d", "c", "b"]


def test_after_an_error_the_other_seats_end():
    cancel = Cancel()
    began, ended = threading.Event(), threading.Event()

    def fails() -> None:
        assert began.wait(20)
        raise ValueError("broken")

    def waits() -> None:
        began.set()
        try:
            while True:
                cancel.check()
        finally:
            ended.set()

    with pytest.raises(ValueError, match="broken"):
        scheduler._at_once([fails, waits], cancel)
    assert ended.is_set()
