"""How far a run is: its units, who works on them, and the hours that are left. It writes nothing but
a file that it removes again, to ask for the file server's time.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxadv.data.source import Source
from jaxadv.evaluation import costs, units
from jaxadv.evaluation.board import Board
from jaxadv.evaluation.plan import Job
from jaxadv.evaluation.settings import Settings
from jaxadv.evaluation.units import Unit
from jaxadv.store.claim_folder import ClaimFolder
from jaxadv.store.claims import FOLDER, Claims
from jaxadv.store.run import Run
from model_ports import facts
from model_ports.errors import InputError

LATELY = 3600.0
"""Rates are those of the last so many seconds."""
SHOWN = 40
"""The most claims that are listed."""


class Held(NamedTuple):
    """A claim, as it lies in the folder."""

    unit: str
    generation: int
    owner: str  # in words
    since: str
    silent: float  # seconds since the last renewal


def recorded(job: Job) -> dict[str, int]:
    """What the manifest must have besides settings, so that a run's units are known without its
    data.
    """
    return {"chosen_images": len(job.chosen), "classes": job.source.num_classes}


def listing(run: Run, job: Job) -> Callable[[Unit], bool]:
    """List the parts of a run.

    Args:
        run: the run.
        job: its job.

    Returns:
        The test whether all parts of a unit are in the list. Each folder is listed at its first use.
    """
    folders: dict[str, set[str]] = {}

    def is_done(unit: Unit) -> bool:
        for folder, name in units.files(job, unit):
            if folder not in folders:
                place = run.directory / folder
                folders[folder] = set(os.listdir(place)) if place.is_dir() else set()
            if name not in folders[folder]:
                return False
        return True

    return is_done


def text(directory: str | os.PathLike[str]) -> str:
    """How far a run is, in words.

    Args:
        directory: the run's folder.

    Returns:
        Several lines.

    Raises:
        InputError: if the folder has no run that has begun.
    """
    run = Run(directory)
    manifest = run.manifest()
    if "chosen_images" not in manifest:
        raise InputError(f"no run has begun in {str(run.directory)!r}; give --out=DIR of evaluate")
    job = _job(manifest)
    board = Board(job, costs.Costs(job, _gigaflops(manifest, job)))
    is_done = listing(run, job)
    shared = None
    classified = {name: all(map(is_done, units.classifications(job, name))) for name in job.models}
    if job.settings.selection == "common":
        classified = dict.fromkeys(job.models, all(classified.values()))
        shared = units.common(run, job) if all(classified.values()) else None
    done: list[Unit] = []
    for name in job.models:
        done += filter(is_done, units.classifications(job, name))
        if classified[name]:
            images = len(units.attackable(run, job, name, shared=shared).ids)
            board.know(name, images)
            done += filter(is_done, units.attempts(job, name, images))
    board.drop_done(is_done)
    held = list(_held(run.directory))
    taken = {claim.unit: claim.generation for claim in held}
    board.see(taken)
    left = {name: counts.total() for name, counts in board.counted().items()}
    in_work = len(board.taken())
    unsure = "" if all(classified.values()) else ", as if every image were classified correctly"
    lines = [
        f"{run.directory}: {len(done)} of {len(done) + sum(left.values())} units done{unsure}, "
        f"{in_work} in work"
    ]
    for name in job.models:
        count = sum(unit.network == name for unit in done)
        lines.append(f"  {name}: {count} done, {left[name]} left")
    for claim in held[:SHOWN]:
        again = f", taken over {claim.generation} times" if claim.generation else ""
        lines.append(
            f"  {claim.unit}: {claim.owner}, since {claim.since}{again}, "
            f"last sign of life {max(0.0, claim.silent):.0f} s ago"
        )
    if len(held) > SHOWN:
        lines.append(f"  and {len(held) - SHOWN} more in work")
    lines.append(_time(run, job, board, done, classified))
    return "\n".join(lines)


def _time(
    run: Run, job: Job, board: Board, done: list[Unit], classified: Mapping[str, bool]
) -> str:
    """The time that is left, by the rate of the last hour."""
    rest = sum(board.cost(unit) for unit in board.left)
    rest += sum(board.planned(name) for name in job.models if not classified[name])
    if not rest:
        parts = ", ".join(run.manifest().get("finished_parts", [])) or "none yet"
        return f"everything is done; ended parts: {parts}"
    times = []
    for unit in done:
        folder, name = units.files(job, unit)[0]
        times.append(((run.directory / folder / name).stat().st_mtime, unit))
    now = max((time for time, _ in times), default=0.0)
    begun = min((time for time, _ in times), default=0.0)
    since = max(begun, now - LATELY)
    work = sum(board.cost(unit) for time, unit in times if time > since)
    if not work or now <= since:
        return "time left: not known before some units are done"
    hours = rest / (work / (now - since)) / 3600
    return f"about {hours:.1f} h left, by what was done in {(now - since) / 60:.0f} min"


def _held(directory: Path) -> Iterator[Held]:
    """All claims on units, by name."""
    folder = ClaimFolder(directory / FOLDER)
    taken = Claims(directory).taken()
    if not taken:
        return
    probe = f".now-{os.urandom(4).hex()}"
    try:
        folder.create(probe, "")
        now = folder.time(probe)
    except OSError:  # a folder that nobody may write
        now = None
    folder.remove(probe)
    for unit, generation in sorted(taken.items()):
        name = f"{unit}+{generation}"
        then = folder.time(name)
        try:
            about = json.loads(folder.read(name))
            owner = f"process {about['pid']} on {about['host']}"
            since = str(about["since"])
        except (ValueError, KeyError, TypeError):
            owner, since = "an unknown process", "?"
        if then is not None and not unit.startswith("@"):
            yield Held(unit, generation, owner, since, 0.0 if now is None else now - then)


def _job(manifest: Mapping[str, Any]) -> Job:
    """The job of a run, without its data."""
    known = {
        name: value for name, value in manifest["settings"].items() if name not in ("zoo", "data")
    }
    settings = Settings.from_dict(known)
    groups = manifest["identity"].get("--ensembles") or []
    count = manifest["chosen_images"]

    def draw(*_: Any) -> np.ndarray:
        raise AssertionError("nobody reads a picture here")

    source = Source(
        name=manifest["settings"]["data"],
        ids=np.arange(count),
        labels=np.zeros(count, np.int32),
        names=[],
        num_classes=manifest["classes"],
        fingerprint="",
        draw=draw,
    )
    return Job(
        settings=settings,
        models=manifest["models"],
        ensembles={".".join(["ensemble", *group.split("+")]): group.split("+") for group in groups},
        source=source,
        chosen=np.arange(count),
        attempts=settings.attempts(),
    )


def _gigaflops(manifest: Mapping[str, Any], job: Job) -> dict[str, costs.Gigaflops]:
    sizes = {name: facts.get(name).input_size for name in job.models if name in facts.NAMES}
    found = {
        name: costs.of_zoo(manifest["settings"]["zoo"], name, size) for name, size in sizes.items()
    }
    return {name: cost for name, cost in found.items() if cost is not None}
