"""Who ends a run, and who waits for that."""

import threading
from types import SimpleNamespace

import pytest

from jaxadv.evaluation import hosts
from jaxadv.store import run as store
from jaxadv.store.claims import Claims

PARTS = ("attacks", "report")


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two processes; the first is at the end, and the second waits."""
    monkeypatch.setattr(hosts, "PAUSE", 0.01)
    first, second = (Claims(tmp_path, owner=name) for name in ("first", "second"))
    for one in (first, second):
        one.open()
    return first, second


def waits(tmp_path, claims: Claims) -> tuple[threading.Thread, list[bool]]:
    answers: list[bool] = []
    run = store.Run(tmp_path)
    thread = threading.Thread(
        target=lambda: answers.append(hosts.wait_for_end(run, claims, PARTS)), daemon=True
    )
    thread.start()
    return thread, answers


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (["attacks", "report", "transfer"], True),
        (["report", "attacks"], True),
        (["attacks"], False),
    ],
)
def test_whoever_waits_hears_whether_the_run_has_ended(tmp_path, monkeypatch, two, ended, expected):
    first, second = two
    end = hosts.ends(first)
    assert end is not None and hosts.ends(second) is None
    thread, answers = waits(tmp_path, second)
    thread.join(0.2)
    assert not answers
    monkeypatch.setattr(store.Run, "manifest", lambda self: {"finished_parts": ended})
    first.release(end)
    thread.join(10)
    assert answers == [expected]


def test_the_end_of_a_process_that_is_silent_has_an_heir(tmp_path, two):
    first, second = two
    assert hosts.ends(first) is not None
    second.seconds = 0.3
    thread, answers = waits(tmp_path, second)
    thread.join(20)
    assert answers == [False] and hosts.END not in second.taken()


def test_a_wait_looks_ever_less_often_and_says_so_from_time_to_time(monkeypatch):
    """After 30 s and then every 600 s, whatever the pace of the looks, which is 0.5 s in the end."""
    now, pauses, said = [1000.0], [], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(hosts, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(hosts, "LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(hosts.log, "warn", lambda line: said.append((now[0] - 1000, line)))
    hosts.wait(lambda: now[0] > 2300, "them")
    assert pauses[:3] == pytest.approx([0.1, 0.12, 0.144]) and max(pauses) == 0.5
    assert [round(at) // 600 for at, _ in said] == [0, 1, 2]
    for (at, line), expected in zip(said, (30, 630, 1230), strict=True):
        assert expected < at < expected + 1.6
        assert line == f"waiting for them, for {at:.0f} s so far"
    hosts.wait(lambda: True, "nothing")
    assert len(said) == 3
