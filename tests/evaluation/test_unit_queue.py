"""Units of one attack follow one another in the lanes; blocks of images are shared."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jaxadv.evaluation import units, work
from jaxadv.evaluation.units import Unit
from jaxadv.evaluation.work import NO_BLOCK, Ticket, Work, _Open

UNITS = [Unit("net", "attack", "fgsm", block) for block in range(3)]


def a_work(monkeypatch) -> Any:
    """Units of two images; two blocks of them, four images, may be in the lanes."""
    nothing: Any = None
    job: Any = SimpleNamespace(settings=SimpleNamespace(lanes=1, seed=0, block_images=2))
    monkeypatch.setattr(units, "size", lambda *_: 2)
    return Work(nothing, job, nothing, nothing, nothing)


def ticket(unit: Unit) -> Ticket:
    return Ticket(unit, "me", lambda: None)


class Bar:
    is_open = True

    def __exit__(self, *_) -> None:
        self.is_open = False


def opening(made: Any, opened: list[_Open], removed: list[int]) -> None:
    """Units are opened without attacks, and finished in half a second."""
    block = NO_BLOCK._replace(ids=np.zeros(2))

    def opens(_, block, given):
        journal: Any = SimpleNamespace(remove=lambda: removed.append(given.unit.block))
        bar: Any = Bar()
        opened.append(_Open(given, block, [], journal, bar))
        return opened[-1], given.unit.block

    made._images_of = lambda *_: block
    made._opened = opens
    made._finish = lambda *_: ("rows", 0.5)


def test_units_follow_while_there_is_room_and_end_with_the_last(monkeypatch):
    made = a_work(monkeypatch)
    opened: list[_Open] = []
    removed: list[int] = []
    opening(made, opened, removed)
    done: list[tuple] = []
    made.progress = SimpleNamespace(done=lambda *given: done.append(given))
    following = iter([*UNITS[1:], None])

    def follow(unit: Unit) -> Ticket | None:
        assert unit == UNITS[0]
        found = next(following)
        return None if found is None else ticket(found)

    def chain(_, first, *, lanes, seed, more, is_over):
        assert first == 0 and not is_over()
        assert more() == 1 and not is_over()
        assert more() is None and not is_over()  # the lanes are full, and a unit is left
        yield 0, "result"
        assert more() == 2 and not is_over()
        yield 1, "result"
        assert more() is None and is_over()
        yield 2, "result"

    monkeypatch.setattr(work, "run_chain", chain)
    times = iter([0.0, 5.0, 100.0, 107.0, 200.0, 203.0, 300.0])
    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: next(times)))
    net: Any = "network"
    ended = list(made._attack(net, ticket(UNITS[0]), follow))
    assert [one.ticket.unit for one in ended] == UNITS and removed == [0, 1, 2]
    assert done == [("net", "fgsm", 5.5), ("net", "fgsm", 7.5), ("net", "fgsm", 3.5)]
    assert all(one.rows == "rows" for one in ended)
    assert not any(one.bar.is_open for one in opened)


def test_after_an_error_no_progress_line_stays_open(monkeypatch):
    made = a_work(monkeypatch)
    opened: list[_Open] = []
    opening(made, opened, [])

    def chain(*_, **__):
        raise ValueError("broken")
        yield

    monkeypatch.setattr(work, "run_chain", chain)
    net: Any = "network"
    with pytest.raises(ValueError, match="broken"):
        list(made._attack(net, ticket(UNITS[0]), lambda unit: None))
    assert len(opened) == 1 and not opened[0].bar.is_open


def test_units_with_the_same_images_read_them_once(monkeypatch):
    made = a_work(monkeypatch)
    read: list[int] = []

    def block(job, unit):
        read.append(unit.block)
        empty = np.full(2, unit.block)
        return units.Attackable(empty, empty, None, np.full(2, ""))

    made.attackable = lambda name: SimpleNamespace(block=block)
    made.job.pictures = lambda size: SimpleNamespace(take=lambda ids, digests: ids)
    monkeypatch.setattr(units, "shown_to", lambda *_: ["other"])
    net: Any = SimpleNamespace(input_size=8, logits_in_batches=lambda images, lanes: images)
    for attack, number in (("fgsm", 0), ("cw", 0), ("fgsm", 1), ("cw", 1), ("cw", 0)):
        found = made._images_of(net, Unit("net", "attack", attack, number))
        assert found.ids.tolist() == [number, number] and found.others == ["other"]
    assert read == [0, 1, 0]
    made._images_of(net, Unit("net", "clever", "clever", 0))  # scores may have fewer images
    assert read == [0, 1, 0, 0]


def test_each_stage_has_its_programs_and_its_work(monkeypatch):
    """Classifications wait for logits alone."""
    made = a_work(monkeypatch)
    done: list[tuple] = []
    made.progress = SimpleNamespace(done=lambda *given: done.append(given))

    class Networks:
        def __getitem__(self, name: str) -> str:
            return f"{name} with gradients"

        def logits(self, name: str) -> str:
            return f"{name} with logits"

    made.classifiers = Networks()
    calls: list[tuple] = []
    made._images_of = lambda *_: "block"
    made._classify = lambda net, _: calls.append(("classify", net)) or 1.0
    made._score = lambda net, block, _: calls.append(("score", net)) or 2.0
    made._attack = lambda net, *_: iter([calls.append(("attack", net))])
    for stage, what in (("clean", ""), ("clever", "clever"), ("attack", "fgsm")):
        list(made.do(ticket(Unit("net", stage, what, 0)), lambda unit: None))
    assert calls == [
        ("classify", "net with logits"),
        ("score", "net with gradients"),
        ("attack", "net with gradients"),
    ]
    assert done == [("net", "classification", 1.0), ("net", "clever", 2.0)]
