"""The units of work of an evaluation. Each unit writes parts of the run's rows under its name. It
is done when its parts exist.

    NETWORK-BLOCK          clean and dropped: the classifications of a block of the data, and the
                           pictures that could not be used
    NETWORK-ATTACK-BLOCK   examples: every setting of one attack on a block of the attacked images;
                           adversarial: the pictures of the first block for the report;
                           transfer: the other networks' predictions
    NETWORK-clever-BLOCK   clever: the scores of a block towards every kind of target

A unit's rows depend on the run's identity alone. So any process can make an interrupted or damaged
unit again, with exactly the same rows. A block is the number of images in memory at a time, or
fewer, if these would keep a device busy for too long (see `size`).
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.data import selection, study
from jaxadv.evaluation.plan import Job
from jaxadv.store import image_store
from jaxadv.store.belonging import file_name
from jaxadv.store.run import Run

CLASSIFIED = 8
"""A block of classified images is as large as this many blocks of attacked images, since its rows
are few.
"""

MOST = 2**21
"""The most evaluations of a unit of attacks or scores, except if a single image has more.

At the study's settings these are 64 images of C&W, 32 of EAD-L1, and one image of CLEVER. The
slowest network of the study takes at most 3 hours for them on an H200, the fastest 3 minutes.
"""
FORWARD = 1 / 3
"""The cost of logits alone, as a share of logits with gradient."""
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
        Unit(name, "clean", "", block) for block in range(_blocks(len(job.chosen), size(job, "")))
    ]


def classified(job: Job, block: int) -> np.ndarray:
    """The images of a block of classifications, as indices into the data.

    Args:
        job: the job.
        block: the number of the block.

    Returns:
        (n,) int64.
    """
    count = size(job, "")
    return job.chosen[block * count : (block + 1) * count]


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
        block = size(job, unit.what)
        most = len(self.ids) if unit.stage == "attack" else job.settings.clever.images
        rows = slice(unit.block * block, (unit.block + 1) * block)
        drawn = None if self.drawn is None else self.drawn[:most][rows]
        return Attackable(
            self.ids[:most][rows], self.labels[:most][rows], drawn, self.digests[:most][rows]
        )


def size(job: Job, what: str) -> int:
    """The number of images in a unit.

    It is a power of two if it is smaller than the size of a block.

    Args:
        job: the job.
        what: an attack or "clever"; empty for classifications.

    Returns:
        A positive number.
    """
    block = job.settings.block_images
    if not what:
        return CLASSIFIED * block
    gradients, forwards = job.evaluations[what]
    fitting = max(1, int(MOST / (gradients + FORWARD * forwards)))
    return block if fitting >= block else 1 << (fitting.bit_length() - 1)


def attackable(run: Run, job: Job, name: str, *, shared: np.ndarray | None = None) -> Attackable:
    """The images of a network to attack. Its classifications must be done; for the selection
    "common", those of all networks.

    Args:
        run: the run with the rows.
        job: the job.
        name: the network.
        shared: the images that all networks classify correctly, if they are known; see `common`.

    Returns:
        The images.
    """
    clean = _clean(run, job, name, ["image_id", "label", "predicted", "digest"])
    right = clean["predicted"] == clean["label"]
    if job.settings.selection == "common":
        right &= np.isin(clean["image_id"], common(run, job) if shared is None else shared)
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


def common(run: Run, job: Job) -> np.ndarray:
    """The images that every network classifies correctly.

    Args:
        run: the run with the rows of all classifications.
        job: the job.

    Returns:
        (n,) int64 ids, ascending.
    """
    columns = ["image_id", "label", "predicted"]
    return selection.common(_clean(run, job, name, columns) for name in job.models)


def _clean(run: Run, job: Job, name: str, columns: list[str]) -> pd.DataFrame:
    return pd.concat(
        [run.read("clean", columns, part=unit.part) for unit in classifications(job, name)],
        ignore_index=True,
    )


def attempts(job: Job, name: str, images: int) -> list[Unit]:
    """The units that score and attack one network.

    Args:
        job: the job.
        name: the network.
        images: the number of its images to attack; see `attackable`.

    Returns:
        The units. Scores come first: in the meantime the other networks are compiled for the
        attacks' transfer.
    """
    scored = min(images, job.settings.clever.images or images)
    sizes = {attack: size(job, attack) for attack in job.attacks}
    attacks = [
        Unit(name, "attack", attack, block)
        for attack, count in sizes.items()
        for block in range(_blocks(images, count))
    ]
    attacks.sort(key=lambda unit: unit.block * sizes[unit.what])  # images are read once
    scores = [
        Unit(name, "clever", "clever", block)
        for block in range(_blocks(scored, size(job, "clever")) if job.clever_kinds else 0)
    ]
    return scores + attacks


def planned(job: Job, name: str) -> list[Unit]:
    """All units of one network, as if it classified every image correctly."""
    return classifications(job, name) + attempts(job, name, most_images(job))


def most_images(job: Job) -> int:
    """The number of attacked images of a network that is right on every image."""
    return min(len(job.chosen), job.settings.attacked_images or len(job.chosen))


def counted(listed: Iterable[Unit]) -> Counter[str]:
    """How many units there are of each kind, by what progress calls it."""
    return Counter(unit.what or CLASSIFICATION for unit in listed)


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
    stored = True
    if unit.stage == "attack" and job.settings.save_adversarial:
        kept = {"digest": run.belonging.digest("examples")}
        dtype = job.settings.save_dtype
        stored = image_store.has(run.directory, unit.part, **kept, dtype=dtype)
        if not stored:  # other processes look at names alone
            image_store.make_room(run.directory, unit.part, **kept)
    return all([stored, *(run.has(kind, unit.part) for kind in kinds(job, unit))])


def exists(run: Run, job: Job, unit: Unit) -> bool:
    """Whether all parts of a unit are there. They are not read.

    Args:
        run: the run with the rows.
        job: the job.
        unit: the unit.

    Returns:
        True if they are.
    """
    return all((run.directory / folder / name).exists() for folder, name in files(job, unit))


def files(job: Job, unit: Unit) -> list[tuple[str, str]]:
    """The folders of a unit's parts, and their names there.

    Args:
        job: the job.
        unit: the unit.

    Returns:
        A folder and a name for each part.
    """
    names = [(kind, file_name(unit.part)) for kind in kinds(job, unit)]
    if unit.stage == "attack" and job.settings.save_adversarial:
        names.append((image_store.FOLDER, image_store.name(unit.part)))
    return names


def _blocks(count: int, size: int) -> int:
    return -(-count // size)
