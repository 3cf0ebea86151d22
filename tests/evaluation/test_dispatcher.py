"""When a process lists the parts of a run, and how many claims it judges; without a folder."""

from types import SimpleNamespace
from typing import Any

import pytest

from jaxadv.evaluation.dispatcher import Dispatcher, Taken
from jaxadv.evaluation.units import Unit
from jaxadv.store.claims import Claim

UNITS = [Unit("net", "attack", "fgsm", block) for block in range(40)]


class Beside:
    """A process with ``processes`` on a run. A list of the parts takes ``takes`` seconds."""

    def __init__(self):
        self.now, self.takes, self.processes = 100.0, 0.0, 1
        self.lists, self.judged = 0, 0
        self.done: list[Unit] = []
        self.released: list[str] = []
        self.dead: dict[str, int] = {}
        self.claimable: set[str] = set()
        self.board: Any = SimpleNamespace(
            see=lambda taken: None,
            drop_done=lambda is_done: None,
            taken=lambda: UNITS,
            generations={},
            next=lambda *_, **__: None,
            take=lambda unit: None,
            drop=self.done.append,
            free=lambda unit: None,
        )
        claims: Any = SimpleNamespace(
            look=lambda: ({}, self.processes),
            take=lambda part, _: Claim(part, 0, "") if part in self.claimable else None,
            take_over=self.take_over,
            release=lambda claim: self.released.append(claim.unit),
        )
        self.existing: set[Unit] = set()
        self.one = Dispatcher(
            self.board,
            claims,
            listed=self.listed,
            exists=self.existing.__contains__,
            clock=lambda: self.now,
        )

    def listed(self):
        self.lists += 1
        self.now += self.takes
        return lambda unit: False

    def take_over(self, part: str, _) -> Claim | None:
        self.judged += 1
        return Claim(part, 1, "") if part in self.dead else None

    def look_at(self, now: float) -> int:
        """How many lists a look makes."""
        self.now, before = now, self.lists
        self.one.look()
        return self.lists - before


@pytest.fixture
def beside() -> Beside:
    return Beside()


def test_alone_a_process_lists_once(beside):
    assert beside.one.processes == 1
    assert [beside.look_at(now) for now in (100, 200, 1e6)] == [1, 0, 0]


def test_lists_take_at_most_a_twentieth_of_the_time(beside):
    """And come a second apart if they take none. A process that was joined goes on with them."""
    beside.takes = 0.5
    assert beside.look_at(100.0) == 1  # until 100.5; the next from 110.5 on
    beside.processes = 2
    assert beside.look_at(110.25) == 0 and beside.one.processes == 2
    beside.takes = 0.0
    assert beside.look_at(110.5) == 1  # the next from 111.5 on
    beside.processes = 1
    assert beside.look_at(111.25) == 0 and beside.look_at(111.75) == 1
    assert beside.look_at(112.0) == 0
    beside.one.look_again()
    assert beside.look_at(112.0) == 1


def test_a_process_without_a_free_unit_judges_more_claims(beside):
    """Four as always, and then 32."""
    assert beside.one.take([]) is None and beside.judged == 4 + 32


def test_the_unit_of_a_dead_process_is_taken_over_unless_it_is_done(beside):
    for unit in UNITS[1:3]:
        beside.dead[unit.part] = 0
    beside.existing.add(UNITS[1])
    taken = beside.one.take([])
    assert taken == Taken(UNITS[2], Claim(UNITS[2].part, 1, ""))
    assert beside.done == [UNITS[1]] and beside.released == [UNITS[1].part]


def test_a_unit_that_somebody_claims_first_is_passed_by(beside):
    free = iter(UNITS[5:8])
    beside.board.next = lambda *_, **__: next(free, None)
    beside.claimable = {UNITS[6].part}
    taken = beside.one.take([])
    assert taken is not None and taken.unit == UNITS[6]
    following = iter(UNITS[10:13])
    beside.board.following = lambda *_: next(following, None)
    beside.claimable = {UNITS[11].part}
    taken = beside.one.follow(UNITS[6], lambda unit: True)
    assert taken is not None and taken.unit == UNITS[11]
    assert beside.one.follow(UNITS[11], lambda unit: True) is None
