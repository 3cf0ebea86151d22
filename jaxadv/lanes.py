"""How many lanes the device has memory for."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv import oracle
from jaxadv.classifier import Classifier
from model_ports.errors import InputError

MOST = {"cpu": 32}
MOST_ELSEWHERE = 256
"""Beyond these a device is no faster, and the last items leave more lanes without work."""
SHARE = 0.8  # of the free memory that lanes may take
STATE = 16  # images of a lane beside the model's: an attack's state and its next one


def choose(classifiers: Iterable[Classifier], asked: int | None = None, known: int | None = None) -> int:
    """The number of lanes for a run of these networks: ``asked``; or else ``known``, of the run that is continued; or else the largest
    power of two for which every network's gradient program fits the device's free memory.

    Compiles the gradient programs (with the compilation cache, not in vain). Each number that does not fit is told on standard error.
    Raises InputError where not even one lane fits.
    """
    if asked or known:
        return asked or known
    free = free_bytes()
    lanes = MOST.get(jax.default_backend(), MOST_ELSEWHERE)
    for classifier in classifiers:
        while (needed := needed_bytes(classifier, lanes)) > SHARE * free:
            what = f"{classifier.name} needs {_told(needed)} for {lanes} lanes, and {_told(free)} are free"
            if lanes == 1:
                raise InputError(f"{what}; free memory, or give a smaller input size or another device")
            lanes //= 2
            print(f"{what}: {lanes} lanes are tried", file=sys.stderr)
    return lanes


def needed_bytes(classifier: Classifier, lanes: int) -> float:
    """Memory of one gradient call and of the lanes' state beside the weights; infinite if it cannot even be compiled."""
    size = classifier.input_size
    images = jax.ShapeDtypeStruct((lanes, size, size, 3), jnp.float32)
    objectives = jax.eval_shape(jax.vmap(oracle.linear), jax.ShapeDtypeStruct((lanes, classifier.num_classes), jnp.float32))
    try:
        used = classifier.oracle.ask.lower(classifier.params, images, objectives).compile().memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return np.inf
    return used.temp_size_in_bytes + used.output_size_in_bytes + STATE * 4 * np.prod(images.shape)


def free_bytes() -> float:
    """Free memory of the first device; on a processor, what the system has available."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _told(amount: float) -> str:
    return f"{amount / 1e9:.2g} GB" if amount < np.inf else "more memory than there is"
