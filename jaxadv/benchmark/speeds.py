"""Measures speeds: gradients compared with PyTorch's, lanes, compiler options, chunks of steps,
attacks.
"""

# Part e drives the engine's own steps.
# pyright: reportPrivateUsage=false

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from jaxadv.attacks.fgsm import IFGSM, STEP
from jaxadv.benchmark import bench, pytorch
from jaxadv.benchmark.programs import Ask, Count, Programs
from jaxadv.benchmark.runner import Group, Item
from jaxadv.core import engine, oracle
from jaxadv.core.probe import AttackItem

PRECISIONS = ("highest", "default", "bfloat16")
"""On a GPU, default is TF32."""
TURNS = 3
CHUNK = 8
"""The number of steps of an attack in one program."""
FIRST = ("resnet_v2_50", "vgg_16", "inception_v3", "mobilenet_v1_100")
THEN = ("densenet121_k32", "alexnet")
LAST = ("nasnet_large",)
THREE = ("mobilenet_v1_100", "resnet_v2_50", "vgg_16")
GUESSES = {"nasnet_large": 25.0, "mobilenet_v1_100": 2.0}
"""Factors by which networks take longer than others to measure. On an H200 the first call takes 4 s
with depthwise convolutions, and a minute for NASNet-Large."""


class Scale(NamedTuple):
    """The amount of work."""

    zoo: str = "imagenet"
    lanes: int = 64
    more_lanes: tuple[int, ...] = (32, 128, 256, 512)
    seconds: float = 1.0  # to measure one rate
    steps: int = 16  # evaluations of an attack
    turns: int = 2  # how often all attacks are measured


def raw(programs: Programs, scale: Scale, names: tuple[str, ...], compiling: float) -> list[Item]:
    """The measurements of part a: gradients per second in each precision, here and in PyTorch.

    Args:
        programs: compiles the programs.
        scale: the amount of work.
        names: the networks.
        compiling: the estimated seconds to compile all programs.
    """
    group = Group(f"gradients of {', '.join(names)}", compiling)
    items: list[Item] = []
    for name in names:
        for precision in PRECISIONS:
            items.append(_gradient(programs, scale, name, precision, scale.lanes, "a", group))
    for name in filter(pytorch.has, names):
        for precision in PRECISIONS:
            measure = partial(_pytorch, programs, scale, name, precision)
            guess = 25.0 if name in LAST else 9.0
            needs = (pytorch.IMPORTED,)
            items.append(
                Item("a", name, "pytorch", precision, scale.lanes, guess, measure, needs, group)
            )
    return items


def lanes(programs: Programs, scale: Scale) -> list[Item]:
    """The measurements of part c: other numbers of lanes."""
    items = []
    for name in THREE:
        group = Group(f"lanes of {name}", 30.0)
        for count in scale.more_lanes:
            items.append(_gradient(programs, scale, name, "default", count, "c", group))
    return items


def nondeterministic(programs: Programs, scale: Scale) -> list[Item]:
    """The measurements of part d: operations that may add in any order."""
    group = Group("programs of any order", 120.0)
    items: list[Item] = []
    for name in ("resnet_v2_50", "densenet121_k32", "vgg_16"):
        for precision in ("highest", "default"):
            item = _gradient(programs, scale, name, precision, scale.lanes, "d", group, False)
            items.append(item)
    return items


def _gradient(programs, scale, name, precision, count, part, group, deterministic=True) -> Item:
    ask = Ask(name, precision, count, deterministic)

    def measure() -> dict:
        program = programs.get(ask)
        params, images, objectives = program.question

        def repeat(times: int) -> None:
            call = lambda images: program.call(params, images, objectives).logits  # noqa: E731
            bench.repeat(call, images, times).block_until_ready()

        rate = per_second(repeat, count, scale.seconds)
        return {
            "gradients_per_second": rate,
            "teraflops": rate * programs.get(Count(name)) / 1e3,
            "megabytes": program.megabytes,
            "compile_seconds": program.seconds,
        }

    what = "gradient" if deterministic else "nondeterministic"
    guess = 2.5 * scale.seconds * GUESSES.get(name, 1)
    return Item(part, name, what, precision, count, guess, measure, (ask, Count(name)), group)


def _pytorch(programs: Programs, scale: Scale, name: str, precision: str) -> dict:
    size = programs.classifier(name).input_size
    images = np.random.default_rng(0).random((scale.lanes, size, size, 3), np.float32)
    gradients = pytorch.gradient_of(name, images, np.arange(scale.lanes) % 1000, precision)
    assert gradients, f"timm has no {name}"
    rate = per_second(gradients, scale.lanes, scale.seconds)
    teraflops = rate * programs.get(Count(name)) / 1e3
    del gradients
    pytorch.free()
    return {"gradients_per_second": rate, "teraflops": teraflops}


def per_second(repeat: Callable[[int], object], count: int, seconds: float) -> float:
    """Measure images per second: the median of a few turns.

    Args:
        repeat: calls the program a number of times, and waits for the result.
        count: the number of images of one call.
        seconds: about how long all turns take together.
    """
    repeat(2)
    began = time.perf_counter()
    repeat(2)
    once = (time.perf_counter() - began) / 2
    calls = max(2, round(seconds / TURNS / once))
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        repeat(calls)
        times.append(time.perf_counter() - began)
    return count * calls / float(np.median(times))


def probes(programs: Programs, scale: Scale) -> list[Item]:
    """The measurements of part f: every attack and CLEVER, in percent of the raw gradient's
    speed.
    """
    items = []
    for name, precision in [
        *((name, "default") for name in THREE),
        ("mobilenet_v1_100", "highest"),
    ]:
        measure = partial(_probes, programs, scale, name, precision)
        items.append(Item("f", name, "probes", precision, scale.lanes, 25.0, measure))
    return items


def _probes(programs: Programs, scale: Scale, name: str, precision: str) -> list[dict]:
    classifier = programs.classifier(name).with_gradient_precision(precision)
    rows = bench.measure(classifier, lanes=scale.lanes, steps=scale.steps, turns=scale.turns)
    return [
        {
            "what": row["what"],
            "percent": float(row["percent"]),
            "gradients_per_second": float(row["evaluations_per_second"]),
            "compile_seconds": float(row["compile_seconds"]),
        }
        for row in rows
    ]


class Chunk(NamedTuple):
    """Identifies the program of `CHUNK` steps of I-FGSM."""

    network: str
    precision: str
    lanes: int


def chunks(programs: Programs, scale: Scale) -> tuple[list[Item], dict]:
    """The measurements of part e: steps that the host drives, and steps in one program.

    Returns:
        The items, and functions that build their programs, for `Programs`.
    """
    group = Group("chunks of steps", 30.0)
    items: list[Item] = []
    builders: dict[Chunk, Callable] = {}
    cases = [
        ("mobilenet_v1_100", "default", scale.lanes),
        ("mobilenet_v1_025", "default", scale.lanes // 2),
    ]
    for case in cases:
        name = Chunk(*case)
        builders[name] = partial(_compile_chunk, programs, name)
        measure = partial(_chunk, programs, scale, name)
        items.append(
            Item(
                "e", name.network, "chunk", name.precision, name.lanes, 6.0, measure, (name,), group
            )
        )
    return items, builders


class _Steps(NamedTuple):
    """I-FGSM's steps on the device, driven in two ways."""

    one: Callable  # (lanes, question) -> (lanes, question)
    many: Callable  # the same, but `CHUNK` steps
    start: Callable[[], tuple]  # fresh (lanes, question)


def _compile_chunk(programs: Programs, name: Chunk) -> _Steps:
    classifier = programs.classifier(name.network).with_gradient_precision(name.precision)
    images = np.random.default_rng(0).uniform(
        size=(name.lanes, classifier.input_size, classifier.input_size, 3)
    )
    probe = jax.tree.map(np.float32, IFGSM(eps=0.1, steps=1000))
    label: Any = np.int32(0)
    targeted: Any = np.bool(True)
    items = [AttackItem(image, label, targeted) for image in images.astype(np.float32)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *((probe, item) for item in items))
    fill = engine._fill(jax.local_devices()[0])

    def start() -> tuple:
        filled = fill(*stacked)
        return filled, engine._ask(filled, phase=STEP, num_classes=classifier.num_classes)

    def tell(lanes, answers):
        return engine._tell(lanes, answers, phase=STEP, following=STEP)[:2]

    def one(lanes, question):
        return tell(lanes, classifier.oracle.ask(classifier.params, *question))

    ask = classifier.oracle.ask.function

    def many(params, lanes, question):
        def step(carry, _):
            return tell(carry[0], ask(params, *carry[1])), None

        return lax.scan(step, (lanes, question), length=CHUNK)[0]

    compiled = jax.jit(many, compiler_options=oracle.compiler_options(), donate_argnums=1)
    steps = _Steps(one, partial(compiled, classifier.params), start)
    jax.block_until_ready((steps.one(*steps.start()), steps.many(*steps.start())))
    return steps


def _chunk(programs: Programs, scale: Scale, name: Chunk) -> list[dict]:
    steps = programs.get(name)
    apart = steps.start()
    together = steps.many(*steps.start())
    for _ in range(CHUNK):
        apart = steps.one(*apart)
    leaves = zip(jax.tree.leaves(apart), jax.tree.leaves(together), strict=True)
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in leaves)

    def by_host(times: int) -> None:
        pair = steps.start()
        for _ in range(CHUNK * times):
            pair = steps.one(*pair)
        jax.block_until_ready(pair)

    def by_device(times: int) -> None:
        pair = steps.start()
        for _ in range(times):
            pair = steps.many(*pair)
        jax.block_until_ready(pair)

    count = CHUNK * name.lanes
    return [
        {"what": "step by step", "gradients_per_second": per_second(by_host, count, scale.seconds)},
        {
            "what": f"{CHUNK} steps in one program",
            "gradients_per_second": per_second(by_device, count, scale.seconds),
            "same_bits": same,
        },
    ]
