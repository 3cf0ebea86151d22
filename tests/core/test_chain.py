"""Pieces of work that follow one another in the same lanes: the results of each alone, to the bit,
with fewer steps; interrupted, each piece continues by itself.
"""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
import recorded
from test_journal import ATTACKS, LANES, Killed

import jaxadv
from jaxadv.api import Piece, run_attacks, run_chain
from jaxadv.core.chain import _Journals
from jaxadv.core.journal import Journal

pytestmark = pytest.mark.usefixtures("strict_numerics")

SIZES = (3, 2, 3)
"""Attacks of each piece; together those of `ATTACKS`."""
STARTS = np.cumsum((0, *SIZES))


class Impatient(Journal):
    """Writes whenever it is asked. All journals together are killed after so many writings."""

    left = [0]

    def due(self, name=""):
        return True

    def write(self, *arguments):
        super().write(*arguments)
        self.left[0] -= 1
        if not self.left[0]:
            raise Killed


def piece(name: str, number: int, **more) -> Piece:
    known = recorded.net("tiny")
    rows = slice(STARTS[number], STARTS[number + 1])
    images = known.images[:8][rows]
    classes = known.targets["random"][:8][rows]
    targeted = np.full(len(images), True)
    attacks = ATTACKS[name][rows]
    if name == "two kinds":  # every piece has attacks of both
        attacks = [ATTACKS[name][0], *[ATTACKS[name][-1]] * (len(images) - 1)]
    return Piece(attacks, images, classes, targeted, **more)


def alone(name: str, number: int):
    one = piece(name, number)
    classifier = recorded.net("tiny").classifier
    return run_attacks(classifier, one.attacks, *one[1:4], lanes=LANES)


def chained(name: str, numbers, journals=None) -> dict:
    """The results of some pieces in one queue. Keys: their numbers."""
    pieces = [
        piece(name, number, journal=None if journals is None else journals[number])
        for number in numbers
    ]
    waiting = iter(pieces[1:])
    found = run_chain(
        recorded.net("tiny").classifier, pieces[0], lanes=LANES, more=lambda: next(waiting, None)
    )
    return {numbers[place]: result for place, result in found}


def same(results: dict, name: str) -> None:
    for number, result in results.items():
        jax.tree.map(np.testing.assert_array_equal, result, alone(name, number))


@pytest.mark.few("cw")
@pytest.mark.parametrize("name", ["ifgsm_search", "cw", "ead"])
def test_results_are_those_of_each_piece_alone(name):
    results = chained(name, [0, 1, 2])
    assert sorted(results) == [0, 1, 2]
    same(results, name)


def test_attacks_of_several_structures_take_no_further_piece():
    results = chained("two kinds", [0, 1, 2])
    assert list(results) == [0]
    same(results, "two kinds")


def test_lanes_idle_only_at_the_end(monkeypatch):
    """Pieces of 3, 2 and 3 attacks in 3 lanes take the steps of 8 attacks in one piece."""
    oracle = recorded.net("tiny").classifier.oracle
    asked: list[int] = []
    ask = oracle.ask
    monkeypatch.setattr(oracle, "ask", lambda *question: asked.append(1) or ask(*question))

    def count(work) -> int:
        asked.clear()
        work()
        return len(asked)

    together = count(lambda: chained("cw", [0, 1, 2]))
    apart = count(lambda: [alone("cw", number) for number in range(3)])
    whole = count(
        lambda: run_attacks(
            recorded.net("tiny").classifier,
            ATTACKS["cw"],
            recorded.net("tiny").images[:8],
            recorded.net("tiny").targets["random"][:8],
            np.full(8, True),
            lanes=LANES,
        )
    )
    assert together == whole < apart


@pytest.mark.few("ifgsm_search")
@pytest.mark.parametrize("name", ["ifgsm_search", "cw", "ead"])
def test_each_piece_continues_by_itself(tmp_path, name):
    """Killed in the middle again and again; then another process does one of the pieces."""
    left = [0, 1, 2]
    kills = 0
    while left:
        Impatient.left = [40]
        writer = f"{kills}-process"
        journals = {
            number: Impatient(tmp_path, f"piece{number}", seconds=0, writer=writer)
            for number in left
        }
        # Only a first piece may have been begun before.
        first = left[kills % len(left)]
        begun = {path.name.partition("@")[0] for path in tmp_path.iterdir()}
        fresh = [one for one in left if one != first and f"piece{one}" not in begun]
        try:
            for number, result in chained(name, [first, *fresh], journals).items():
                same({number: result}, name)
                journals[number].remove()
                left.remove(number)
        except Killed:
            kills += 1
    assert kills
    assert list(tmp_path.iterdir()) == []


def test_what_a_piece_has_done_is_not_done_again(tmp_path, monkeypatch):
    """All attacks of the first piece are in its journal: its result comes without evaluations."""
    Impatient.left = [10**6]
    journals = {number: Impatient(tmp_path, f"piece{number}", seconds=0) for number in (0, 1)}
    chained("cw", [0, 1], journals)
    for journal in journals.values():
        journal.write()
    oracle = recorded.net("tiny").classifier.oracle
    monkeypatch.setattr(oracle, "ask", None)
    again = chained("cw", [0], {0: Journal(tmp_path, "piece0", seconds=9, writer="1-heir")})
    monkeypatch.undo()
    same(again, "cw")


def test_a_piece_without_attacks_has_a_result():
    none = piece("cw", 0)._replace(
        attacks=[],
        images=np.zeros((0, *recorded.net("tiny").images.shape[1:]), np.float32),
        classes=np.zeros(0, np.int32),
        targeted=np.zeros(0, bool),
    )
    ((number, result),) = run_chain(recorded.net("tiny").classifier, none, lanes=LANES)
    assert number == 0 and len(result.success) == 0


def test_lanes_that_were_idle_begin_at_age_zero():
    """A piece that comes late, to lanes that have idled: its attacks are not cut short."""
    attacks = [jaxadv.ElasticNetL1(steps=30, search_steps=1, abort_early=False)] * 3
    pieces = [piece("ead", number) for number in (1, 0)]
    first, late = (one._replace(attacks=attacks[: len(one.attacks)]) for one in pieces)
    answers = iter([None] * 1 + [late])  # not now; then when the first attacks have ended
    classifier = recorded.net("tiny").classifier
    found = dict(run_chain(classifier, first, lanes=LANES, more=lambda: next(answers, None)))
    assert len(found) == 2
    assert {tuple(result.gradients) for result in found.values()} == {(30,) * 2, (30,) * 3}


def test_a_journal_gets_the_lanes_of_its_own_piece():
    """Of three pieces the third waits, so its journal holds outcomes alone."""
    written: list[list] = [[], [], []]

    def begun(place: int, start: int, end: int):
        journal = SimpleNamespace(
            write=lambda *given: written[place].append(given), took=lambda _: None
        )
        return SimpleNamespace(start=start, end=end, left=1, piece=SimpleNamespace(journal=journal))

    pieces = [begun(0, 0, 2), begun(1, 2, 5), begun(2, 5, 6)]
    journals = _Journals(SimpleNamespace(begun=pieces))  # type: ignore[arg-type]
    lanes = {"holds": np.array([3, 1, -1, 0, 2]), "phase": np.array(7), "leaf0": np.arange(5) * 10}
    journals.write("lanes", lanes)
    (first,), (second,), (third,) = written
    assert first[0] == second[0] == "lanes" and third == ("lanes",)
    assert {name: leaf.tolist() for name, leaf in first[1].items()} == {
        "holds": [1, 0],
        "phase": 7,
        "leaf0": [10, 30],
    }
    assert {name: leaf.tolist() for name, leaf in second[1].items()} == {
        "holds": [1, 0],
        "phase": 7,
        "leaf0": [0, 40],
    }
    journals.write("lanes")
    assert all(calls[-1] == ("lanes",) for calls in written)
