"""The units of work of an evaluation. Each unit writes parts of the run's rows under its name. It
is done when its parts exist.

    NETWORK-BLOCK          clean and dropped: the classifications of a block of the data, and the
    pictures that could not be used NETWORK-ATTACK-BLOCK   examples: every setting of one attack on
    a block of the attacked images;
                           adversarial: the pictures of the first block for the report; transfer:
                           the other networks' predictions
    NETWORK-clever-BLOCK   clever: the scores of a block towards every kind of target

A unit's rows depend on the run's identity alone. So any process can make an interrupted or damaged
unit again, with exactly the same rows. A block is the number of images in memory at a time.
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
"""A block of classified images is as large as this many blocks of attacked images, since its rows
are few.
"""

CLASSIFICATION = "classification"
"""What progress calls a unit that classifies."""


class Unit(NamedTuple):
    """One unit of work."""

    network: str
    stage: str  # "clean", "attack" or "clever"
    what: str  # the attack, or "clever"; empty for "clean"
    block: int

    @property
    def part(self) -> str:
        """The name of its parts."""
        return "-".join(filter(None, [self.network, self.what, f"{self.block:04d}"]))

    @property
    def is_pictured(self) -> bool:
        """Whether the report shows an image of an attack's unit."""
        return self.block == 0


def classifications(job: Job, name: str) -> list[Unit]:
    """The units that classify the data with one network.

    Args:
        job: the job.
        name: the network.

    Returns:
        The units, in the order of blocks.
    """
    return [
        Unit(name, "clean", "", block)
        for block in range(_blocks(len(job.chosen), CLASSIFIED * job.settings.block_images))
    ]


def classified(job: Job, block: int) -> np.ndarray:
    """The images of a block of classifications, as indices into the data.

    Args:
        job: the job.
        block: the number of the block.

    Returns:
        (n,) int64.
    """
    size = CLASSIFIED * job.settings.block_images
    return job.chosen[block * size : (block + 1) * size]


class Attackable(NamedTuple):
    """The images to attack: the first images that a network classifies correctly."""

    ids: np.ndarray  # (N,) int64
    labels: np.ndarray  # (N,) int32
    drawn: np.ndarray | None  # (N,) int32, the random targets of the study
    digests: np.ndarray  # (N,) str, digests of the pictures' files; see `jaxadv.store.rows`

    def block(self, job: Job, unit: Unit) -> "Attackable":
        """The images of one unit.

        Args:
            job: the job.
            unit: a unit of attacks or scores.

        Returns:
            Its images. For scores they end at the number of images that CLEVER scores.
        """
        start = unit.block * job.settings.block_images
        most = len(self.ids) if unit.stage == "attack" else job.settings.clever.images
        rows = slice(start, start + job.settings.block_images)
        drawn = None if self.drawn is None else self.drawn[:most][rows]
        return Attackable(
            self.ids[:most][rows], self.labels[:most][rows], drawn, self.digests[:most][rows]
        )


def attackable(run: Run, job: Job, name: str) -> Attackable:
    """The images of a network to attack. Its classifications must be done; for the selection
    "common", those of all networks.

    Args:
        run: the run with the rows.
        job: the job.
        name: the network.

    Returns:
        The images.
    """
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
    """The units that score and attack one network. Its classifications must be done.

    They are in the order of blocks, so the images of a block are read once. Scores come first: in
    the meantime the other networks are compiled for the attacks' transfer.

    Args:
        run: the run with the rows.
        job: the job.
        name: the network.

    Returns:
        The units.
    """
    return _attempts(job, name, len(attackable(run, job, name).ids))


def planned(job: Job, name: str) -> list[Unit]:
    """All units of one network, as if it classified every image correctly."""
    images = min(len(job.chosen), job.settings.attacked_images or len(job.chosen))
    return classifications(job, name) + _attempts(job, name, images)


def counted(listed: Iterable[Unit]) -> Counter[str]:
    """How many units there are of each kind, by what progress calls it."""
    return Counter(unit.what or CLASSIFICATION for unit in listed)


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
    """The kinds of rows that a unit writes.

    Args:
        job: the job.
        unit: the unit.

    Returns:
        Names of kinds, in the order of writing.
    """
    if unit.stage == "clean":
        return ["dropped", "clean"]
    if unit.stage == "clever":
        return ["clever"]
    shown = bool(shown_to(job, unit.network))
    return ["examples"] + ["adversarial"] * unit.is_pictured + ["transfer"] * shown


def shown_to(job: Job, name: str) -> list[str]:
    """The networks that are tested with the adversarial images of a network.

    These are all other networks except ensembles. An ensemble's images are not shown to its
    members.

    Args:
        job: the job.
        name: the network that was attacked.

    Returns:
        Names of networks; none if the job has no transfer.
    """
    hidden = {name, *job.ensembles, *job.ensembles.get(name, ())}
    asked = "transfer" in job.settings.parts
    return [other for other in job.models if asked and other not in hidden]


def is_done(run: Run, job: Job, unit: Unit) -> bool:
    """Whether all parts of a unit exist and are undamaged. Damaged parts are removed.

    Args:
        run: the run with the rows.
        job: the job.
        unit: the unit.

    Returns:
        True if it is done.
    """
    stored = _images(run, job, unit)
    return all([stored, *(run.has(kind, unit.part) for kind in kinds(job, unit))])


def exists(run: Run, job: Job, unit: Unit) -> bool:
    """Whether all parts of another process's unit exist. Only that process checks them for damage.

    Args:
        run: the run with the rows.
        job: the job.
        unit: the unit.

    Returns:
        True if they exist.
    """
    return _images(run, job, unit, whole=False) and all(
        run.exists(kind, unit.part) for kind in kinds(job, unit)
    )


def _images(run: Run, job: Job, unit: Unit, *, whole: bool = True) -> bool:
    """Whether the images of a unit exist, if the run keeps images.

    With ``whole`` their checksums are compared.
    """
    if unit.stage != "attack" or not job.settings.save_adversarial:
        return True
    look = image_store.has if whole else image_store.exists
    return look(run.directory, unit.part, digest=run.belonging.digest("examples"))


def is_finished(run: Run, job: Job, name: str) -> bool:
    """Whether all units of a network are done.

    Args:
        run: the run with the rows.
        job: the job.
        name: the network.

    Returns:
        True if nothing is left to do.
    """
    return all(is_done(run, job, unit) for unit in classifications(job, name)) and all(
        is_done(run, job, unit) for unit in attempts(run, job, name)
    )


def cost(job: Job, unit: Unit) -> float:
    """The approximate work of a unit, to share units among processes. A gradient counts twice as
    much as logits.

    Args:
        job: the job.
        unit: the unit.

    Returns:
        A positive number, in units of logits for each image.
    """
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
    """The units of one process.

    Each unit goes to the process with the least work so far. All processes compute the same shares,
    and work on the same networks at the same time.

    Args:
        job: the job.
        units: all units.
        process: the number of the process, from 0.
        processes: how many there are.

    Returns:
        The units of this process, in order.
    """
    loads = np.zeros(processes)
    mine = []
    for unit in units:
        owner = int(loads.argmin())
        loads[owner] += cost(job, unit)
        if owner == process:
            mine.append(unit)
    return mine


def _blocks(count: int, size: int) -> int:
    return -(-count // size)
