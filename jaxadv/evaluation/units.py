"""The units of work of an evaluation, each with parts of the run's rows under its name: a unit whose parts are there is done.

    NETWORK-BLOCK          clean and dropped: the classifications of a block of the data, and the pictures that could not be used
    NETWORK-ATTACK-BLOCK   examples: every setting of one attack on a block of the attacked images;
                           adversarial: what the report shows of the first block; transfer: the images shown to the other networks
    NETWORK-clever-BLOCK   clever: the scores of a block towards every kind of target

A unit's rows follow from the run's identity alone: one that was interrupted or damaged is made again to the bit, by whichever process. A
block is what is in memory at a time.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.data import study
from jaxadv.data.selection import common
from jaxadv.evaluation.plan import Job
from jaxadv.store import image_store
from jaxadv.store.run import Run

CLASSIFIED = 8
"""Blocks of attacked images in a block of classified ones, whose rows are few."""


class Unit(NamedTuple):
    """See above."""

    network: str
    stage: str  # "clean", "attack" or "clever"
    what: str  # the attack, or "clever"; empty for "clean"
    block: int

    @property
    def part(self) -> str:
        return "-".join(filter(None, [self.network, self.what, f"{self.block:04d}"]))


def classifications(job: Job, name: str) -> list[Unit]:
    """Those of one network."""
    return [
        Unit(name, "clean", "", block)
        for block in range(_blocks(len(job.chosen), CLASSIFIED * job.settings.block_images))
    ]


def classified(job: Job, block: int) -> np.ndarray:
    """The indices of a block into the source."""
    size = CLASSIFIED * job.settings.block_images
    return job.chosen[block * size : (block + 1) * size]


class Attackable(NamedTuple):
    """The images of one network that it classifies correctly, as far as they are attacked."""

    ids: np.ndarray  # (N,) int64
    labels: np.ndarray  # (N,) int32
    drawn: np.ndarray | None  # (N,) int32, the study's own random targets
    digests: np.ndarray  # (N,) str, of the pictures' files; see `jaxadv.store.rows`

    def block(self, job: Job, unit: Unit) -> "Attackable":
        """Those of one block; of "clever" only so many are scored."""
        start, most = (
            unit.block * job.settings.block_images,
            len(self.ids) if unit.stage == "attack" else job.settings.clever.images,
        )
        rows = slice(start, start + job.settings.block_images)
        drawn = None if self.drawn is None else self.drawn[:most][rows]
        return Attackable(
            self.ids[:most][rows], self.labels[:most][rows], drawn, self.digests[:most][rows]
        )


def attackable(run: Run, job: Job, name: str) -> Attackable:
    """Known once the network is classified; where all networks must be right, once all are."""
    clean = _clean(run, job, name)
    right = clean["predicted"] == clean["label"]
    if job.settings.selection == "common":
        right &= clean["image_id"].isin(
            common(pd.concat([_clean(run, job, model) for model in job.models]), job.models)
        )
    use = np.flatnonzero(right)[: job.settings.attacked_images]
    labels = clean["label"].to_numpy()
    drawn = (
        study.random_targets(labels, seed=job.settings.study_seed)[use]
        if job.has_study_targets
        else None
    )
    return Attackable(
        clean["image_id"].to_numpy()[use], labels[use], drawn, clean["digest"].to_numpy()[use]
    )


def _clean(run: Run, job: Job, name: str) -> pd.DataFrame:
    return pd.concat(
        [run.read("clean", part=unit.part) for unit in classifications(job, name)],
        ignore_index=True,
    )


def attempts(run: Run, job: Job, name: str) -> list[Unit]:
    """The scores and attacks of one network, once it is classified: block by block, since their images are then read once.

    Scores first: while they are computed, the other networks are compiled, to which attacks show their images.
    """
    return _attempts(job, name, len(attackable(run, job, name).ids))


def planned(job: Job, name: str) -> list[Unit]:
    """All units of one network, as if it classified every image correctly."""
    images = min(len(job.chosen), job.settings.attacked_images or len(job.chosen))
    return classifications(job, name) + _attempts(job, name, images)


def counted(listed: Iterable[Unit]) -> Counter[str]:
    """How many units there are of each kind, by what progress calls it."""
    return Counter(unit.what or "classification" for unit in listed)


def _attempts(job: Job, name: str, images: int) -> list[Unit]:
    scored = min(images, job.settings.clever.images or images)
    attacks = [
        Unit(name, "attack", attack, block)
        for block in range(_blocks(images, job.settings.block_images))
        for attack in job.attacks
    ]
    scores = [
        Unit(name, "clever", "clever", block)
        for block in range(_blocks(scored, job.settings.block_images))
        if job.clever_kinds
    ]
    return scores + attacks


def kinds(job: Job, unit: Unit) -> list[str]:
    """The kinds of rows that a unit makes."""
    if unit.stage == "clean":
        return ["dropped", "clean"]
    if unit.stage == "clever":
        return ["clever"]
    shown = "transfer" in job.settings.parts and job.shown_to(unit.network)
    return ["examples"] + ["adversarial"] * (unit.block == 0) + ["transfer"] * bool(shown)


def is_done(run: Run, job: Job, unit: Unit) -> bool:
    """Whether all of a unit's parts are there, and whole; damaged ones are removed."""
    stored = _images(run, job, unit)
    return all([stored, *(run.has(kind, unit.part) for kind in kinds(job, unit))])


def exists(run: Run, job: Job, unit: Unit) -> bool:
    """The same of another process's unit: its parts, which that process reads, are there."""
    return _images(run, job, unit, whole=False) and all(
        run.exists(kind, unit.part) for kind in kinds(job, unit)
    )


def _images(run: Run, job: Job, unit: Unit, *, whole: bool = True) -> bool:
    """Whether the images of a unit are kept, if they are asked for. whole: read them, and compare their checksums."""
    if unit.stage != "attack" or not job.settings.save_adversarial:
        return True
    look = image_store.has if whole else image_store.exists
    return look(run.directory, unit.part, digest=run.belonging.digest("examples"))


def is_finished(run: Run, job: Job, name: str) -> bool:
    """Whether nothing is left of a network."""
    return all(is_done(run, job, unit) for unit in classifications(job, name)) and all(
        is_done(run, job, unit) for unit in attempts(run, job, name)
    )


def cost(job: Job, unit: Unit) -> float:
    """About how much work a unit is, to share them out; a gradient counts twice."""
    if unit.stage == "clean":
        return 1
    if unit.stage == "clever":
        return (
            2.0 * len(job.clever_kinds) * job.settings.clever.batches * job.settings.clever.samples
        )
    return sum(
        np.dot(attempt.probe.schedule.evaluations(), (2, 1))
        for attempt in job.attempts
        if attempt.attack == unit.what
    )


def share(job: Job, units: Iterable[Unit], *, process: int, processes: int) -> list[Unit]:
    """Those of one process. Each unit goes to whoever has least so far: all find the same shares, and work on the same networks."""
    loads, own = np.zeros(processes), []
    for unit in units:
        owner = int(loads.argmin())
        loads[owner] += cost(job, unit)
        if owner == process:
            own.append(unit)
    return own


def _blocks(count: int, size: int) -> int:
    return -(-count // size)
