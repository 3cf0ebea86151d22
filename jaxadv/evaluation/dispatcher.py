"""Takes units for one process: looks at the board, claims, and takes over from the dead.

It knows neither threads nor networks nor rows, so a simulation can drive it (see
`jaxadv.benchmark.cluster`).
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from jaxadv.evaluation.board import Board
from jaxadv.evaluation.units import Unit
from jaxadv.store.claims import Claim, Claims

LISTED = 20
"""Lists of all parts take at most one part in so many of the time."""
JUDGED, JUDGED_IDLE = 4, 32
"""The number of claims that a process judges when it takes a unit, to find the dead; and when no
unit is free.
"""


class Taken(NamedTuple):
    """A unit that this process has claimed."""

    unit: Unit
    claim: Claim


class Dispatcher:
    """Claims the units of one process.

    Args:
        board: the board of this process.
        claims: the claims of this process.
        listed: lists the parts of the run, and returns the test whether a unit is in the list.
        exists: whether the parts of a unit exist. It asks for this unit alone.
        clock: seconds; a simulation has its own.
    """

    def __init__(
        self,
        board: Board,
        claims: Claims,
        *,
        listed: Callable[[], Callable[[Unit], bool]],
        exists: Callable[[Unit], bool],
        clock: Callable[[], float] = time.monotonic,
    ):
        self.board = board
        self.processes = 1
        """How many processes have the run open, as the last look saw it."""
        self._claims = claims
        self._listed = listed
        self._exists = exists
        self._clock = clock
        self._next_list = -float("inf")
        self._was_joined = False

    def look(self) -> list[Unit]:
        """Look at the claims and, if other processes were ever there, at the parts.

        Returns:
            The units that another process, or an earlier run, has done.
        """
        done: list[Unit] = []
        taken, self.processes = self._claims.look()
        self.board.see(taken)
        first = self._next_list == -float("inf")
        self._was_joined |= self.processes > 1
        began = self._clock()
        if first or (self._was_joined and began >= self._next_list):
            done = self.board.drop_done(self._listed())
            ended = self._clock()
            self._next_list = ended + max(1.0, LISTED * (ended - began))
        return done

    def look_again(self) -> None:
        """Let the next `look` list the parts, however soon it comes."""
        self._next_list = min(self._next_list, self._clock())

    def take(self, ready: Sequence[str], busy: Collection[str] = ()) -> Taken | None:
        """Claim the unit to do next.

        Args:
            ready: as for `Board.next`.
            busy: as for `Board.next`.

        Returns:
            The unit, or None if other processes have all that are left.
        """
        if orphan := self._orphan(JUDGED):
            return orphan
        while True:
            unit = self.board.next(ready, processes=self.processes, busy=busy)
            if unit is None:
                return self._orphan(JUDGED_IDLE)
            if taken := self._claim(unit):
                return taken

    def follow(self, unit: Unit, is_fresh: Callable[[Unit], bool]) -> Taken | None:
        """Claim a unit that continues the queue of another, while that one runs.

        Args:
            unit: the unit that runs.
            is_fresh: as for `Board.following`.

        Returns:
            The next unit of the same attack on the same network, or None.
        """
        while (following := self.board.following(unit, is_fresh)) is not None:
            if taken := self._claim(following):
                return taken
        return None

    def done(self, taken: Taken) -> None:
        """The parts of a unit are written."""
        self._claims.release(taken.claim)
        self.board.drop(taken.unit)
        self.board.free(taken.unit)

    def lost(self, taken: Taken) -> None:
        """Another process has a unit, or has done it."""
        self._claims.release(taken.claim)
        self.look_again()

    def _claim(self, unit: Unit) -> Taken | None:
        claim = self._claims.take(unit.part, self.board.generations)
        self.board.take(unit)
        if claim is None:
            return None
        return self._needed(Taken(unit, claim))

    def _orphan(self, most: int) -> Taken | None:
        """Take over the claim of a process that has ended."""
        for unit in self.board.taken()[:most]:
            claim = self._claims.take_over(unit.part, self.board.generations)
            if claim is not None and (taken := self._needed(Taken(unit, claim))):
                return taken
        return None

    def _needed(self, taken: Taken) -> Taken | None:
        """The unit, if it is really left. A list may be older than its rows."""
        if self._exists(taken.unit):
            self.done(taken)
            return None
        return taken
