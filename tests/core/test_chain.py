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
from jaxadv.core import chain as chain_module
from jaxadv.core.chain import _Begun, _Chain, _Journals
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
    written[0].clear()
    pieces[0].left = 0  # it has ended
    pieces[1].piece.journal = None
    journals.write("lanes")
    assert not written[0] and len(written[1]) == 2 and len(written[2]) == 3


def test_journals_of_pieces_number_their_attacks_from_0(monkeypatch):
    """They are all told how long the writing took."""
    added: list[list] = [[], []]
    took: list[float] = []
    now = [100.0]
    monkeypatch.setattr(chain_module.time, "monotonic", lambda: now[0])

    def write(name):
        now[0] += 3

    def begun(place: int, start: int):
        journal = SimpleNamespace(
            outcomes=lambda: {0: f"first of {place}", 1: f"second of {place}"},
            add=lambda *given: added[place].append(given),
            lanes=lambda name: f"{name} of {place}",
            due=lambda name: place == 1,
            write=write,
            took=took.append,
        )
        piece = SimpleNamespace(journal=journal)
        return SimpleNamespace(start=start, end=start + 2, left=1, piece=piece)

    pieces = [begun(0, 0), begun(1, 2)]
    journals = _Journals(SimpleNamespace(begun=pieces, of=lambda number: pieces[number >= 2]))
    assert journals.outcomes() == {
        0: "first of 0",
        1: "second of 0",
        2: "first of 1",
        3: "second of 1",
    }
    journals.add(1, "b")
    journals.add(3, "d")
    assert added == [[(1, "b")], [(1, "d")]]
    assert journals.lanes("a") == "a of 0" and journals.due("a")
    journals.write("a")
    assert took == [6, 6]


class Judge:
    """Says which attacks it was given, and looks at none on a device unless it is told to."""

    def __init__(self, *_, look=None):
        self.look = look
        self.added: list[tuple] = []

    def add(self, number, outcome, *, searches, invalid, zero_gradient):
        self.added.append((number, outcome.image, searches, invalid, zero_gradient))

    def result(self):
        return self.added

    def close(self):
        pass


def test_attacks_are_looked_at_by_the_judges_of_their_pieces():
    looked: list[list] = [[], [], []]
    judges = [
        Judge(look=lambda *given, place=place: looked[place].append(given)) for place in range(2)
    ]
    chain = _Chain(None, 2, 0)
    for judge, start, count in ((judges[0], 0, 3), (Judge(), 3, 1), (judges[1], 4, 2)):
        attacks: list = [None] * count
        chain.begun.append(_Begun(Piece(attacks, *[np.zeros(0)] * 3), start, judge))
        chain._starts.append(start)
        chain.items += range(start, start + count)
    assert chain.looks and chain.journal is None
    chain.look("there", [5, 0, 3, 2], [1, 4, 6, 7], "items", "outcomes")
    assert looked[0] == [("there", [0, 2], [4, 7], "items", "outcomes")]
    assert looked[1] == [("there", [1], [1], "items", "outcomes")]
    chain.note(5, SimpleNamespace(invalid=True, sloped=True), asks_gradients=True)
    assert chain.begun[2].watch.invalid.tolist() == [False, True]
    chain.result(chain.begun[1])
    chain.result(chain.begun[2])
    assert chain.items == [0, 1, 2, None, None, None]
    chain.look("there", [4], [0], "items", "outcomes")
    assert len(looked[1]) == 1  # its judge is gone
    assert chain.begun[2].piece.images.size == 0 and chain.begun[2].end == 6
    chain.begun[0].judge.look = None
    assert not chain.looks


@pytest.fixture
def played(monkeypatch):
    """Runs a chain whose attacks succeed as soon as they wait. Returns results and what the engine
    was given.
    """
    given = {}

    def engine_run(clf, probes, items, **rest):
        given.update(rest)
        index = 0
        while index < len(items) or (rest["more"] and rest["more"]()):
            rest["watch"].note(
                index, SimpleNamespace(invalid=index == 1, sloped=index != 2), asks_gradients=True
            )
            yield index, SimpleNamespace(image=items[index], found=np.bool_(index != 1))
            index += 1

    def items_of(clf, attacks, images, *rest, seed, **_):
        given["seed"] = seed
        return list(images)

    monkeypatch.setattr(chain_module.engine, "run", engine_run)
    monkeypatch.setattr(chain_module, "items_of", items_of)
    monkeypatch.setattr(chain_module, "Judge", Judge)
    return lambda first, **more: (
        dict(chain_module.run(None, first, lanes=2, **more)),
        given,
    )


def played_piece(searches: bool, *images: str, **more) -> Piece:
    attacks: list = [SimpleNamespace(searches=searches)] * len(images)
    return Piece(attacks, images, *[np.zeros(len(images))] * 2, **more)


def test_each_piece_gets_its_own_outcomes_and_tells_its_progress(played):
    told: list[tuple] = []
    first, second = (
        played_piece(searches, *images, advance=lambda *given: told.append(given))
        for searches, images in ((True, "abc"), (False, "de"))
    )
    answers = iter([second, None])
    results, given = played(first, more=lambda: next(answers))
    assert results == {
        0: [
            (0, "a", True, False, False),
            (1, "b", True, True, False),
            (2, "c", True, False, True),
        ],
        1: [(0, "d", False, False, False), (1, "e", False, False, False)],
    }
    assert told == [(1, 1), (1, 0), (1, 1), (1, None), (1, None)]
    assert given["seed"] == 0 and given["look"] is None


def test_a_chain_asks_for_no_piece_when_it_is_over(played):
    empty = played_piece(True)
    results, given = played(empty, more=lambda: 1 / 0, is_over=lambda: True, seed=3)
    assert results == {0: []} and given["seed"] == 3 and given["more"]() is None
    results, given = played(empty)
    assert results == {0: []} and given["more"] is None
    waiting = iter([None, played_piece(True, "a", "b")])
    _, given = played(empty, more=lambda: next(waiting))
    assert given["more"]() == 2
