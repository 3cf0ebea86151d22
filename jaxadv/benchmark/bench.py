"""bench: how fast every attack and CLEVER run, beside the raw speed of the network's own gradient on the same batch.

The ceiling is one compiled call, logits and input gradient, repeated without a pause in between, but each after the other: calls that
need not wait for each other run side by side on a processor, and no attack's do. Everything is measured in one process, in turn, again
and again; a probe's share is of the ceiling right before and right after it, so that a machine that is busy with something else slows
both.
"""

import resource
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxadv.api import run_attacks
from jaxadv.attacks import catalog
from jaxadv.benchmark import pytorch as pytorch_speed
from jaxadv.clever.sampler import PROTOCOLS, CleverSampler, SampleItem
from jaxadv.core import engine, oracle
from jaxadv.core.classifier import Classifier
from jaxadv.core.probe import needs_of
from jaxadv.evaluation.estimate import gigaflops
from jaxadv.report.figures.canvas import render
from jaxadv.report.figures.throughput import throughput_figure
from jaxadv.support import checks, machine
from jaxadv.support.files import write_atomically
from jaxadv.support.progress import Progress

SEED = 1215
FEW, FEW_WAVES = 4, 8
"""An attack of fewer evaluations than the first runs the second number of items a lane."""
PEAK = {  # arithmetic operations a second in float32 without tensor cores, from the makers' data sheets
    "NVIDIA H200": 67e12,
    "NVIDIA H100 80GB HBM3": 67e12,
    "NVIDIA A100-SXM4-80GB": 19.5e12,
    "NVIDIA A100-SXM4-40GB": 19.5e12,
    "Tesla V100-SXM2-16GB": 15.7e12,
    "NVIDIA L4": 30.3e12,
    "Tesla T4": 8.1e12,
}
UNITS = {
    "model": "",
    "what": "",
    "evaluations_per_second": "image evaluations, with and without gradient, in a second",
    "percent": "of the ceiling: what its evaluations take in raw calls, over what it took; median of the turns",
    "percent_low": "25 % of the turns are below",
    "percent_high": "25 % of the turns are above",
    "percent_of_pytorch": "the gradient call, of the speed of timm's network in PyTorch (channels last), median of the turns",
    "gradients": "evaluations with gradient for an item, an image and target (CLEVER: a batch of samples)",
    "forwards": "evaluations of logits alone for an item, the final judgement included",
    "items_per_second": "at these settings, shorter than the study's",
    "compile_seconds": "of the first run, beyond what a run takes",
    "teraflops": "arithmetic of the gradient call in a second, as the compiler counts it",
    "percent_of_peak": "of what the device's maker states for float32",
    "device_megabytes": "most memory in use on the device so far",
    "host_megabytes": "most memory of the process so far",
}


class Bench(NamedTuple):
    """What is measured, and where the tables go."""

    out: Path
    zoo: str
    lanes: int
    precision: str
    steps: int  # evaluations of an attack, at least 4
    turns: int
    progress: bool


def run(classifiers: Iterable[Classifier], bench: Bench) -> pd.DataFrame:
    """Measure networks one after another; bench.csv, .md, .png and .svg, and the history, are written after each.

    Returns:
        The table, with the columns of `UNITS`.

    Raises:
        InputError: for a setting out of range, or a folder that cannot be written.
    """
    checks.count("bench_steps", bench.steps, low=4)
    rows, began, table = [], time.strftime("%Y-%m-%d %H:%M:%S"), pd.DataFrame()
    for classifier in classifiers:
        classifier = classifier.with_gradient_precision(bench.precision)
        with Progress(f"bench {classifier.name}", bench.turns, "turns", show=bench.progress) as bar:
            rows += measure(
                classifier,
                lanes=bench.lanes,
                steps=bench.steps,
                turns=bench.turns,
                pytorch=bench.zoo == "imagenet",
                advance=bar.advance,
            )
        table = pd.DataFrame(rows, columns=list(UNITS)).dropna(axis=1, how="all")
        write(table, bench, began)
    return table


def probes(steps: int) -> dict[str, Any]:
    """What is measured: every attack of the catalogue at about ``steps`` evaluations, without early abort."""
    made = {}
    for attack in catalog.ATTACKS:
        if attack.bench is None:  # made of others, which are measured
            continue
        settings = attack.bench(steps)
        made[attack.name] = attack.kind(**settings)
        for end, others in attack.bench_also.items():
            made[f"{attack.name}_{end}"] = attack.kind(**{**settings, **others})
    return made | {"clever": CleverSampler(PROTOCOLS["released"], samples=steps)}


def _waves(probe: Any) -> int:
    """Items a lane. Of an attack of two evaluations one item alone would measure little but its start and its judging."""
    return FEW_WAVES if sum(probe.schedule.evaluations()) < FEW else 1


def measure(
    classifier: Classifier,
    *,
    lanes: int,
    steps: int,
    turns: int,
    pytorch: bool = False,
    advance=lambda _: None,
) -> list[dict]:
    """Rows of `UNITS` for one network: the two raw calls, then every probe. pytorch: its gradient too, where that can be."""
    random = np.random.default_rng(SEED)
    images = random.uniform(
        0.1, 0.9, (lanes, classifier.input_size, classifier.input_size, 3)
    ).astype(np.float32)
    labels = classifier.predict(images)
    targets = ((labels + 1) % classifier.num_classes).astype(np.int32)
    objectives = jax.vmap(oracle.linear)(
        jnp.eye(classifier.num_classes, dtype=jnp.float32)[targets]
    )
    on_device, objectives = jax.device_put(
        (images, objectives), jax.local_devices()[0]
    )  # as in `jaxadv.core.engine`
    raw = {
        "gradient": lambda images: (
            classifier.oracle.ask(classifier.params, images, objectives).logits
        ),
        "forward": lambda images: classifier.oracle.logits(classifier.params, images),
    }
    raw = {name: partial(repeat, program, on_device) for name, program in raw.items()}
    first = {name: _seconds(partial(program, 1)) for name, program in raw.items()}
    measured = probes(steps)
    shares = {name: _waves(probe) for name, probe in measured.items()}
    works: dict[str, Callable[[], Any]] = {
        name: _work(classifier, probe, images, labels, targets, waves=shares[name])
        for name, probe in measured.items()
    }
    counts = {"gradient": (1, 0), "forward": (0, 1)}
    for name, work in works.items():
        first[name] = (
            _seconds(lambda work=work, name=name: counts.__setitem__(name, work())) / shares[name]
        )
    if pytorch and (other := pytorch_speed.gradient_of(classifier.name, images, targets)):
        first["pytorch"], works["pytorch"] = _seconds(partial(other, 1)), partial(other, steps)
        shares["pytorch"], counts["pytorch"] = steps, (1, 0)
    times, around = _in_turn(raw, works, shares, calls=-(-steps // 2), turns=turns, advance=advance)
    common = {
        "model": classifier.name,
        "host_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    common |= {"device_megabytes": _device_megabytes()}
    of_pytorch = (
        100 * np.median(times["pytorch"] / around["gradient"]["pytorch"])
        if "pytorch" in works
        else None
    )
    rows = []
    for name, values in times.items():
        gradients, forwards = counts[name]
        least = gradients * around["gradient"].get(name, values) + forwards * around["forward"].get(
            name, values
        )
        percent = np.percentile(100 * least / values, [25, 50, 75])
        rows.append(
            common
            | {
                "what": name,
                "evaluations_per_second": lanes * (gradients + forwards) / np.median(values),
                **dict(zip(("percent_low", "percent", "percent_high"), percent, strict=True)),
                "percent_of_pytorch": of_pytorch if name == "gradient" else None,
                "gradients": gradients,
                "forwards": forwards,
                "items_per_second": lanes / np.median(values)
                if name in works and name != "pytorch"
                else None,
                "compile_seconds": max(0.0, first[name] - np.median(values)),
            }
            | (_arithmetic(classifier, lanes / np.median(values)) if name == "gradient" else {})
        )
    return rows


def _in_turn(
    raw: dict, works: dict, shares: dict, *, calls: int, turns: int, advance
) -> tuple[dict, dict]:
    """Seconds of each of ``raw`` (a call) and of ``works`` (a share), and of each of ``raw`` beside each of ``works``, turn by turn.

    Before and after every work the raw programs are each called ``calls`` times; beside it is the mean of the two.
    """
    times: dict[str, list[float]] = {name: [] for name in (*raw, *works)}

    def measure_raw() -> None:
        for kind, program in raw.items():
            times[kind].append(_seconds(partial(program, calls)) / calls)

    for _ in range(turns):
        measure_raw()
        for name, work in works.items():
            times[name].append(_seconds(work) / shares[name])
            measure_raw()
        advance(1)
    arrays = {name: np.array(values) for name, values in times.items()}
    beside = {kind: arrays[kind].reshape(turns, -1) for kind in raw}
    around = {
        kind: dict(zip(works, (each[:, :-1] + each[:, 1:]).T / 2, strict=True))
        for kind, each in beside.items()
    }
    return arrays, around


def _work(classifier: Classifier, probe, images, labels, targets, *, waves: int):
    """A function that runs ``waves`` attacks a lane (of CLEVER one batch) and returns an item's evaluations, with gradient and without."""
    lanes = len(images)
    if isinstance(probe, CleverSampler):
        numbers: Any = np.arange(lanes, dtype=np.int32)
        seed, batch = np.array([SEED, 0], np.int32)
        items = [SampleItem(images[i], labels[i], targets[i], seed, i, batch) for i in numbers]

        def sample():
            for _ in engine.run(classifier, [probe] * lanes, items, lanes=lanes):
                pass
            return probe.samples, 0

        return sample

    targeted = not needs_of(probe).untargeted
    images = np.tile(images, (waves, 1, 1, 1))
    classes = np.tile(targets if targeted else labels, waves)

    def attack():
        result = run_attacks(
            classifier,
            [probe] * len(images),
            images,
            classes,
            np.full(len(images), targeted),
            lanes=lanes,
        )
        return result.gradients.mean(), result.forwards.mean()

    return attack


def repeat(program, images: jax.Array, count: int) -> jax.Array:
    """The last logits of ``count`` calls, each of which has to wait for the one before, as an attack's have."""
    images = jnp.copy(images)
    for _ in range(count):
        logits = program(images)
        images = _after(images, logits)
    return logits


@partial(jax.jit, donate_argnums=0)
def _after(images: jax.Array, logits: jax.Array) -> jax.Array:
    """The same images in the same place, but not before the logits are there."""
    return images.at[0, 0, 0, 0].add(0 * logits[0, 0])


def _seconds(work) -> float:
    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


def _device_megabytes() -> float | None:
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in stats else None


def _arithmetic(classifier: Classifier, images_per_second: float) -> dict:
    """What the gradient call makes of the device."""
    achieved = 1e9 * gigaflops(classifier)[0] * images_per_second
    peak = PEAK.get(jax.devices()[0].device_kind)
    return {"teraflops": achieved / 1e12, "percent_of_peak": peak and 100 * achieved / peak}


def write(table: pd.DataFrame, bench: Bench, began: str) -> None:
    """bench.csv and bench.md anew; in history.csv the rows of this run, which all have the date when it began, behind those of others."""
    facts = {
        "date": began,
        "commit": machine.commit(),
        "device": jax.devices()[0].device_kind,
        "machine": machine.kind(),
        "jax": jax.__version__,
        "zoo": bench.zoo,
        "lanes": bench.lanes,
        "precision": bench.precision,
        "steps": bench.steps,
    }
    out = bench.out
    head = ", ".join(f"{name} {value}" for name, value in facts.items())
    meaning = "\n".join(
        f"* {name}: {unit}" for name, unit in UNITS.items() if unit and name in table
    )
    write_atomically(out / "bench.csv", table.to_csv(index=False, float_format="%.5g").encode())
    write_atomically(
        out / "bench.md",
        f"# Throughput\n\n{head}\n\n{text(table, markdown=True)}\n\n{meaning}\n".encode(),
    )
    for kind, content in render(lambda: throughput_figure(table)).items():
        write_atomically(out / f"bench.{kind}", content)
    history = out / "history.csv"
    before = pd.read_csv(history) if history.exists() else pd.DataFrame()
    before = before[before["date"] != facts["date"]] if len(before) else before
    write_atomically(
        history,
        pd.concat([before, table.assign(**facts)])
        .to_csv(index=False, float_format="%.5g")
        .encode(),
    )


def text(table: pd.DataFrame, *, markdown: bool = False) -> str:
    """For people: four digits."""
    cells = [[str(name) for name in table]] + [
        [_cell(value) for value in row] for row in table.itertuples(index=False)
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    if not markdown:
        return "\n".join("  ".join(line) for line in lines)
    rule = ["-" * (width - 1) + ":" for width in widths]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _cell(value) -> str:
    if isinstance(value, str):
        return value
    return (
        ""
        if value is None or value != value
        else f"{value:,.0f}"
        if abs(value) >= 1000
        else f"{value:.4g}"
    )
