"""Measures gradients of networks here and in PyTorch, on one thread.

    python -m jaxadv.benchmark.beside_pytorch timm:resnet18 inception_v3

A network of timm or torchvision is converted. One of the 18 has timm's of the same layers beside it.
A call gives logits, or logits and the gradient of a logit at each image. Three kinds of calls take
turns: ours, PyTorch's, and PyTorch's with channels last in memory. Times are processor times, which
other programs change little. Memory is the most that a call takes beside weights and images. The weights are random.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from jaxadv.support import freed_memory
from model_ports.errors import InputError, unknown

FLAGS = flags.FlagValues()
"""The flags of this script alone."""
flags.DEFINE_integer("images", 2, "images of a call", 1, flag_values=FLAGS)
flags.DEFINE_integer("turns", 5, "calls of each kind that are timed", 1, flag_values=FLAGS)
flags.DEFINE_integer("input_size", None, "pixels; each network's own by default", 1, None, FLAGS)

HEAD = (
    "network",
    "pixels",
    *("gradient here, s", "PyTorch, s", "percent of PyTorch's speed", "range"),
    *("logits here, s", "PyTorch, s", "percent", "range"),
    *("memory of a gradient here, MB", "PyTorch, MB"),
)


class Times(NamedTuple):
    """Processor seconds of an image in each turn."""

    here: list[float]
    theirs: list[float]  # of PyTorch, in the layout that is faster in the median

    def cells(self) -> tuple[str, ...]:
        """The middle turn of both; then the speed relative to PyTorch's, and its range."""
        shares = [100 * other / own for own, other in zip(self.here, self.theirs, strict=True)]
        return (
            f"{_middle(self.here):.3g}",
            f"{_middle(self.theirs):.3g}",
            f"{_middle(shares):.0f}",
            f"{min(shares):.0f}-{max(shares):.0f}",
        )


class Speed(NamedTuple):
    """The speed of a network, and the memory that a call for a gradient takes."""

    pixels: int
    gradient: Times
    logits: Times
    megabytes: tuple[float, float]  # here, and in PyTorch's faster layout


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def measure(full: str, *, images: int, turns: int, input_size: int | None = None) -> Speed:
    """Measure one network.

    Args:
        full: its name, such as "timm:resnet18", or "inception_v3" for one of the 18.
        images: the number of images of a call.
        turns: the number of calls of each kind.
        input_size: pixels; None: the network's own.

    Raises:
        InputError: the network is not known, is refused, or has none in timm beside it.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxadv.core import oracle

    classifier, module = _pair(full, input_size)
    size, classes = classifier.input_size, classifier.num_classes
    random = np.random.default_rng(0)
    pixels = random.uniform(0.1, 0.9, (images, size, size, 3)).astype(np.float32)
    chosen = random.integers(classes, size=images)
    objectives = jax.vmap(oracle.linear)(jnp.eye(classes, dtype=jnp.float32)[chosen])
    on_device, objectives = jax.device_put((pixels, objectives))

    def gradient() -> None:
        jax.block_until_ready(classifier.oracle.ask(classifier.params, on_device, objectives))

    def logits() -> None:
        jax.block_until_ready(classifier.oracle.logits(classifier.params, on_device))

    gradients, passes = zip((gradient, logits), *_in_pytorch(module, pixels, chosen), strict=True)
    for call in (*gradients, *passes):
        call()
    peaks = [_megabytes(call) for call in gradients]
    times, faster = _in_turn(gradients, turns, images)
    return Speed(size, times, _in_turn(passes, turns, images)[0], (peaks[0], peaks[faster]))


def _in_turn(calls: Sequence[Callable[[], None]], turns: int, images: int) -> tuple[Times, int]:
    """The times of calls, the first of which is the one here; and which other one is fastest."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(turns):
        for call, spent in zip(calls, times, strict=True):
            spent.append(_processor_seconds(call) / images)
    faster = min(range(1, len(calls)), key=lambda kind: _middle(times[kind]))
    return Times(times[0], times[faster]), faster


def _pair(full: str, input_size: int | None) -> tuple[Any, Any]:
    """The network here, and PyTorch's module. See `measure`."""
    if ":" in full:
        from jaxadv.foreign import torch_libraries
        from jaxadv.foreign.pytorch import from_torch
        from jaxadv.foreign.request import Request

        module, settings = torch_libraries.make(Request(full, full, False, input_size))
        return from_torch(module, prove=False, **settings), module
    from jaxadv.benchmark.pytorch import TIMM
    from jaxadv.evaluation.networks import random_classifier
    from model_ports.convert import frameworks
    from model_ports.registry import network

    if full not in TIMM:
        raise unknown("network with one in timm beside it", full, TIMM)
    port = random_classifier(network(full, zoo="imagenet", input_size=input_size))
    return port, frameworks.timm().create_model(TIMM[full], pretrained=False).eval()


def _processor_seconds(call: Callable[[], None]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _megabytes(call: Callable[[], None]) -> float:
    """How much the memory of this process rises during a call. NaN if the system does not tell."""
    gc.collect()
    freed_memory.trim()  # what earlier calls have freed does not count
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now the present
    except OSError:
        return float("nan")
    before = _kilobytes("VmRSS")
    call()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    """A field of this process's memory."""
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index(f"{name}:") + 1])


def _in_pytorch(
    module: Any, pixels: Any, chosen: Any
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """The same gradient and logits of the module itself, in both layouts of its arrays."""
    import copy

    import torch

    index = torch.from_numpy(chosen)[:, None]
    given = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for layout in (torch.contiguous_format, torch.channels_last):
        network = copy.deepcopy(module).requires_grad_(False).to(memory_format=layout)
        inputs = given.contiguous(memory_format=layout)

        def gradient(network: Any = network, inputs: Any = inputs) -> None:
            leaf = inputs.detach().requires_grad_()
            torch.autograd.grad(network(leaf).gather(1, index).sum(), leaf)

        def logits(network: Any = network, inputs: Any = inputs) -> None:
            with torch.no_grad():
                network(inputs)

        yield gradient, logits


def line(*cells: Any) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: list[str]) -> None:
    """Print the table, a line as soon as it is measured."""
    names = FLAGS(arguments)[1:]
    os.environ["NPROC"] = "1"  # of XLA, which reads it when it starts
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import torch

    torch.set_num_threads(1)
    print(f"jax {jax.__version__}, torch {torch.__version__}, one thread, {FLAGS.images} images\n")
    print(line(*HEAD), line("---", *["--:"] * (len(HEAD) - 1)), sep="\n", flush=True)
    for full in names:
        speed = measure(full, images=FLAGS.images, turns=FLAGS.turns, input_size=FLAGS.input_size)
        memory = [f"{each:.0f}" for each in speed.megabytes]
        cells = (*speed.gradient.cells(), *speed.logits.cells(), *memory)
        print(line(full.rpartition(":")[2], speed.pixels, *cells), flush=True)
        jax.clear_caches()


if __name__ == "__main__":
    try:
        main(sys.argv)
    except (InputError, flags.Error) as error:
        print(f"beside_pytorch: {error}", file=sys.stderr)
        sys.exit(2)
