"""evaluate: attack networks, score them with CLEVER, show every network the others' adversarial images, and report.

The same command continues a run that was interrupted (see `jaxadv.evaluation.units`).
"""

import itertools
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax

from jaxadv.commands import options
from jaxadv.core import engine, memory
from jaxadv.core.classifier import PROGRAMS, Classifier
from jaxadv.evaluation import hosts, networks, plan, units, work
from jaxadv.store.run import Run
from jaxadv.support import log, machine
from jaxadv.support.progress import Progress
from model_ports.errors import InputError

NOT_IN_ROWS = ("parts", "model_module", "weights_dir", "data", "data_cache", "data_threads")
"""Flags of what to evaluate that change no row of themselves."""
LOGITS = ("logits",)
SWITCH = 0.5e-3
"""Seconds that the thread which traces networks keeps the interpreter from those that drive attacks, whose steps are not much longer: with
Python's 5 ms alexnet and vgg_16 of the embedded job take 23 s beside it, with these 13."""


def main(flags: SimpleNamespace) -> None:
    """Run the job that the flags describe, or what is missing of it. Raises InputError before anything is written."""
    began = time.time()
    host = hosts.Host() if flags.dry_run else hosts.join(flags)
    entries = networks.chosen(flags)
    job = plan.job(flags, list(entries))
    networks.check_classes(entries, job.source)
    facts = {name: entry.facts for name, entry in entries.items()}
    loaded = _Loaded(entries, flags.precision)
    out = Path(flags.out or time.strftime("results/%Y%m%d-%H%M%S"))
    count = _lanes(flags, host, out, (loaded[name] for name in job.models))
    flags, job = SimpleNamespace(**vars(flags) | {"lanes": count}), job._replace(lanes=count)
    if flags.dry_run:
        from jaxadv.evaluation import estimate

        return estimate.show(job, {name: loaded[name] for name in job.models}, out, processes=flags.processes or 1)
    if flags.overwrite or not Run(out).count_parts():
        for name in job.models:  # a bad one is refused before anything is written
            loaded[name]
    with (
        Run.begin(out, _identity(flags, job, facts), overwrite=flags.overwrite, **host._asdict()) as run,
        log.to_file(run.directory, host.process),
    ):
        log.say("settings: %s", vars(flags))
        log.say("devices: %s", jax.local_devices())
        finished = run.manifest().get("finished_parts", [])
        compiled = _Compiled(loaded, job.lanes)
        try:
            if not _do_units(flags, host, run, job, facts, compiled) and set(job.parts) <= set(finished):
                print(f"nothing is left to do; report: {out / 'report.html'} (made again by: report --out={out})")
                return
        finally:
            compiled.close()
        if host.process:
            print(f"process {host.process} of {host.processes} has done its share; process 0 makes the report", file=sys.stderr)
            return
        _tell_dropped(run)
        log.tell_skipped()
        if "report" in job.parts:
            from jaxadv.report import remake

            remake.remake(out)
        run.sweep()
        seconds = round(time.time() - began, 1)
        run.write_manifest(run.manifest() | {"seconds": seconds, "finished_parts": sorted({*finished, *job.parts})})
    print(f"finished in {seconds:.0f} s", file=sys.stderr)


def _do_units(flags: SimpleNamespace, host: hosts.Host, run: Run, job: plan.Job, facts: dict, compiled: "_Compiled") -> bool:
    """Do what is missing, or this process's share of it, and wait for the others' as far as it is needed; whether anything was missing."""
    began, at_once = False, flags.at_once or (2 if jax.default_backend() == "cpu" else 1)

    def do(what: Callable, todo: dict[str, list]) -> None:
        """``what`` to each network's units, all that it needs being compiled meanwhile."""
        nonlocal began
        todo = {name: own for name, own in todo.items() if own}
        if at_once > 1:  # long ones first: none of them is then left alone at the end
            todo = {name: todo[name] for name in sorted(todo, key=compiled.depth, reverse=True)}
        if todo and not began and not host.process:
            run.write_manifest(run.manifest() | _manifest(flags, job, facts))
        began |= bool(todo)
        shown = what is not work.classify and "transfer" in job.parts
        first, rest = list(todo)[:at_once], list(todo)[at_once:]
        others = [name for source in todo for name in job.shown_to(source)] if shown else []
        needed = LOGITS if what is work.classify else PROGRAMS
        # An attack that is through waits for the others' logits, and what they want next is quicker to compile.
        for names, programs in ((first, needed), (others, LOGITS), (rest, needed)):
            compiled.ahead(names, programs)
        titles = {name: f"[{number}/{len(todo)}] {name}" for number, name in enumerate(todo, 1)}
        _at_once(at_once, [partial(what, run, job, own, compiled, title=titles[name]) for name, own in todo.items()])

    if host.processes == 1 and job.selection != "common":  # each network as soon as it is classified
        do(work.whole, {name: [] if units.is_finished(run, job, name) else [name] for name in job.models})
        return began
    for what, listed in (
        (work.classify, lambda name: units.classifications(job, name)),
        (work.attempt, lambda name: units.attempts(run, job, name)),
    ):
        every = [unit for name in job.models for unit in listed(name)]
        own = [unit for unit in units.share(job, every, **host._asdict()) if not units.is_done(run, job, unit)]
        do(what, {name: [unit for unit in own if unit.network == name] for name in job.models})
        if what is work.classify or not host.process:
            hosts.wait(lambda every=every: sum(not units.exists(run, job, unit) for unit in every), "units of work of other processes")
    hosts.leave(host, run.count_others)
    return began


def _tell_dropped(run: Run) -> None:
    """How many pictures of the data could not be used, and why; they are rows of the run."""
    rows = run.read("dropped").drop_duplicates("image_id")
    if len(rows):
        reasons = rows["reason"].str.replace(r" \(.*", "", regex=True).value_counts()
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        log.warn(f"{len(rows)} pictures were left out ({told}): {run.directory / 'dropped'}")


def _at_once(count: int, tasks: list[Callable[[], None]]) -> None:
    """Do all tasks, ``count`` at a time. The first that fails ends the others at their next item, and is raised."""
    pool = ThreadPoolExecutor(max_workers=count)
    waiting = {pool.submit(task) for task in tasks}
    try:
        while waiting:  # a second at a time: a signal that another thread is given does not end this one's wait
            finished, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
    except Exception:
        Progress.cancelled.set()
        pool.shutdown(cancel_futures=True)
        Progress.cancelled.clear()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who interrupts from the keyboard does not wait


class _Loaded:
    """Classifiers by name, each loaded when it is first asked for, with gradients of that precision; at rest if memory is short."""

    def __init__(self, entries: dict[str, networks.Entry], precision: str):
        self._entries, self._precision = entries, precision
        self._classifiers: dict[str, Classifier] = {}

    def __getitem__(self, name: str) -> Classifier:
        if name not in self._classifiers:
            classifier = self._entries[name].load().with_gradient_precision(self._precision)
            self._classifiers[name] = classifier.at_rest() if memory.is_short(classifier) else classifier.awake()
        return self._classifiers[name]


class _Compiled:
    """Classifiers by name, each once its programs are compiled, or that of its logits; a thread does so while others are at work."""

    def __init__(self, loaded: _Loaded, lanes: int):
        self._loaded, self._lanes = loaded, lanes
        sys.setswitchinterval(SWITCH)
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._compiled: dict[tuple[str, str], Future] = {}

    def ahead(self, names: Iterable[str], programs: Sequence[str]) -> None:
        """Compile these next, in order."""
        for key in itertools.product(names, programs):
            if key not in self._compiled:
                self._compiled[key] = self._pool.submit(self._compile, *key)

    def __getitem__(self, name: str) -> Classifier:
        return self._wait(name, PROGRAMS)

    def depth(self, name: str) -> int:
        """How many arrays its parameters are, which is about how long it takes beside others of its zoo."""
        return len(jax.tree.leaves(self._loaded[name].params))

    def logits(self, name: str) -> Classifier:
        """One that is asked for logits alone."""
        return self._wait(name, LOGITS)

    def _wait(self, name: str, programs: Sequence[str]) -> Classifier:
        self.ahead([name], programs)
        return [self._compiled[name, program].result() for program in programs][0]

    def _compile(self, name: str, program: str) -> Classifier:
        classifier = self._loaded[name]
        try:
            classifier.compile(self._lanes, [program])
        except jax.errors.JaxRuntimeError as error:
            if not memory.ran_out(error):
                raise
            what = f"{name} does not fit the device's memory with --lanes={self._lanes}"
            raise InputError(f"{what}; give fewer, and as a run keeps its number --overwrite or another --out") from None
        return classifier

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _lanes(flags: SimpleNamespace, host: hosts.Host, out: Path, classifiers: Iterable[Classifier]) -> int:
    """How many a run has from its first row to its last, since other numbers round otherwise; several processes must have the same."""
    identity = {} if flags.overwrite else Run(out).manifest().get("identity")
    known = identity.get("--lanes") if isinstance(identity, dict) else None
    return memory.choose(classifiers, flags.lanes, known or (engine.DEFAULT_LANES if host.processes > 1 else None))


def _identity(flags: SimpleNamespace, job: plan.Job, facts: dict[str, dict]) -> dict[str, Any]:
    """All that changes rows."""
    groups = ("What to evaluate", "FGSM and I-FGSM", "C&W and EAD-L1", "CLEVER")
    names = [name for group in groups for name in options.GROUPS[group]] + ["lanes", "precision", "block_images", "seed"]
    settings = {f"--{name}": getattr(flags, name) for name in names if name not in NOT_IN_ROWS}
    return {
        **settings,
        "--models": job.models,
        **{f"weights of {name}": known["sha256"] for name, known in facts.items()},
        "data": job.source.fingerprint,
        "device": jax.devices()[0].device_kind,
        **_versions("jaxadv", "jax", "numpy"),
    }


def _versions(*packages: str) -> dict[str, str]:
    return {name: metadata.version(name) for name in packages}


def _manifest(flags: SimpleNamespace, job: plan.Job, facts: dict[str, dict]) -> dict[str, Any]:
    return {
        "models": job.models,
        "settings": {name: value for name, value in sorted(vars(flags).items()) if name != "compilation_cache"},
        "data": job.source.facts(),
        "weights": facts,
        "devices": [str(device) for device in jax.devices()],
        "machine": machine.kind(),
        "commit": machine.commit(),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version()} | _versions("jaxadv", "jax", "numpy", "pandas"),
    }
