"""bench: measures every attack and CLEVER, compared with the raw speed of the network's gradient.

The raw speed is that of one compiled call for logits and input gradient on the same batch. The call
is repeated without a pause, and each call depends on the one before. Independent calls would run
side by side on a CPU, but an attack's calls cannot.

One process measures everything in turn, several times. The share of an attack is relative to the
raw speed right before and after it. Other load on the machine therefore affects both.
"""

import resource
import time
from collections.abc import Callable, Iterable, Iterator
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
from jaxadv.core.classifier import Classifier, load_classifier
from jaxadv.core.probe import needs_of
from jaxadv.evaluation.estimate import gigaflops
from jaxadv.evaluation.networks import random_classifier
from jaxadv.report.figures.canvas import render
from jaxadv.report.figures.throughput import throughput_figure
from jaxadv.support import checks, machine
from jaxadv.support.files import write_atomically
from jaxadv.support.progress import Progress
from model_ports import registry, weights

SEED = 1215
FEW = 4
FEW_WAVES = 8
"""An attack of fewer than `FEW` evaluations runs `FEW_WAVES` items per lane."""
PEAK = {  # float32 operations per second without tensor cores, from data sheets
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
    "evaluations_per_second": "evaluations of an image per second, with and without gradient",
    "percent": "share of the raw speed: the time that its evaluations take as raw calls, over its "
    "time; median of the turns",
    "percent_low": "25 % of the turns are below",
    "percent_high": "25 % of the turns are above",
    "percent_of_pytorch": "speed of the gradient call, relative to timm's network in PyTorch "
    "(channels last); median of the turns",
    "gradients": "evaluations with gradient per item, which is an image with a target (CLEVER: a "
    "batch of samples)",
    "forwards": "evaluations of logits alone per item, including the final judgement",
    "items_per_second": "items per second at these settings, which are shorter than the study's",
    "compile_seconds": "time of the first run beyond that of a later run",
    "teraflops": "arithmetic of the gradient call per second, as the compiler counts it",
    "percent_of_peak": "share of the float32 speed that the device's maker states",
    "device_megabytes": "most memory in use on the device so far",
    "host_megabytes": "most memory of the process so far",
}


class Bench(NamedTuple):
    """The settings of a measurement."""

    out: Path  # folder for the tables
    zoo: str
    lanes: int
    precision: str
    steps: int  # evaluations of an attack, at least 4
    turns: int
    progress: bool


def classifiers(
    names: Iterable[str], *, zoo: str, weights_dir: str | None, random_weights: bool
) -> Iterator[Classifier]:
    """Load networks one after another.

    Args:
        names: the networks.
        zoo: "digits" or "imagenet".
        weights_dir: the folder with converted weights; None for the embedded ones.
        random_weights: True for random weights, which need no file.

    Raises:
        InputError: if a network is unknown, or its weights are missing. All are looked up first.
    """
    networks = [registry.network(name, zoo=zoo) for name in names]
    if random_weights:
        return map(random_classifier, networks)
    places = [weights.find(network, weights_dir) for network in networks]
    return (
        load_classifier(network.spec.name, zoo=zoo, weights=place)
        for network, place in zip(networks, places, strict=True)
    )


def run(classifiers: Iterable[Classifier], bench: Bench) -> pd.DataFrame:
    """Measure networks one after another. After each, the tables and the figure are written.

    Args:
        classifiers: the networks.
        bench: the settings.

    Returns:
        The table, with the columns of `UNITS`.

    Raises:
        InputError: for a setting out of range, or a folder that cannot be written.
    """
    checks.count("bench_steps", bench.steps, low=4)
    rows: list[dict] = []
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    table = pd.DataFrame()
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
    """Every attack of the catalogue, with about ``steps`` evaluations and no early abort; and
    CLEVER.
    """
    made = {}
    for attack in catalog.ATTACKS:
        if attack.bench is None:  # it is made of other attacks, which are measured
            continue
        settings = attack.bench(steps)
        made[attack.name] = attack.kind(**settings)
        for end, others in attack.bench_also.items():
            made[f"{attack.name}_{end}"] = attack.kind(**{**settings, **others})
    return made | {"clever": CleverSampler(PROTOCOLS["released"], samples=steps)}


def _waves(probe: Any) -> int:
    """The number of items per lane.

    One item of an attack with two evaluations would mainly measure its start and its judgement.
    """
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
    """Measure one network: the two raw calls, then every attack and CLEVER.

    Args:
        classifier: the network.
        lanes: the number of images side by side.
        steps: evaluations of an attack.
        turns: how often everything is measured.
        pytorch: True to measure the same gradient in PyTorch, if it is installed.
        advance: called with 1 after each turn.

    Returns:
        Rows with the columns of `UNITS`.
    """
    random = np.random.default_rng(SEED)
    images = random.uniform(
        0.1, 0.9, (lanes, classifier.input_size, classifier.input_size, 3)
    ).astype(np.float32)
    labels = classifier.predict(images)
    targets = ((labels + 1) % classifier.num_classes).astype(np.int32)
    objectives = jax.vmap(oracle.linear)(
        jnp.eye(classifier.num_classes, dtype=jnp.float32)[targets]
    )
    # The inputs stay on the device, as in `jaxadv.core.engine`.
    on_device, objectives = jax.device_put((images, objectives), jax.local_devices()[0])
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
        first["pytorch"] = _seconds(partial(other, 1))
        works["pytorch"] = partial(other, steps)
        shares["pytorch"] = steps
        counts["pytorch"] = (1, 0)
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
    """Measure raw programs and works in turn.

    Args:
        raw: the raw programs, each a function of a number of calls.
        works: the attacks and the like.
        shares: the number of parts of each work. Its time is divided by that.
        calls: the number of calls of each raw program before and after every work.
        turns: how often everything is measured.
        advance: called with 1 after each turn.

    Returns:
        For each raw program and each work, the seconds of one call or part. For each raw program
        and each work, the mean of the raw seconds right before and right after the work. All are
        arrays with an entry per measurement.
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
    """Make a function that runs one probe, and returns the evaluations of an item.

    The function runs ``waves`` attacks per lane, or one batch of CLEVER per lane. It returns the
    numbers of evaluations with gradient and without.
    """
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

    images = np.tile(images, (waves, 1, 1, 1))
    targeted = not needs_of(probe).untargeted
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
    """Call a program ``count`` times, where each call waits for the one before, as in an attack.

    Args:
        program: a function from images to logits.
        images: (N, S, S, 3) on the device.
        count: the number of calls, at least 1.

    Returns:
        The logits of the last call.
    """
    images = jnp.copy(images)
    for _ in range(count):
        logits = program(images)
        images = _after(images, logits)
    return logits


@partial(jax.jit, donate_argnums=0)
def _after(images: jax.Array, logits: jax.Array) -> jax.Array:
    """The unchanged images, in the same memory, once the logits are computed."""
    return images.at[0, 0, 0, 0].add(0 * logits[0, 0])


def _seconds(work) -> float:
    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


def _device_megabytes() -> float | None:
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in stats else None


def _arithmetic(classifier: Classifier, images_per_second: float) -> dict:
    """The arithmetic of the gradient call per second, also in percent of the device's peak."""
    achieved = 1e9 * gigaflops(classifier)[0] * images_per_second
    peak = PEAK.get(jax.devices()[0].device_kind)
    return {"teraflops": achieved / 1e12, "percent_of_peak": peak and 100 * achieved / peak}


def write(table: pd.DataFrame, bench: Bench, began: str) -> None:
    """Write bench.csv, bench.md and the figure, and put this run's rows into history.csv.

    Args:
        table: the rows with the columns of `UNITS`.
        bench: the settings.
        began: the date and time when the run began. They identify its rows in the history.

    Raises:
        InputError: if the folder cannot be written.
    """
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
    """Format the table for a terminal or as Markdown, with four digits."""
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
