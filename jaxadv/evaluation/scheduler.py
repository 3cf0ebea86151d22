"""The schedule of the units of work: several networks at once, the longest first, each compiled
ahead of its use.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

import jax

from jaxadv.core.classifier import PROGRAMS
from jaxadv.evaluation import hosts, units
from jaxadv.evaluation.cancel import Cancel
from jaxadv.evaluation.compiled import LOGITS, Compiled
from jaxadv.evaluation.plan import Job
from jaxadv.evaluation.units import Unit
from jaxadv.evaluation.work import Work
from jaxadv.store.run import Run
from jaxadv.support.progress import Whole

CLASSIFY = "classify"
"""The stage of all classifications."""
ATTEMPT = "attempt"
"""The stage of all attacks and scores."""
WHOLE = "whole"
"""Both stages of a network, one after the other."""


@dataclass(frozen=True)
class Scheduler:
    """Runs the units of one process.

    Args:
        run: gets the rows.
        job: the work.
        host: this process among all.
        compiled: the networks.
        begin: called once, before the first missing unit.
    """

    run: Run
    job: Job
    host: hosts.Host
    compiled: Compiled
    begin: Callable[[], None]

    def work(self) -> bool:
        """Do this process's share of the missing units, and wait for the units of other processes
        that it needs.

        Returns:
            Whether any unit was missing.
        """
        run = self.run
        job = self.job
        host = self.host
        if host.processes == 1 and job.settings.selection != "common":
            missing = [name for name in job.models if not units.is_finished(run, job, name)]
            return self._do(WHOLE, {name: [] for name in missing}, began=False)
        began = self._share(CLASSIFY, lambda name: units.classifications(job, name), began=False)
        began = self._share(ATTEMPT, lambda name: units.attempts(run, job, name), began=began)
        hosts.leave(host, run.count_others)
        return began

    def _share(self, stage: str, listed: Callable[[str], Sequence[Unit]], *, began: bool) -> bool:
        """Do this process's share of a stage, then wait until the next stage can begin.

        Returns whether work has begun.
        """
        run = self.run
        job = self.job
        every = [unit for name in job.models for unit in listed(name)]
        mine = [
            unit
            for unit in units.share(job, every, **self.host._asdict())
            if not units.is_done(run, job, unit)
        ]
        todo = {name: [unit for unit in mine if unit.network == name] for name in job.models}
        began = self._do(stage, {name: some for name, some in todo.items() if some}, began=began)
        if stage == CLASSIFY or not self.host.process:
            hosts.wait(
                lambda: sum(not units.exists(run, job, unit) for unit in every),
                "units of work of other processes",
            )
        return began

    def _do(self, stage: str, todo: dict[str, list[Unit]], *, began: bool) -> bool:
        """Do a stage's units of each network, and compile in the meantime.

        Returns whether work has begun.
        """
        if not todo:
            return began
        at_once = self.job.settings.at_once or (2 if jax.default_backend() == "cpu" else 1)
        if at_once > 1:  # the longest first, so that none of them runs alone at the end
            todo = {
                name: todo[name] for name in sorted(todo, key=self.compiled.depth, reverse=True)
            }
        if not began and not self.host.process:
            self.begin()
        self._compile_ahead(stage, list(todo), at_once)
        tasks = []
        cancel = Cancel()
        with Whole("run", show=self.job.settings.progress, at_once=at_once) as whole:
            for number, (name, mine) in enumerate(todo.items(), 1):
                title = f"[{number}/{len(todo)}] {name}"
                work = Work(self.run, self.job, self.compiled, title, cancel, whole)
                whole.plan(name, units.counted(mine or units.planned(self.job, name)))
                if stage == WHOLE:
                    tasks.append(partial(work.whole, name))
                else:
                    do = work.classify if stage == CLASSIFY else work.attempt
                    tasks.append(partial(do, mine))
            _at_once(at_once, tasks, cancel)
        return True

    def _compile_ahead(self, stage: str, names: list[str], at_once: int) -> None:
        """Compile in the order of need.

        Logits of the other networks come early, since a finished attack waits for them.
        """
        shown = [] if stage == CLASSIFY else names
        others = [name for source in shown for name in units.shown_to(self.job, source)]
        needed = LOGITS if stage == CLASSIFY else PROGRAMS
        for some, programs in (
            (names[:at_once], needed),
            (others, LOGITS),
            (names[at_once:], needed),
        ):
            self.compiled.ahead(some, programs)


def _at_once(count: int, tasks: Sequence[Callable[[], None]], cancel: Cancel) -> None:
    """Do all tasks, ``count`` at a time.

    If a task fails, the others end at their next `Cancel.check`, and its error is raised.
    """
    pool = ThreadPoolExecutor(max_workers=count)
    waiting = {pool.submit(task) for task in tasks}
    try:
        while waiting:
            # The timeout lets this thread handle signals, which do not end a wait.
            finished, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
    except Exception:
        cancel.request()
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown(
            wait=False, cancel_futures=True
        )  # an interrupt from the keyboard does not wait
