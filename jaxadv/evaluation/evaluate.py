"""The study on networks and data: attacks, CLEVER scores, transfer between networks, and the
report.

The same call continues an interrupted run (see `jaxadv.evaluation.units`).
"""

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
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
from jaxadv.evaluation import costs, estimate, hosts, networks, plan, precision, status
from jaxadv.evaluation.compiled import Compiled, Loaded, check_contracts
from jaxadv.evaluation.identity import PACKAGES, identity, versions
from jaxadv.evaluation.networks import Entry, Zoo
from jaxadv.evaluation.results import Run
from jaxadv.evaluation.scheduler import Scheduler
from jaxadv.evaluation.settings import CLEVER, Settings
from jaxadv.store import claims
from jaxadv.store import run as store
from jaxadv.support import checks, log, machine, places
from model_ports.errors import InputError

Data = str | Source | tuple[np.ndarray, np.ndarray]
"""A name as for `--data`, a source, or images (N, H, W, 3) with labels (N,)."""


@dataclass(frozen=True)
class Evaluation:
    """Networks, data and settings that fit together. Nothing is loaded or written yet."""

    entries: dict[str, Entry]
    job: plan.Job  # its number of lanes may still be None
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
        """Check the arguments of an evaluation and put them together.

        Args:
            models: as for `evaluate`.
            data: as for `evaluate`.
            settings: as for `evaluate`.
            zoo: the zoo of the networks that are given by name; None for the digits.
            ensembles: as for `evaluate`.

        Returns:
            The evaluation.

        Raises:
            InputError: if an argument is wrong, or if networks and data do not fit together.
        """
        settings = settings or Settings()
        zoo = zoo or Zoo()
        ensembles = [list(members) for members in ensembles]
        settings.check()
        hosts.require_devices()
        source = open_source(data) if isinstance(data, str) else data  # loading takes longer
        classes = source.num_classes if isinstance(source, Source) else None
        entries = networks.choose(models, zoo, ensembles, num_classes=classes)
        source = source if isinstance(source, Source) else _source(source, entries)
        members = {name: list(entry.members) for name, entry in entries.items() if entry.members}
        job = plan.job(settings, list(entries), members, source)
        networks.check_classes(entries, source)
        networks.check_attacks(entries, job.attempts)
        chosen = precision.decided(
            settings.precision, [*job.attacks, *[CLEVER] * bool(job.clever_kinds)]
        )
        job = replace(job, settings=replace(settings, precision=chosen))
        return cls(entries, job, zoo)

    def _loaded(self) -> Loaded:
        settings = self.job.settings
        return Loaded(self.entries, settings.precision, fast_layers=settings.fast_layers)

    def run(
        self,
        out: str | os.PathLike | None = None,
        *,
        overwrite: bool = False,
        any_machine: bool = False,
        join: bool = False,
        claim_seconds: float = claims.SECONDS,
    ) -> Run:
        """Run the evaluation, or the missing part of it.

        Args:
            out: the folder of the run; None for a new one below results/.
            overwrite: whether to replace the run in ``out``.
            any_machine: as for `evaluate`.
            join: as for `evaluate`.
            claim_seconds: as for `evaluate`.

        Returns:
            The run.

        Raises:
            InputError: if something is wrong. Wrong input is refused before anything is written.
        """
        began = time.time()
        checks.number("claim_seconds", claim_seconds, low=0, above=True)
        if join and out is None:
            raise InputError("--join without --out; give every process the same --out")
        out = places.place("out", out or time.strftime("results/%Y%m%d-%H%M%S"))
        mine = claims.Claims(out, seconds=claim_seconds)
        with ExitStack() as stack:
            if join:
                stack.enter_context(mine)
            beginning = hosts.begins(out, mine) if join else None
            loaded = self._loaded()
            job = self._with_lanes(loaded, out, overwrite)
            if beginning or not join and (overwrite or not store.Run(out).count_parts()):
                # refuses a network that cannot be loaded, before anything is written
                for name in job.models:
                    loaded[name]
                assert job.settings.lanes is not None
                check_contracts(loaded, job.models, job.settings.lanes)
            run = stack.enter_context(
                store.Run.begin(
                    out,
                    identity(job, self.zoo, self.entries),
                    overwrite=overwrite,
                    any_machine=any_machine,
                    joins=join,
                )
            )
            if beginning:
                mine.release(beginning)
            if not join:
                stack.enter_context(mine)
            stack.enter_context(log.to_file(run.directory, mine.owner if join else 0))
            finished = self._finish(run, job, mine, loaded, joins=join, began=began)
            mine.sweep()
            return finished

    def _finish(
        self,
        run: store.Run,
        job: plan.Job,
        mine: claims.Claims,
        loaded: Loaded,
        *,
        joins: bool,
        began: float,
    ) -> Run:
        """Do units until none is left. Then make the report, or wait for the process that does."""
        out = run.directory
        log.say("settings: %s", job.settings.to_dict())
        log.say("devices: %s", jax.local_devices())
        finished = run.manifest().get("finished_parts", [])
        ended_by = run.manifest().get("finished_by")

        def begin() -> None:
            if not joins or "settings" not in run.manifest():
                run.write_manifest(run.manifest() | self._manifest(job))

        if run.count_parts() and "settings" not in run.manifest():
            begin()  # the manifest was lost
        assert job.settings.lanes is not None
        counted = costs.Costs(job, networks.gigaflops(self.entries, self.zoo))
        with Compiled(loaded, job.settings.lanes) as compiled:
            work = Scheduler(run, job, mine, compiled, counted, joins=joins, begin=begin)
            while True:
                did_work = work.work()
                known = run.manifest().get("finished_parts", [])
                if set(job.settings.parts) <= set(known) and not did_work:
                    return Run(out, was_finished=set(job.settings.parts) <= set(finished))
                ending = hosts.ends(mine)
                if ending and run.manifest().get("finished_by") != ended_by:
                    mine.release(ending)  # another process has just ended the run
                    return Run(out)
                if ending is None:  # another process makes the report
                    if not hosts.wait_for_end(run, mine, job.settings.parts):
                        continue
                    return Run(out)
                if work.is_sound():
                    break
                mine.release(ending)
        _warn_of_dropped(run)
        for line in faults.of_run(run):
            log.warn(line)
        log.tell_skipped()
        if "report" in job.settings.parts:
            from jaxadv.report import remake

            remake.remake(out, progress=job.settings.progress)
        run.sweep()
        seconds = round(time.time() - began, 1)
        parts = sorted({*finished, *job.settings.parts})
        run.write_manifest(
            run.manifest()
            | {"seconds": seconds, "finished_parts": parts, "finished_by": mine.owner}
        )
        mine.release(ending)
        return Run(out, made_report=True)

    def estimate(
        self,
        out: str | os.PathLike[str] | None = None,
        *,
        measure: bool = False,
    ) -> str:
        """The plan of a run as text: its work and its disk space. Nothing is written.

        Args:
            out: the folder for the rows.
            measure: whether to load and compile every network, and to estimate the time on this
                machine. Otherwise nothing is loaded, and the number of lanes is the default if
                memory would decide it.

        Returns:
            Several lines.

        Raises:
            InputError: if a network cannot be loaded.
        """
        out = places.place("out", out or "results")
        missing = [f"missing: {line}\n" for line in networks.missing(self.entries)]
        if not measure:
            lanes = self.job.settings.lanes or engine.DEFAULT_LANES
            job = replace(self.job, settings=replace(self.job.settings, lanes=lanes))
            return "".join(missing) + estimate.text(job, self.entries, out)
        loaded = self._loaded()
        job = self._with_lanes(loaded, out, False)
        classifiers = {name: loaded[name] for name in job.models}
        time = estimate.measured(job, classifiers, zoo=self.zoo.name)
        return "".join(missing) + estimate.text(job, classifiers, out, time=time)

    def _with_lanes(self, loaded: Loaded, out: Path, overwrite: bool) -> plan.Job:
        """The job with its number of lanes.

        A run keeps its number, because rounding depends on it.
        """
        identity = {} if overwrite else store.Run(out).manifest().get("identity")
        known = identity.get("--lanes") if isinstance(identity, dict) else None
        lanes = memory.choose(
            (loaded[name] for name in self.job.models), self.job.settings.lanes, known
        )
        return replace(self.job, settings=replace(self.job.settings, lanes=lanes))

    def _manifest(self, job: plan.Job) -> dict[str, Any]:
        return {
            "models": job.models,
            **status.recorded(job),
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
    pretrained: bool = True,
    overwrite: bool = False,
    any_machine: bool = False,
    join: bool = False,
    claim_seconds: float = claims.SECONDS,
) -> Run:
    """Attack classifiers, score them with CLEVER, test the transfer of every adversarial image, and
    write a report.

    Args:
        models: the networks. Each is a name of the zoo, such as "vgg_16"; or a name of another
            library, such as "timm:resnet50"; or FILE.py:FUNCTION, a function that returns
            classifiers; or a `jaxadv.Classifier`.
        data: "digits", "imagefolder:DIR", "tfds:NAME", "parquet:PLACE", "npz:FILE", a `Source`, or
            a pair of arrays: images (N, H, W, 3), uint8 or float in [0, 1], and labels (N,)
            integers.
        settings: attacks, targets, parts and further settings; None for those of the study.
        out: the folder of the run; None for a new one below results/. A run in the folder is
            continued.
        zoo: "digits" or "imagenet": the zoo of the networks that are given by name.
        weights_dir: the folder of converted weights, for the zoo "imagenet".
        input_sizes: pixels by name, for networks of the zoo that run at another input size than
            usual.
        ensembles: groups of network names. Each group is also attacked as one network, the mean of
            its logits.
        pretrained: whether networks of other libraries have trained weights. If not, they have
            random weights, and as many classes as the data.
        overwrite: whether to replace the run in ``out``.
        any_machine: whether to continue a run that another kind of machine began. Its new rows may
            differ by rounding from rows of the first machine.
        join: whether to work on the run together with other processes, which have the same
            arguments. They may start and end at any time.
        claim_seconds: other processes take over the work of a process that gave no sign of life for
            so many seconds.

    Returns:
        The run: its rows as DataFrames, its tables and its report.

    Raises:
        InputError: if the input is wrong. Nothing is written then.

    >>> run = jaxadv.evaluate(["alexnet"], settings=jaxadv.Settings(attacks=(jaxadv.FGSM(eps=0.1),)))
    ... # doctest: +SKIP
    """
    folder = None if weights_dir is None else os.fspath(places.place("weights_dir", weights_dir))
    chosen = Zoo(zoo, folder, dict(input_sizes or {}), pretrained=pretrained)
    evaluation = Evaluation.of(models, data, settings, zoo=chosen, ensembles=ensembles)
    return evaluation.run(
        out,
        overwrite=overwrite,
        any_machine=any_machine,
        join=join,
        claim_seconds=claim_seconds,
    )


def _source(data: tuple[np.ndarray, np.ndarray], entries: Mapping[str, Entry]) -> Source:
    from jaxadv.data.arrays import from_arrays

    images, labels = data
    return from_arrays(images, labels, num_classes=next(iter(entries.values())).num_classes)


def _warn_of_dropped(run: store.Run) -> None:
    """Warn of pictures that could not be used, with reasons. The run has a row for each of them."""
    rows = run.read("dropped").drop_duplicates("image_id")
    if len(rows):
        reasons = rows["reason"].str.replace(r" \(.*", "", regex=True).value_counts()
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        log.warn(f"{len(rows)} pictures were left out ({counts}): {run.directory / 'dropped'}")
