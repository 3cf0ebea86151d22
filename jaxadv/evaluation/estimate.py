"""The plan of an evaluation: its work, its disk space and its time. Nothing is written."""

import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import jax
import numpy as np

from jaxadv.clever.sampler import PROTOCOLS, CleverSampler
from jaxadv.core.classifier import Classifier
from jaxadv.core.probe import Schedule
from jaxadv.evaluation import rates
from jaxadv.evaluation.plan import Job
from jaxadv.support.progress import Progress

REPEATS = 3
ROW = {"examples": 45, "transfer": 6, "clever": 100}
"""Bytes of a compressed row on disk, measured on the embedded job."""
PICTURE = 0.67
"""The share of an adversarial image's bytes after lossless compression, measured on real
photographs.
"""

REPORT = "disk: tables, figures and page come on top, 9 MB for the 18 networks of the embedded job"
"""As they lie in results/reference."""


class Size(Protocol):
    """The sizes of a network that a plan needs. It needs no weights."""

    @property
    def input_size(self) -> int: ...

    @property
    def num_classes(self) -> int: ...


class Counts(NamedTuple):
    """The most work that a job can be."""

    gradients: int  # steps of all lanes with gradient, for each network
    forwards: int  # steps of all lanes without gradient, for each network
    pairs: dict[
        str, int
    ]  # for each network, the number of (image, target) pairs that CLEVER scores
    table: list[tuple[str, ...]]  # the same as text


def counts(job: Job, sizes: Mapping[str, Size]) -> Counts:
    """The largest number of evaluations of a job, for each network.

    Args:
        job: the job, with its number of lanes.
        sizes: the networks of the job by name.

    Returns:
        The counts.
    """
    settings = job.settings
    lanes = _lanes(job)
    images = len(job.chosen)
    attacked = min(settings.attacked_images or images, images)
    scored = min(settings.clever.images or attacked, attacked)
    attempts = attacked * len(job.attempts)
    table: list[tuple[str, ...]] = [("", "attempts", "gradients", "forwards")]
    totals = np.zeros(2, int)  # steps of all lanes: with gradient, and without
    for attack in job.attacks:
        probes = [attempt.probe for attempt in job.attempts if attempt.attack == attack]
        steps = np.sum([attack_steps(probe, attacked, lanes) for probe in probes], axis=0)
        totals += steps
        table.append(
            (attack, f"{attacked * len(probes):,}", *(f"{lanes * step:,}" for step in steps))
        )
    pairs = {
        name: scored
        * sum(one.num_classes - 1 if kind == "untargeted" else 1 for kind in job.clever_kinds)
        for name, one in sizes.items()
    }
    clever = settings.clever
    if job.clever_kinds:
        probe = CleverSampler(
            radius=PROTOCOLS[clever.protocol], samples=clever.samples, protocol=clever.protocol
        )
        most = max(pairs.values())
        steps = _steps(probe.schedule, most * clever.batches, lanes)
        totals += steps
        table.append(
            (
                "clever",
                f"{most * clever.batches:,} batches",
                *(f"{lanes * step:,}" for step in steps),
            )
        )
    others = len(job.models) - 1 if "transfer" in settings.parts else 0
    shown = (
        math.ceil(images / lanes)
        + math.ceil(attempts / lanes)
        + others * math.ceil((attempts + attacked) / lanes)
    )
    totals[1] += shown
    table.append(
        (
            "clean and shown",
            f"{images + others * (attempts + attacked):,} images",
            "0",
            f"{lanes * shown:,}",
        )
    )
    return Counts(int(totals[0]), int(totals[1]), pairs, table)


def text(job: Job, sizes: Mapping[str, Size], out: Path, *, time: str = "") -> str:
    """The plan as text: the most evaluations, and the disk space. Nothing is measured.

    Args:
        job: the job, with its number of lanes.
        sizes: the networks of the job by name.
        out: the folder for the rows.
        time: the lines about time, from `measured`; empty for a hint.

    Returns:
        Several lines.
    """
    counted = counts(job, sizes)
    images = len(job.chosen)
    attacked = min(job.settings.attacked_images or images, images)
    what = (
        f"{len(job.models)} networks, {images} images each, {attacked} of them attacked, "
        f"{_lanes(job)} lanes"
    )
    kept, passing = disk(job, sizes, counted.pairs)
    what_is_kept = "rows and images" if job.settings.save_adversarial else "rows"
    reports = "report" in job.settings.parts
    lines = [
        f"{what}; at most, for a network:",
        _aligned(counted.table),
        time or "time: --dry_run=measure measures each network, and says how long the run takes",
        f"disk: about {_size(kept)} of {what_is_kept}, and {_size(passing)} of images while "
        f"networks run; {_free_space(out)}",
        *([REPORT] if reports else []),
        "nothing was written",
    ]
    return "\n".join(lines)


def measured(job: Job, classifiers: dict[str, Classifier], *, zoo: str) -> str:
    """The time of a job as text, by a short measurement of each network.

    Args:
        job: the job, with its number of lanes.
        classifiers: the networks of the job by name.
        zoo: the zoo of the networks. For "imagenet" the text also has the time on devices in
            rates.csv.

    Returns:
        Several lines.
    """
    lanes = _lanes(job)
    counted = counts(job, classifiers)
    works: dict[str, rates.Work] = {}
    table = [("", "gradient", "forward", "GFLOP an image", "compiled in", "at most")]
    seconds = 0.0
    with Progress("measuring", len(classifiers), "networks", show=job.settings.progress) as bar:
        for name, classifier in classifiers.items():
            compiled, gradient, forward = measure(classifier, lanes)
            whole = compiled + counted.gradients * gradient + counted.forwards * forward
            seconds += whole
            operations = gigaflops(classifier)
            works[name] = rates.Work(
                lanes * counted.gradients, lanes * counted.forwards, operations
            )
            arithmetic = " and ".join(f"{count:.3g}" for count in operations)
            times = (
                f"{gradient * 1e3:.1f} ms",
                f"{forward * 1e3:.1f} ms",
                arithmetic,
                f"{compiled:.1f} s",
            )
            table.append((name, *times, _clock(whole)))
            bar.advance(1)
    devices = jax.local_device_count()
    among = f", shared by {devices} devices {_clock(seconds / devices)}" if devices > 1 else ""
    lines = [
        f"\na step of {lanes} lanes on {jax.devices()[0].device_kind}, "
        f"measured:\n{_aligned(table)}",
        f"\ntime: at most {_clock(seconds)}{among}; C&W and EAD-L1 usually end early",
        *(rates.told(works) if zoo == "imagenet" else []),
    ]
    return "\n".join(lines)


def _lanes(job: Job) -> int:
    lanes = job.settings.lanes
    assert lanes is not None
    return lanes


def disk(job: Job, sizes: Mapping[str, Size], pairs: Mapping[str, int]) -> tuple[float, float]:
    """The disk space of a run.

    Args:
        job: the job.
        sizes: the networks of the job by name.
        pairs: for each network, the number of (image, target) pairs that CLEVER scores.

    Returns:
        Bytes that the run keeps, and bytes of images while networks run.
    """
    settings = job.settings
    images = len(job.chosen)
    attacked = min(settings.attacked_images or images, images)
    attempts = attacked * len(job.attempts)
    others = len(job.models) - 1 if "transfer" in settings.parts else 0
    rows = ROW["examples"] * attempts + ROW["transfer"] * attempts * others
    kept = sum(
        rows + count * 3 * (ROW["clever"] + 4 * settings.clever.batches) for count in pairs.values()
    )
    pictures = [12 * attempts * one.input_size**2 for one in sizes.values()]
    passing = max(pictures) * min(1, settings.block_images / attacked)
    return kept + (PICTURE * sum(pictures) if settings.save_adversarial else 0), passing


def _free_space(out: Path) -> str:
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    return f"{_size(shutil.disk_usage(there).free)} are free in {there}"


def attack_steps(probe, items: int, lanes: int) -> np.ndarray:
    """The largest number of steps of all lanes that attacks with one setting take.

    Args:
        probe: the attack.
        items: the number of attacks.
        lanes: attacks side by side.

    Returns:
        (2,) int: steps with gradient, and steps of logits alone.
    """
    return _steps(probe.schedule, items, lanes)


def _steps(schedule: Schedule, items: int, lanes: int) -> np.ndarray:
    return math.ceil(items / lanes) * np.array(schedule.evaluations())


def measure(classifier: Classifier, lanes: int) -> tuple[float, float, float]:
    """Measure a network.

    Args:
        classifier: the network.
        lanes: images of one call.

    Returns:
        Seconds to compile both programs, of a step with gradient, and of a step without. A step's
        time is the shortest of a few.
    """
    began = time.perf_counter()
    classifier.compile(lanes)
    compiled = time.perf_counter() - began
    images, objectives = classifier.grey(lanes)
    return (
        compiled,
        _shortest(lambda: classifier.oracle.ask(classifier.params, images, objectives)),
        _shortest(lambda: classifier.oracle.logits(classifier.params, images)),
    )


def gigaflops(classifier: Classifier) -> tuple[float, float]:
    """The arithmetic of one image in GFLOP, as XLA counts it for CPU. XLA does not count it for a
    GPU.

    Args:
        classifier: the network.

    Returns:
        GFLOP of a gradient, including the forward pass, and GFLOP of logits alone. NaN if XLA
        cannot count them.
    """
    images, objectives = classifier.grey(1)
    programs = {classifier.oracle.ask: (images, objectives), classifier.oracle.logits: (images,)}
    params = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), classifier.params
    )
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            costs = [
                program.lower(params, *asked).cost_analysis() or {}
                for program, asked in programs.items()
            ]
    except RuntimeError:  # CPU is not among JAX's platforms
        costs = [{}, {}]
    return tuple(cost.get("flops", np.nan) / 1e9 for cost in costs)


def _shortest(step) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(step())
        times.append(time.perf_counter() - began)
    return min(times)


def _aligned(table: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in table
    )


def _clock(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{minutes} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )


def _size(count: float) -> str:
    return (
        f"{count / 1e3:.0f} kB"
        if count < 1e6
        else f"{count / 1e6:.0f} MB"
        if count < 1e9
        else f"{count / 1e9:.1f} GB"
    )
