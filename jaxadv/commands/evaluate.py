"""evaluate: attack networks, score them with CLEVER, show every network the others' adversarial images, and report.

The same command continues a run that was interrupted (see `jaxadv.commands.units`).
"""

import platform
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax

from jaxadv import log
from jaxadv.classifier import Classifier
from jaxadv.commands import machine, networks, options, plan, units
from jaxadv.progress import Progress
from jaxadv.store import Run
from model_ports.errors import InputError

NOT_IN_ROWS = ("parts", "model_module", "weights_dir", "data", "data_cache", "data_threads")
"""Flags of what to evaluate that change no row of themselves."""


def main(flags: SimpleNamespace) -> None:
    """Run the job that the flags describe, or what is missing of it. Raises InputError before anything is written."""
    began = time.time()
    entries = networks.chosen(flags)
    job = plan.job(flags, list(entries))
    networks.check_classes(entries, job.source)
    facts = {name: entry.facts for name, entry in entries.items()}
    if flags.dry_run:
        from jaxadv.commands import dry_run

        return dry_run.show(job, _load(job.models, entries))
    out = Path(flags.out or time.strftime("results/%Y%m%d-%H%M%S"))
    new = flags.overwrite or not Run(out).count_parts()
    loaded = _load(job.models, entries) if new else {}  # a bad one is refused before anything is written
    with Run.begin(out, _identity(flags, job, facts), overwrite=flags.overwrite) as run, log.to_file(run.directory, 0):
        log.say("settings: %s", vars(flags))
        log.say("devices: %s", jax.devices())
        todo = {name: units.missing(run, job, name) for name in job.models}
        todo = {name: missing for name, missing in todo.items() if any(missing)}
        finished = run.manifest().get("finished_parts", [])
        if not todo and set(job.parts) <= set(finished):
            print(f"nothing is left to do; report: {out / 'report.html'} (made again by: report --out={out})")
            return
        run.write_manifest(run.manifest() | _manifest(flags, job, facts))
        needed = list(dict.fromkeys(name for source, missing in todo.items() for name in (source, *missing.shown_to)))
        compiled = _Compiled(loaded or _load(needed, entries), needed, job.lanes)
        titles = {name: f"[{number}/{len(todo)}] {name}" for number, name in enumerate(todo, 1)}
        at_once = flags.at_once or (2 if jax.default_backend() == "cpu" else 1)
        try:
            if job.selection == "common":
                first = [name for name, missing in todo.items() if missing.clean]
                _at_once(at_once, [partial(units.classify, run, job, name, compiled, title=titles[name]) for name in first])
                todo = {name: missing._replace(clean=False) for name, missing in todo.items()}
            tasks = [partial(units.work, run, job, missing, name, compiled, title=titles[name]) for name, missing in todo.items()]
            _at_once(at_once, tasks)
        finally:
            compiled.close()
        _tell_dropped(run)
        log.tell_skipped()
        if "report" in job.parts:
            from jaxadv.commands import report

            report.remake(out)
        run.sweep()
        seconds = round(time.time() - began, 1)
        run.write_manifest(run.manifest() | {"seconds": seconds, "finished_parts": sorted({*finished, *job.parts})})
    print(f"finished in {seconds:.0f} s", file=sys.stderr)


def _tell_dropped(run: Run) -> None:
    """How many pictures of the data could not be used, and why; they are rows of the run."""
    rows = run.read("dropped").drop_duplicates("image_id")
    if len(rows):
        reasons = rows["reason"].str.replace(r" \(.*", "", regex=True).value_counts()
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        log.warn(f"{len(rows)} pictures were left out ({told}): {run.directory / 'dropped'}")


def _load(names: Iterable[str], entries: dict[str, networks.Entry]) -> dict[str, Classifier]:
    return {name: entries[name].load() for name in names}


def _at_once(count: int, tasks: list[Callable[[], None]]) -> None:
    """Do all tasks, ``count`` at a time. The first that fails ends the others at their next item, and is raised."""
    pool = ThreadPoolExecutor(max_workers=count)
    done = [pool.submit(task) for task in tasks]
    try:
        for future in as_completed(done):
            future.result()
    except Exception:
        Progress.cancelled.set()
        pool.shutdown(cancel_futures=True)
        Progress.cancelled.clear()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who interrupts from the keyboard does not wait


class _Compiled:
    """Classifiers by name, each once its programs are compiled, which a thread does in order while others are at work."""

    def __init__(self, classifiers: dict[str, Classifier], order: list[str], lanes: int):
        self._classifiers, self._lanes = classifiers, lanes
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._compiled: dict[str, Future] = {name: self._pool.submit(classifiers[name].compile, lanes) for name in order}

    def __getitem__(self, name: str) -> Classifier:
        try:
            self._compiled[name].result()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise InputError(f"{name} does not fit the device's memory with --lanes={self._lanes}; give fewer lanes") from None
        return self._classifiers[name]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _identity(flags: SimpleNamespace, job: plan.Job, facts: dict[str, dict]) -> dict[str, Any]:
    """All that changes rows."""
    groups = ("What to evaluate", "FGSM and I-FGSM", "C&W and EAD-L1", "CLEVER")
    names = [name for group in groups for name in options.GROUPS[group]] + ["lanes", "seed"]
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
