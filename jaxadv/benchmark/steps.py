"""The processor time of every attack's own arithmetic, beside that of the network's call.

``python -m jaxadv.benchmark.steps`` prints for each attack the share of a step that is the
network's. Processor time bears other load on the machine, which `bench` does not. It leaves out
the start, the end and the judgement of an attack.
"""

# It drives the engine's own steps.
# pyright: reportPrivateUsage=false

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.benchmark import bench
from jaxadv.core import engine, oracle
from jaxadv.core.classifier import Classifier
from jaxadv.core.items import items_of
from jaxadv.evaluation.networks import random_classifier
from model_ports import registry


def measure(clf: Classifier, *, lanes: int, turns: int) -> dict[str, float]:
    """Percent of a step that is the network's, by attack, at its first phase.

    Args:
        clf: the network.
        lanes: images of one call.
        turns: how often each is measured; the median counts.
    """
    random = np.random.default_rng(bench.SEED)
    shape = (lanes, clf.input_size, clf.input_size, 3)
    images = random.uniform(0.1, 0.9, shape).astype(np.float32)
    labels = (np.arange(lanes) % clf.num_classes).astype(np.int32)
    weights = jnp.eye(clf.num_classes, dtype=jnp.float32)[labels]
    given = jax.device_put((images, jax.vmap(oracle.linear)(weights)))
    answers = clf.oracle.ask(clf.params, *given)
    calls: dict[bool, Callable[[], Any]] = {
        True: lambda: clf.oracle.ask(clf.params, *given),
        False: lambda: clf.oracle.logits(clf.params, given[0]),
    }
    raw = {gradient: _median(call, turns) for gradient, call in calls.items()}
    shares: dict[str, float] = {}
    for name, probe in bench.probes(8).items():
        if name == "clever":
            continue
        phase, *later = probe.schedule.phases()
        following = later[0] if later else None
        untargeted = np.zeros(lanes, bool)
        logits = np.asarray(answers.logits)
        items = items_of(
            clf, [probe] * lanes, images, labels, untargeted, lanes=lanes, logits=logits
        )
        started = [(engine._settings(probe), item) for item in items]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *started)
        held = engine._fill(jax.local_devices()[0])(*stacked)
        answer = answers if phase.gradient else answers._replace(gradient=None)

        def step(answer: Any = answer, phase: Any = phase, following: Any = following) -> Any:
            nonlocal held
            held, question, _ = engine._tell(held, answer, phase=phase, following=following)
            return held, question

        own = _median(step, turns)
        shares[name] = 100 * raw[phase.gradient] / (raw[phase.gradient] + own)
    return shares


def _median(work: Callable[[], Any], turns: int) -> float:
    """Seconds of the processor; the first call, which may compile, does not count."""
    seconds: list[float] = []
    for _ in range(turns + 1):
        began = time.process_time()
        jax.block_until_ready(work())
        seconds.append(time.process_time() - began)
    return float(np.median(seconds[1:]))


def main(arguments: Sequence[str]) -> None:
    """Print the shares. arguments: flags, such as --model=mobilenet_v1_100."""
    parser = argparse.ArgumentParser("python -m jaxadv.benchmark.steps")
    parser.add_argument("--model", default="mobilenet_v1_100")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args(arguments)
    clf = random_classifier(registry.network(given.model, zoo="imagenet")).awake()
    for name, share in measure(clf, lanes=given.lanes, turns=given.turns).items():
        print(f"{name:16} {share:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
