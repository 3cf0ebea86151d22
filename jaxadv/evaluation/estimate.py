"""--dry_run: what an evaluation would do, how long it would take on this machine, and how much disk; nothing is written."""

import math
import shutil
import time
from pathlib import Path

import jax
import numpy as np

from jaxadv.clever.sampler import PROTOCOLS, CleverSampler
from jaxadv.core.classifier import Classifier
from jaxadv.core.probe import Schedule
from jaxadv.evaluation.plan import Job
from jaxadv.support.progress import Progress

REPEATS = 3
# Bytes of a row on disk, compressed; measured on the embedded job
ROW = {"examples": 45, "transfer": 6, "clever": 100}
PICTURE = 0.67
"""What lossless compression leaves of an adversarial image; measured on real photographs."""


def show(job: Job, classifiers: dict[str, Classifier], out: Path, *, processes: int) -> None:
    """Print the plan, the evaluations that it takes at most, from a short measurement of each network the time, and the disk.

    out: where the rows are to go; processes: among whom the work is to be shared, each with devices like this one's.
    """
    images = len(job.chosen)
    attacked = min(job.attacked_images or images, images)
    scored = min(job.clever_images or attacked, attacked)
    attempts = attacked * len(job.settings)
    print(f"{len(job.models)} networks, {images} images each, {attacked} of them attacked, {job.lanes} lanes; at most, for a network:")
    table = [("", "attempts", "gradients", "forwards")]
    totals = np.zeros(2, int)  # steps of all lanes, gradient and forward
    for attack in job.attacks:
        steps = sum(attack_steps(setting.probe, attacked, job.lanes) for setting in job.settings if setting.attack == attack)
        totals += steps
        count = attacked * sum(setting.attack == attack for setting in job.settings)
        table.append((attack, f"{count:,}", *(f"{job.lanes * step:,}" for step in steps)))
    pairs = {name: scored * sum(c.num_classes - 1 if k == "untargeted" else 1 for k in job.clever_kinds) for name, c in classifiers.items()}
    if job.clever_kinds:
        probe = CleverSampler(radius=PROTOCOLS[job.clever["protocol"]], samples=job.clever["samples"], protocol=job.clever["protocol"])
        most = max(pairs.values())
        steps = _steps(probe.schedule, most * job.clever["batches"], job.lanes)
        totals += steps
        table.append(("clever", f"{most * job.clever['batches']:,} batches", *(f"{job.lanes * step:,}" for step in steps)))
    others = len(job.models) - 1 if "transfer" in job.parts else 0
    shown = math.ceil(images / job.lanes) + math.ceil(attempts / job.lanes) + others * math.ceil((attempts + attacked) / job.lanes)
    totals[1] += shown
    table.append(("clean and shown", f"{images + others * (attempts + attacked):,} images", "0", f"{job.lanes * shown:,}"))
    print(_aligned(table))

    table, seconds = [("", "gradient", "forward", "GFLOP an image", "compiled in", "at most")], 0.0
    with Progress("measuring", len(classifiers), "networks", show=job.progress) as bar:
        for name, classifier in classifiers.items():
            compiled, gradient, forward = measure(classifier, job.lanes)
            own = compiled + totals @ (gradient, forward)
            seconds += own
            operations = " and ".join(f"{count:.3g}" for count in gigaflops(classifier))
            table.append((name, f"{gradient * 1e3:.1f} ms", f"{forward * 1e3:.1f} ms", operations, f"{compiled:.1f} s", _clock(own)))
            bar.advance(1)
    print(f"\na step of {job.lanes} lanes on {jax.devices()[0].device_kind}, measured:\n{_aligned(table)}")
    devices = processes * jax.local_device_count()
    among = f", shared by {devices} devices of {processes} processes {_clock(seconds / devices)}" if devices > 1 else ""
    print(f"\ntime: at most {_clock(seconds)}{among}; C&W and EAD-L1 usually end early")
    rows = ROW["examples"] * attempts + ROW["transfer"] * attempts * others
    kept = sum(rows + count * 3 * (ROW["clever"] + 4 * job.clever["batches"]) for count in pairs.values())
    pictures = [12 * attempts * classifier.input_size**2 for classifier in classifiers.values()]
    passing = processes * max(pictures) * min(1, job.block_images / attacked)
    if job.save_adversarial:
        kept += PICTURE * sum(pictures)
    print(f"disk: about {_size(kept)} to keep, and {_size(passing)} of images while networks are at work; {_told_free(out)}")
    print("nothing was written")


def _told_free(out: Path) -> str:
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    return f"{_size(shutil.disk_usage(there).free)} are free in {there}"


def attack_steps(probe, items: int, lanes: int) -> np.ndarray:
    """Steps of all lanes that ``items`` attacks with one setting take at most: with gradient, and of logits alone."""
    return _steps(probe.schedule, items, lanes)


def _steps(schedule: Schedule, items: int, lanes: int) -> np.ndarray:
    return math.ceil(items / lanes) * np.array(schedule.evaluations())


def measure(classifier: Classifier, lanes: int) -> tuple[float, float, float]:
    """Seconds to compile both programs, and of a step with gradient and of one without: the shortest of a few."""
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
    """As XLA counts them for a processor (for a GPU it does not), of one image's gradient, which has the forward pass in it, and of its
    logits alone; NaN where it cannot."""
    images, objectives = classifier.grey(1)
    programs = {classifier.oracle.ask: (images, objectives), classifier.oracle.logits: (images,)}
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), classifier.params)
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            costs = [program.lower(params, *asked).cost_analysis() or {} for program, asked in programs.items()]
    except RuntimeError:  # without processors among JAX's platforms
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
    return "\n".join("  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table)


def _clock(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _size(count: float) -> str:
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
