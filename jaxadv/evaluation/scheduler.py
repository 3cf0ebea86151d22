"""Does the units of a run, several networks at once, until the whole run is done.

Any number of processes do so on one run (see `jaxadv.evaluation.dispatcher`).
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial

import jax
import numpy as np
import pandas as pd

from jaxadv.core.classifier import PROGRAMS
from jaxadv.evaluation import status, units
from jaxadv.evaluation.board import Board
from jaxadv.evaluation.cancel import Cancel
from jaxadv.evaluation.compiled import LOGITS, Compiled
from jaxadv.evaluation.costs import Costs
from jaxadv.evaluation.dispatcher import Dispatcher, Taken
from jaxadv.evaluation.plan import Job
from jaxadv.evaluation.units import Unit
from jaxadv.evaluation.work import Lost, Ticket, Work
from jaxadv.store.claims import Claims
from jaxadv.store.run import Run
from jaxadv.support import log
from jaxadv.support.files import short
from jaxadv.support.progress import Whole
from model_ports.errors import InputError

PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two looks for a unit, while other processes have all that are left."""
WARN_AFTER, WARN_EVERY = 60.0, 600.0
"""Seconds until the first line about a wait, and between two lines."""


class Scheduler:
    """Does the units of a run, together with all other processes that have claims there.

    Args:
        run: gets the rows.
        job: the work.
        claims: the claims of this process.
        compiled: the networks.
        costs: the costs of units.
        joins: whether other processes may be at work. If not, every part is read first, and a
            damaged one is made again.
        begin: called once, before this process does its first unit.
    """

    def __init__(
        self,
        run: Run,
        job: Job,
        claims: Claims,
        compiled: Compiled,
        costs: Costs,
        *,
        joins: bool,
        begin: Callable[[], None],
    ):
        self._run = run
        self._job = job
        self._claims = claims
        self._compiled = compiled
        self._costs = costs
        self._joins = joins
        self._begin = begin
        self._at_once = job.settings.at_once or (2 if jax.default_backend() == "cpu" else 1)
        models = job.models
        if self._at_once > 1:  # the longest first, so that none of them runs alone at the end
            models = sorted(models, key=Board(job, costs).planned, reverse=True)
        self._board = Board(job, costs, models=models, seed=claims.owner)
        self._dispatcher = Dispatcher(
            self._board,
            claims,
            listed=lambda: status.listing(run, job),
            exists=lambda unit: units.exists(run, job, unit),
        )
        self._sure: set[str] = set()  # parts that this process has written, or read whole
        self._kept: dict[str, units.Attackable] = {}
        self._shared: np.ndarray | None = None  # images that all networks classify correctly
        self._began = False
        self._seats: dict[int, list[str]] = {}  # the networks that each has used, latest first
        self._changed = threading.Condition()  # guards everything above

    def work(self) -> bool:
        """Do units until all are done, by whoever.

        Returns:
            Whether this process has done any.
        """
        with self._changed:
            self._look()
            if not self._joins:
                self.is_sound()
        if self._board.is_empty():
            return self._began
        cancel = Cancel()
        show = self._job.settings.progress
        with Whole("run", show=show, at_once=self._at_once) as whole:
            if self._dispatcher.processes == 1:
                self._compile_ahead()
            seats = [partial(self._seat, number, whole, cancel) for number in range(self._at_once)]
            _at_once(seats, cancel)
        return self._began

    def is_sound(self) -> bool:
        """Read every part that this process has neither written nor read.

        Returns:
            False if a part was damaged. It is removed then, and `work` makes it again.
        """
        known = [name for name in self._job.models if self._board.is_known(name)]
        every = [unit for name in known for unit in self._board.all_of(name)]
        damaged = [unit for unit in every if not self._is_sure(unit)]
        for unit in damaged:
            self._board.put_back(unit)
        return not damaged

    def _is_sure(self, unit: Unit) -> bool:
        if unit.part not in self._sure and units.is_done(self._run, self._job, unit):
            self._sure.add(unit.part)
        return unit.part in self._sure

    def _look(self) -> None:
        """Look at the run's folder, and find the attempts of networks that are classified."""
        self._learn(self._dispatcher.look())
        names = [name for name in self._job.models if not self._board.is_known(name)]
        ready = [name for name in names if self._board.is_classified(name)]
        if self._job.settings.selection == "common" and len(ready) < len(self._job.models):
            return
        for name in ready:
            some = units.classifications(self._job, name)
            damaged = [unit for unit in some if not self._is_sure(unit)]
            for unit in damaged:
                self._board.put_back(unit)
            if not damaged:
                self._board.know(name, len(self._attackable(name).ids))
                self._dispatcher.look_again()
        if ready:
            self._learn(self._dispatcher.look())

    def _learn(self, done: Iterable[Unit]) -> None:
        """Take the evaluations of others' units into account, one of each network and attack."""
        for unit in done:
            if unit.stage == "attack" and not self._costs.knows(unit.network, unit.what):
                columns = ["gradients", "forwards"]
                with suppress(InputError):  # a damaged part is found, and made again, later
                    rows = self._run.read("examples", columns, part=unit.part)
                    if len(rows):
                        self._costs.learn(unit.network, unit.what, rows)

    def _attackable(self, name: str) -> units.Attackable:
        """The images to attack of a network. Those of the latest networks are kept."""
        with self._changed:
            found = self._kept.pop(name, None) or self._read_attackable(name)
            self._kept[name] = found
            for old in list(self._kept)[: -1 - self._at_once]:
                del self._kept[old]
        return found

    def _read_attackable(self, name: str) -> units.Attackable:
        if self._job.settings.selection == "common" and self._shared is None:
            self._shared = units.common(self._run, self._job)
        return units.attackable(self._run, self._job, name, shared=self._shared)

    def _seat(self, number: int, whole: Whole, cancel: Cancel) -> None:
        """Do one unit after another, until none is left."""
        work = Work(self._run, self._job, self._compiled, self._attackable, whole)
        while (first := self._next(number, whole, cancel)) is not None:
            opened: dict[str, Taken] = {}

            def ticket(taken: Taken, opened: dict[str, Taken] = opened) -> Ticket:
                opened[taken.unit.part] = taken
                log.say("%s: begun, generation %d", taken.unit.part, taken.claim.generation)

                def check() -> None:
                    cancel.check()
                    if self._claims.is_lost(taken.claim):
                        log.say("%s: another process has taken it over", taken.unit.part)
                        raise Lost

                return Ticket(taken.unit, taken.claim.writer, check)

            def follow(unit: Unit, ticket: Callable[[Taken], Ticket] = ticket) -> Ticket | None:
                with self._changed:
                    self._look()
                    taken = self._dispatcher.follow(unit, self._fresh())
                return None if taken is None else ticket(taken)

            try:
                for done in work.do(ticket(first), follow):
                    self._end(opened.pop(done.ticket.unit.part), done.rows)
            except Lost:
                for taken in opened.values():
                    if units.exists(self._run, self._job, taken.unit):
                        self._run.remove_journals(taken.unit.part)
                    with self._changed:
                        self._dispatcher.lost(taken)

    def _end(self, taken: Taken, rows: pd.DataFrame | None) -> None:
        """A unit is done."""
        with self._changed:
            self._sure.add(taken.unit.part)
            self._dispatcher.done(taken)
            if rows is not None:
                self._costs.learn(taken.unit.network, taken.unit.what, rows)
            self._changed.notify_all()

    def _fresh(self) -> Callable[[Unit], bool]:
        """List the journals. Returns the test whether a unit has none."""
        begun = {path.name.partition("@")[0] for path in self._run.unfinished.glob("*@*")}
        return lambda unit: short(unit.part) not in begun

    def _next(self, number: int, whole: Whole, cancel: Cancel) -> Taken | None:
        """Claim the next unit of a seat, or wait for one. None if all units are done."""
        began, warned, pause = time.monotonic(), 0.0, PAUSE
        with self._changed:
            while True:
                cancel.check()
                self._look()
                for name, counts in self._board.counted().items():
                    whole.plan(name, counts)
                if self._board.is_empty():
                    return None
                busy = [seen[0] for seat, seen in self._seats.items() if seat != number]
                taken = self._dispatcher.take(self._seats.get(number, ()), busy)
                if taken is not None:
                    self._sit(number, taken.unit)
                    return taken
                waited = time.monotonic() - began
                if self._dispatcher.processes > 1 and waited - warned > (
                    WARN_EVERY if warned else WARN_AFTER
                ):
                    warned = waited
                    left = len(self._board.left)
                    log.warn(f"waiting for {left} units of other processes, for {waited:.0f} s")
                self._changed.wait(pause)
                pause = min(1.2 * pause, LONGEST_PAUSE)

    def _sit(self, number: int, unit: Unit) -> None:
        """Take note of the unit that a seat does, and compile for it."""
        before = [name for name in self._seats.get(number, []) if name != unit.network]
        self._seats[number] = [unit.network, *before]
        if not self._began:
            self._began = True
            self._begin()
        if self._dispatcher.processes > 1:
            self._compiled.ahead([unit.network], LOGITS if unit.stage == "clean" else PROGRAMS)
            if unit.stage == "attack":
                self._compiled.ahead(units.shown_to(self._job, unit.network), LOGITS)

    def _compile_ahead(self) -> None:
        """Compile in the order of need, where this process does everything.

        Logits of the other networks come early, since a finished attack waits for them.
        """
        names = [name for name, counts in self._board.counted().items() if counts.total()]
        others = [name for source in names for name in units.shown_to(self._job, source)]
        for some, programs in (
            (names[: self._at_once], PROGRAMS),
            (others, LOGITS),
            (names[self._at_once :], PROGRAMS),
        ):
            self._compiled.ahead(some, programs)


def _at_once(tasks: Sequence[Callable[[], None]], cancel: Cancel) -> None:
    """Do all tasks at a time.

    If a task fails, the others end at their next `Cancel.check`, and its error is raised.
    """
    pool = ThreadPoolExecutor(max_workers=len(tasks))
    waiting = {pool.submit(task) for task in tasks}
    try:
        while waiting:
            # The timeout lets this thread handle signals, which do not end a wait.
            finished, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
    except BaseException as error:
        cancel.request()
        # An interrupt from the keyboard does not wait.
        pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
        raise
    pool.shutdown()
