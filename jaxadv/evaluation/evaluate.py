"""The study on networks and data: attack, score, show every network the others' images, and report.

The same call continues a run that was interrupted (see `jaxadv.evaluation.units`).
"""

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxadv.analysis import faults
from jaxadv.core import engine, memory
from jaxadv.core.classifier import Classifier
from jaxadv.data.source import Source
from jaxadv.data.sources import open_source
from jaxadv.evaluation import estimate, hosts, networks, plan, precision
from jaxadv.evaluation.compiled import Compiled, Loaded, check_contracts
from jaxadv.evaluation.identity import PACKAGES, identity, versions
from jaxadv.evaluation.networks import Entry, Zoo
from jaxadv.evaluation.results import Run
from jaxadv.evaluation.scheduler import Scheduler
from jaxadv.evaluation.settings import CLEVER, Settings
from jaxadv.store import run as store
from jaxadv.support import log, machine, places

Data = str | Source | tuple[np.ndarray, np.ndarray]
"""A name that `--data` takes, a source, or images (N, H, W, 3) with labels (N,)."""


@dataclass(frozen=True)
class Evaluation:
    """Networks, data and settings that fit each other; nothing is loaded or written yet."""

    entries: dict[str, Entry]
    job: plan.Job  # its lanes may still be None
    zoo: Zoo

    @classmethod
    def of(
        cls,
        models: Sequence[str | Classifier],
        data: Data = "digits",
        settings: Settings | None = None,
        *,
        zoo: Zoo | None = None,
        ensembles: Iterable[Sequence[str]] = (),
    ) -> "Evaluation":
        """See `evaluate`. Raises InputError."""
        settings, zoo, ensembles = (
            settings or Settings(),
            zoo or Zoo(),
            [list(members) for members in ensembles],
        )
        settings.check()
        hosts.require_devices()
        entries = networks.choose(models, zoo, ensembles)
        source = _source(data, entries)
        members = {".".join(["ensemble", *some]): some for some in ensembles}
        job = plan.job(settings, list(entries), members, source)
        networks.check_classes(entries, source)
        networks.check_attacks(entries, job.attempts)
        chosen = precision.decided(
            settings.precision, [*job.attacks, *[CLEVER] * bool(job.clever_kinds)]
        )
        job = replace(job, settings=replace(settings, precision=chosen))
        return cls(entries, job, zoo)

    def run(
        self,
        out: str | os.PathLike | None = None,
        *,
        overwrite: bool = False,
        any_machine: bool = False,
        host: hosts.Host | None = None,
    ) -> Run:
        """Do what is missing of the run in ``out``. Raises InputError before anything is written."""
        began, host = time.time(), host or hosts.Host()
        out = places.place("out", out or time.strftime("results/%Y%m%d-%H%M%S"))
        loaded = Loaded(self.entries, self.job.settings.precision)
        job = self._with_lanes(loaded, out, overwrite, host)
        lanes = job.settings.lanes
        assert lanes is not None
        if overwrite or not store.Run(out).count_parts():
            for name in job.models:  # a bad one is refused before anything is written
                loaded[name]
            check_contracts(loaded, job.models, lanes)
        with (
            store.Run.begin(
                out,
                identity(job, self.zoo, self.entries),
                overwrite=overwrite,
                any_machine=any_machine,
                **host._asdict(),
            ) as run,
            log.to_file(run.directory, host.process),
            Compiled(loaded, lanes) as compiled,
        ):
            log.say("settings: %s", job.settings.to_dict())
            log.say("devices: %s", jax.local_devices())
            finished = run.manifest().get("finished_parts", [])

            def begin() -> None:
                run.write_manifest(run.manifest() | self._manifest(job))

            if not host.process and run.count_parts() and "settings" not in run.manifest():
                begin()  # the manifest was lost
            did_work = Scheduler(run, job, host, compiled, begin).work()
            if not did_work and set(job.settings.parts) <= set(finished):
                return Run(out, was_finished=True)
            if host.process:
                return Run(out)
            _warn_of_dropped(run)
            for line in faults.of_run(run):
                log.warn(line)
            log.tell_skipped()
            if "report" in job.settings.parts:
                from jaxadv.report import remake

                remake.remake(out)
            run.sweep()
            seconds = round(time.time() - began, 1)
            parts = sorted({*finished, *job.settings.parts})
            run.write_manifest(run.manifest() | {"seconds": seconds, "finished_parts": parts})
        return Run(out)

    def estimate(
        self,
        out: str | os.PathLike[str] | None = None,
        *,
        processes: int = 1,
        measure: bool = False,
    ) -> str:
        """What a run would do, and its disk; nothing is written.

        Args:
            out: where the rows would go.
            processes: among whom the work would be shared.
            measure: load and compile every network, and say how long the run would take here. Without it nothing is
                loaded, and lanes that memory would decide are the default's.

        Raises:
            InputError: for networks that cannot be loaded.
        """
        out = places.place("out", out or "results")
        missing = [f"missing: {line}\n" for line in networks.missing(self.entries)]
        if not measure:
            lanes = self.job.settings.lanes or engine.DEFAULT_LANES
            job = replace(self.job, settings=replace(self.job.settings, lanes=lanes))
            return "".join(missing) + estimate.text(job, self.entries, out, processes=processes)
        loaded = Loaded(self.entries, self.job.settings.precision)
        job = self._with_lanes(loaded, out, False, hosts.Host(0, processes))
        classifiers = {name: loaded[name] for name in job.models}
        time = estimate.measured(job, classifiers, processes=processes, zoo=self.zoo.name)
        return "".join(missing) + estimate.text(
            job, classifiers, out, processes=processes, time=time
        )

    def _with_lanes(self, loaded: Loaded, out: Path, overwrite: bool, host: hosts.Host) -> plan.Job:
        """A run has one number of lanes from its first row to its last, since another rounds otherwise.

        Several processes must have the same.
        """
        identity = {} if overwrite else store.Run(out).manifest().get("identity")
        known = identity.get("--lanes") if isinstance(identity, dict) else None
        if not known and host.processes > 1:
            known = engine.DEFAULT_LANES
        lanes = memory.choose(
            (loaded[name] for name in self.job.models), self.job.settings.lanes, known
        )
        return replace(self.job, settings=replace(self.job.settings, lanes=lanes))

    def _manifest(self, job: plan.Job) -> dict[str, Any]:
        return {
            "models": job.models,
            "settings": {"zoo": self.zoo.name, "data": job.source.name} | job.settings.to_dict(),
            "data": job.source.facts(),
            "weights": {name: entry.facts for name, entry in self.entries.items()},
            "devices": [str(device) for device in jax.devices()],
            "machine": machine.kind(),
            "commit": machine.commit(),
            "date": time.strftime("%Y-%m-%d"),
            "versions": {"python": platform.python_version()}
            | versions(*PACKAGES, "pandas", "pyarrow"),
        }


def evaluate(
    models: Sequence[str | Classifier],
    data: Data = "digits",
    settings: Settings | None = None,
    *,
    out: str | os.PathLike | None = None,
    zoo: str = "digits",
    weights_dir: str | None = None,
    input_sizes: Mapping[str, int] | None = None,
    ensembles: Iterable[Sequence[str]] = (),
    overwrite: bool = False,
    any_machine: bool = False,
) -> Run:
    """Attack classifiers, score them with CLEVER, transfer every adversarial image, and report.

    Args:
        models: names of the zoo, such as "vgg_16"; FILE.py:FUNCTION, which returns classifiers; or
            `jaxadv.Classifier` objects. Mixed as you like.
        data: "digits", "imagefolder:DIR", "tfds:NAME", "npz:FILE", a `Source`, or a pair of arrays:
            images (N, H, W, 3), uint8 or float in [0, 1], and labels (N,) integers.
        settings: what is attacked with what; the study's attacks if not given.
        out: folder of the run; a new one below results/ if not given. A run that is there is continued.
        zoo: "digits" or "imagenet": where names of networks are looked up.
        weights_dir: folder of converted weights, for the zoo "imagenet".
        input_sizes: pixels by name, where a network of the zoo runs at another size than its own.
        ensembles: names of networks that are attacked as one, the mean of their logits.
        overwrite: replace the run that ``out`` holds.
        any_machine: go on with a run that another kind of machine began. Rows may then differ by
            rounding, as if they were computed again there.

    Returns:
        The run: its rows as DataFrames, its tables and its report.

    Raises:
        InputError: for bad input, before anything is written.

    >>> run = jaxadv.evaluate(["alexnet"], settings=jaxadv.Settings(attacks=(jaxadv.FGSM(eps=0.1),)))
    ... # doctest: +SKIP
    """
    folder = None if weights_dir is None else os.fspath(places.place("weights_dir", weights_dir))
    chosen = Zoo(zoo, folder, dict(input_sizes or {}))
    evaluation = Evaluation.of(models, data, settings, zoo=chosen, ensembles=ensembles)
    return evaluation.run(out, overwrite=overwrite, any_machine=any_machine)


def _source(data: Data, entries: Mapping[str, Entry]) -> Source:
    if isinstance(data, str):
        return open_source(data)
    if isinstance(data, Source):
        return data
    from jaxadv.data.arrays import from_arrays

    images, labels = data
    return from_arrays(images, labels, num_classes=next(iter(entries.values())).num_classes)


def _warn_of_dropped(run: store.Run) -> None:
    """How many pictures of the data could not be used, and why; they are rows of the run."""
    rows = run.read("dropped").drop_duplicates("image_id")
    if len(rows):
        reasons = rows["reason"].str.replace(r" \(.*", "", regex=True).value_counts()
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        log.warn(f"{len(rows)} pictures were left out ({counts}): {run.directory / 'dropped'}")
