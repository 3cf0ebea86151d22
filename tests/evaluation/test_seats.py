"""What a process does with the units that it takes, one seat after the other; without networks."""

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import plan, scheduler, units
from jaxadv.evaluation.cancel import Cancel
from jaxadv.evaluation.costs import Costs, Gigaflops
from jaxadv.evaluation.dispatcher import Taken
from jaxadv.evaluation.scheduler import Scheduler
from jaxadv.evaluation.settings import Settings
from jaxadv.evaluation.units import Unit
from jaxadv.evaluation.work import Done, Lost
from jaxadv.store.claims import Claim, Claims
from jaxadv.store.run import Run

NAMES = ["a", "b", "c"]
COSTS = {name: Gigaflops(2 * cost, cost) for name, cost in zip(NAMES, (1, 5, 3), strict=True)}
CLEAN = [Unit(name, "clean", "", 0) for name in NAMES]


def a_job(**settings: Any) -> plan.Job:
    source = from_arrays(np.zeros((8, 8, 8, 3), np.uint8), np.arange(8) % 4)
    given = {
        "attacks": (jaxadv.FGSM(eps=0.1),),
        "targets": ("random",),
        "parts": ("attacks",),
        "block_images": 4,
        "lanes": 4,
        "progress": False,
    }
    return plan.job(Settings(**given | settings), NAMES, {}, source)


def a_scheduler(directory, *, joins: bool = True, **settings: Any) -> Any:
    job = a_job(**settings)
    claims = Claims(directory, owner="me")
    claims.open()
    nothing: Any = None
    return Scheduler(
        Run(directory),
        job,
        claims,
        nothing,
        Costs(job, COSTS),
        joins=joins,
        begin=lambda: None,
    )


@pytest.mark.parametrize(("backend", "expected"), [("cpu", 2), ("gpu", 1)])
def test_two_networks_are_at_work_on_a_cpu_and_one_elsewhere(
    tmp_path, monkeypatch, backend, expected
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert a_scheduler(tmp_path)._at_once == expected
    assert a_scheduler(tmp_path, at_once=3)._at_once == 3


@pytest.mark.parametrize(("at_once", "order"), [(1, "abc"), (2, "bca")])
def test_of_several_networks_at_once_the_longest_comes_first(tmp_path, at_once, order):
    made = a_scheduler(tmp_path, at_once=at_once)
    assert "".join(made._board._left) == order


@pytest.mark.parametrize("joins", [False, True])
def test_only_where_nobody_else_is_at_work_every_part_is_read_first(tmp_path, monkeypatch, joins):
    made = a_scheduler(tmp_path, joins=joins)
    read: list[None] = []
    monkeypatch.setattr(made, "_look", lambda: None)
    monkeypatch.setattr(made, "is_sound", lambda: read.append(None))
    monkeypatch.setattr(made._board, "is_empty", lambda: True)
    assert made.work() is False and len(read) == (not joins)


def test_a_part_is_read_once_and_again_when_it_was_damaged(tmp_path, monkeypatch):
    """Units of a network that is not known yet are not read. Damaged ones are left again."""
    made = a_scheduler(tmp_path)
    read: list[Unit] = []
    damaged = {Unit("a", "attack", "fgsm", 1)}
    monkeypatch.setattr(
        units, "is_done", lambda run, job, unit: read.append(unit) or unit not in damaged
    )
    made._board.know("a", 8)
    every = [CLEAN[0], *(Unit("a", "attack", "fgsm", block) for block in range(2))]
    for unit in list(made._board.left):
        made._board.drop(unit)
    assert not made.is_sound() and read == every and made._board.left == list(damaged)
    damaged.clear()
    assert made.is_sound() and read == [*every, every[-1]]
    assert made.is_sound() and len(read) == 4


@pytest.mark.parametrize("selection", ["first", "common"])
def test_attempts_are_known_when_their_images_are(tmp_path, monkeypatch, selection):
    """Images that are common to all networks are known when all are classified."""
    made = a_scheduler(tmp_path)
    made._job.settings.__dict__["selection"] = selection
    monkeypatch.setattr(units, "is_done", lambda run, job, unit: unit != CLEAN[1])
    monkeypatch.setattr(made, "_attackable", lambda name: SimpleNamespace(ids=np.arange(8)))
    looks: list[None] = []
    monkeypatch.setattr(made._dispatcher, "look", lambda: looks.append(None) or [])

    def known() -> list[str]:
        return [name for name in NAMES if made._board.is_known(name)]

    made._look()
    assert known() == [] and len(looks) == 1
    for unit in CLEAN[:2]:
        made._board.drop(unit)
    made._look()  # the classification of b is damaged
    assert known() == ([] if selection == "common" else ["a"])
    assert len(looks) == (2 if selection == "common" else 3)
    assert made._board.is_classified("b") is (selection == "common")
    made._board.drop(CLEAN[1])
    made._board.drop(CLEAN[2])
    monkeypatch.setattr(units, "is_done", lambda *_: True)
    made._look()
    assert known() == NAMES


@pytest.mark.parametrize("selection", ["first", "common"])
def test_common_images_are_found_once(tmp_path, monkeypatch, selection):
    made = a_scheduler(tmp_path)
    made._job.settings.__dict__["selection"] = selection
    found: list[str] = []
    monkeypatch.setattr(units, "common", lambda *_: found.append("common") or "common")
    monkeypatch.setattr(units, "attackable", lambda run, job, name, shared: (name, shared))
    shared = "common" if selection == "common" else None
    assert [made._read_attackable(name) for name in "ab"] == [("a", shared), ("b", shared)]
    assert len(found) == (selection == "common")


def test_only_units_without_a_journal_follow(tmp_path):
    made = a_scheduler(tmp_path)
    made._run.unfinished.mkdir(parents=True)
    (made._run.unfinished / "a-fgsm-0000@0-somebody").touch()
    (made._run.unfinished / "a-fgsm-0001.tmp").touch()
    is_fresh = made._fresh()
    first, second = (Unit("a", "attack", "fgsm", block) for block in range(2))
    assert not is_fresh(first) and is_fresh(second)


def taken(unit: Unit) -> Taken:
    return Taken(unit, Claim(unit.part, 0, "writer"))


class Seat:
    """A seat with stand-ins for what lies around it."""

    def __init__(self, made: Any, monkeypatch):
        self.done: list[Unit] = []
        self.lost: list[Unit] = []
        self.removed: list[str] = []
        self.learnt: list[tuple] = []
        self.following: list[Taken] = []
        self.is_lost = False
        made._look = lambda: None
        made._fresh = lambda: None
        made._dispatcher = SimpleNamespace(
            follow=lambda *_: self.following.pop(0) if self.following else None,
            done=lambda one: self.done.append(one.unit),
            lost=lambda one: self.lost.append(one.unit),
        )
        made._costs = SimpleNamespace(learn=lambda *given: self.learnt.append(given))
        made._claims = SimpleNamespace(is_lost=lambda claim: self.is_lost)
        made._run = SimpleNamespace(remove_journals=self.removed.append)
        firsts = iter([taken(CLEAN[0])])
        made._next = lambda *_: next(firsts, None)
        monkeypatch.setattr(scheduler, "Work", lambda *_: SimpleNamespace(do=self.do))
        monkeypatch.setattr(units, "exists", lambda run, job, unit: unit == CLEAN[0])

    def do(self, ticket, follow):
        raise NotImplementedError


def test_a_seat_ends_its_units_and_learns_from_their_rows(tmp_path, monkeypatch):
    made = a_scheduler(tmp_path)
    seat = Seat(made, monkeypatch)
    seat.following = [taken(CLEAN[1])]
    rows = pd.DataFrame({"gradients": [1]})

    def do(ticket, follow):
        assert ticket.unit == CLEAN[0] and ticket.writer == "writer"
        ticket.check()
        following = follow(ticket.unit)
        assert following.unit == CLEAN[1] and follow(ticket.unit) is None
        yield Done(ticket, rows)
        yield Done(following, None)

    seat.do = do
    made._seat(0, None, Cancel())
    assert seat.done == CLEAN[:2] and not seat.lost
    assert seat.learnt == [("a", "", rows)]
    assert made._sure == {CLEAN[0].part, CLEAN[1].part}


def test_units_that_were_lost_leave_journals_only_if_nobody_has_done_them(tmp_path, monkeypatch):
    made = a_scheduler(tmp_path)
    seat = Seat(made, monkeypatch)
    seat.following = [taken(CLEAN[1])]

    def do(ticket, follow):
        follow(ticket.unit)
        seat.is_lost = True
        with pytest.raises(Lost):
            ticket.check()
        raise Lost
        yield

    seat.do = do
    made._seat(0, None, Cancel())
    assert seat.lost == CLEAN[:2] and not seat.done
    assert seat.removed == [CLEAN[0].part]


class Waiting:
    """A seat that looks for a unit ``count`` times in vain; each wait takes 50 seconds."""

    def __init__(self, made: Any, monkeypatch, count: int, processes: int):
        self.now = 10.0
        self.pauses: list[float] = []
        self.said: list[str] = []
        self.asked: list[tuple] = []
        answers = iter([None] * count + [taken(CLEAN[0])])

        def take(*given):
            self.asked.append(given)
            return next(answers)

        made._look = lambda: None
        made._sit = lambda *_: None
        made._dispatcher = SimpleNamespace(take=take, processes=processes)
        made._changed = self
        monkeypatch.setattr(scheduler, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(scheduler.log, "warn", self.said.append)

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait(self, pause: float) -> None:
        self.pauses.append(pause)
        self.now += 50


@pytest.mark.parametrize("processes", [1, 2])
def test_a_wait_is_told_after_a_minute_and_then_every_ten(tmp_path, monkeypatch, processes):
    """Only where others may have the units. Pauses grow by a fifth, up to two seconds."""
    made = a_scheduler(tmp_path)
    waiting = Waiting(made, monkeypatch, count=20, processes=processes)
    planned: dict[str, Any] = {}
    whole: Any = SimpleNamespace(plan=planned.__setitem__)
    made._seats = {0: ["b", "a"], 1: ["c", "a"]}
    found = made._next(0, whole, Cancel())
    assert found.unit == CLEAN[0] and set(planned) == set(NAMES)
    assert waiting.asked == [(["b", "a"], ["c"])] * 21
    told = ["waiting for 3 units of other processes, for 100 s"]
    told += ["waiting for 3 units of other processes, for 750 s"]
    assert waiting.said == (told if processes == 2 else [])
    assert waiting.pauses[:3] == pytest.approx([0.1, 0.12, 0.144]) and waiting.pauses[-1] == 2


def test_a_seat_ends_when_every_unit_is_done(tmp_path, monkeypatch):
    made = a_scheduler(tmp_path)
    waiting = Waiting(made, monkeypatch, count=0, processes=1)
    monkeypatch.setattr(made._board, "is_empty", lambda: True)
    whole: Any = SimpleNamespace(plan=lambda *_: None)
    assert made._next(0, whole, Cancel()) is None and not waiting.asked
