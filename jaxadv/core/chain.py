"""A chain: attacks of several pieces of work that follow one another in the same lanes.

When no attack of a piece is waiting any more, the next piece gets the lanes that become free. So
lanes idle only at the end of the chain, and not at the end of each piece. A result does not depend
on it.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxadv.core import engine
from jaxadv.core.classifier import Classifier
from jaxadv.core.faults import Faults, Watch
from jaxadv.core.items import items_of
from jaxadv.core.journal import Journal
from jaxadv.core.judge import Judge
from jaxadv.core.probe import AttackItem, AttackOutcome, AttackProbe
from jaxadv.core.result import AttackResult

Advance = Callable[[int, int | None], None]


class Piece(NamedTuple):
    """The attacks of one piece of work; see `jaxadv.api.run_attacks`."""

    attacks: Sequence[AttackProbe[Any]]
    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    classes: np.ndarray  # (N,) int32
    targeted: np.ndarray  # (N,) bool
    ids: Any = None  # (N,) numbers of the images
    logits: np.ndarray | None = None  # (N, K) of the clean images
    advance: Advance | None = None
    journal: Journal | None = None


class _Begun:
    """A piece whose attacks are waiting or running."""

    def __init__(self, piece: Piece, start: int, judge: Judge):
        self.piece = piece
        self.start = start  # the number of its first attack
        self.judge: Judge | None = judge
        self.watch = Watch(len(piece.attacks))
        self.left = len(piece.attacks)

    def forget(self) -> None:
        """Free the memory of its images."""
        if self.judge:
            self.judge.close()
        none = np.zeros(0)
        self.piece = Piece([], none, none, none)
        self.judge = None

    @property
    def end(self) -> int:
        """The number after that of its last attack."""
        return self.start + len(self.watch.invalid)


class _Chain:
    """All pieces so far as one queue, with its journal, its judge and its watch."""

    def __init__(self, clf: Classifier, lanes: int, seed: int):
        self.probes: list[AttackProbe[Any]] = []
        self.items: list[AttackItem | None] = []  # None after the end of a piece
        self.begun: list[_Begun] = []
        self._clf = clf
        self._lanes = lanes
        self._seed = seed
        self._starts: list[int] = []

    def add(self, piece: Piece) -> int:
        """Add the attacks of a piece. Returns how many they are."""
        items = items_of(
            self._clf,
            piece.attacks,
            piece.images,
            piece.classes,
            piece.targeted,
            lanes=self._lanes,
            seed=self._seed,
            ids=piece.ids,
            logits=piece.logits,
        )
        judge = Judge(self._clf, piece.images, piece.classes, piece.targeted, self._lanes)
        self.begun.append(_Begun(piece, len(self.items), judge))
        self._starts.append(len(self.items))
        self.probes += piece.attacks
        self.items += items
        return len(items)

    def result(self, one: _Begun) -> AttackResult:
        """The result of a piece that has ended. Its images are forgotten."""
        assert one.judge is not None
        result = one.judge.result()
        one.forget()
        self.items[one.start : one.end] = [None] * (one.end - one.start)
        return result

    def of(self, number: int) -> _Begun:
        """The piece of an attack."""
        return self.begun[bisect_right(self._starts, number) - 1]

    def note(self, item: int, faults: Faults, *, asks_gradients: bool) -> None:
        """As `Watch.note`."""
        one = self.of(item)
        one.watch.note(item - one.start, faults, asks_gradients=asks_gradients)

    def look(
        self,
        there: Classifier,
        numbers: Sequence[int],
        lanes: Sequence[int],
        items: AttackItem,
        outcomes: AttackOutcome,
    ) -> None:
        """Judge attacks on their device; see `jaxadv.core.judge.Judge.look`."""
        pieces: dict[int, list[tuple[int, int]]] = {}
        for number, lane in zip(numbers, lanes, strict=True):
            pieces.setdefault(self.of(number).start, []).append((number, lane))
        for start, pairs in pieces.items():
            judge = self.of(start).judge
            look = judge and judge.look
            if look:
                mine = [number - start for number, _ in pairs]
                look(there, mine, [lane for _, lane in pairs], items, outcomes)

    @property
    def looks(self) -> bool:
        """Whether attacks are judged on their device."""
        judge = self.begun[0].judge
        return judge is not None and judge.look is not None

    @property
    def journal(self) -> "_Journals | None":
        """The journal of the queue, if its pieces have journals."""
        return _Journals(self) if self.begun[0].piece.journal else None


class _Journals:
    """The journals of all pieces, as the engine uses one journal."""

    def __init__(self, chain: _Chain):
        self._chain = chain

    def _each(self) -> Iterator[tuple[_Begun, Journal]]:
        for one in self._chain.begun:
            if one.piece.journal and one.left:
                yield one, one.piece.journal

    def outcomes(self) -> dict[int, list[np.ndarray]]:
        """As `Journal.outcomes`."""
        return {
            one.start + item: arrays
            for one, journal in self._each()
            for item, arrays in journal.outcomes().items()
        }

    def lanes(self, name: str) -> dict[str, np.ndarray]:
        """The lanes of the first piece. Only that one may have been begun before."""
        one = self._chain.begun[0]
        assert one.piece.journal is not None and not one.start
        return one.piece.journal.lanes(name)

    def add(self, item: int, arrays: Sequence[np.ndarray]) -> None:
        """As `Journal.add`."""
        one = self._chain.of(item)
        if one.piece.journal:
            one.piece.journal.add(item - one.start, arrays)

    def due(self, name: str = "") -> bool:
        """As `Journal.due`, for the piece that waits longest."""
        return any(journal.due(name) for _, journal in self._each())

    def write(self, name: str = "", lanes: dict[str, np.ndarray] | None = None) -> None:
        """As `Journal.write`. Each piece gets the lanes that hold its attacks."""
        began = time.monotonic()
        written = [journal for _, journal in self._each()]
        for one, journal in self._each():
            holds = np.zeros(0, int) if lanes is None else lanes["holds"]
            (mine,) = np.nonzero((one.start <= holds) & (holds < one.end))
            if lanes is None or not len(mine):
                journal.write(name)
                continue
            some = {what: leaf[mine] for what, leaf in lanes.items() if what != "phase"}
            some["holds"] = some["holds"] - one.start
            journal.write(name, some | {"phase": lanes["phase"]})
        for journal in written:
            journal.took(time.monotonic() - began)


def run(
    clf: Classifier,
    first: Piece,
    *,
    lanes: int,
    seed: int = 0,
    more: Callable[[], Piece | None] | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, AttackResult]]:
    """Run a chain of pieces.

    Args:
        clf: the network, awake, whose contract was checked.
        first: the first piece.
        lanes: images side by side on each device.
        seed: the seed of all random draws.
        more: called when no attack is waiting for a free lane. It returns the next piece, whose
            journal is empty and whose attacks have the first piece's static settings; or None.
        is_over: whether ``more`` need not be called again.

    Yields:
        The number of a piece, and its result, in the order of finishing.
    """
    chain = _Chain(clf, lanes, seed)
    chain.add(first)

    def refill() -> int | None:
        if more is None or is_over():
            return None
        piece = more()
        return 0 if piece is None else chain.add(piece)

    try:
        for index, outcome in engine.run(
            clf,
            chain.probes,
            chain.items,
            lanes=lanes,
            journal=chain.journal,
            look=chain.look if chain.looks else None,
            watch=chain,
            more=refill if more else None,
        ):
            one = chain.of(index)
            number = index - one.start
            searches = chain.probes[index].searches
            assert one.judge is not None  # it has attacks left
            one.judge.add(
                number,
                outcome,
                searches=searches,
                invalid=bool(one.watch.invalid[number]),
                zero_gradient=bool(one.watch.zero_gradient[number]),
            )
            if one.piece.advance:
                one.piece.advance(1, int(outcome.found) if searches else None)
            one.left -= 1
            if not one.left:
                yield chain.begun.index(one), chain.result(one)
        for place, one in enumerate(chain.begun):
            if one.judge is not None:  # it had no attack at all
                yield place, chain.result(one)
    finally:
        for one in chain.begun:
            one.forget()
