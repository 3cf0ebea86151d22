"""How many lanes the device has memory for."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import jax

from jaxadv.core.classifier import Classifier
from model_ports.errors import InputError

MOST = {"cpu": 32}
MOST_ELSEWHERE = 256
"""Beyond these a device is no faster, and the last items leave more lanes without work."""
SHARE = 0.8  # of the free memory that lanes may take
WEIGHTS = 0.5  # of the free memory that one network's weights may take and stay there
STATE = 16  # images of a lane beside the model's: an attack's state and its next one
SURELY = 1000  # images' memory for each lane: no gradient program of the zoos takes so much (small ones 7 to 39, full-size ones 151 to 388)


def choose(
    classifiers: Iterable[Classifier], asked: int | None = None, known: int | None = None
) -> int:
    """The number of lanes for a run of these networks: ``asked``; or else ``known``, of the run that is continued; or else the largest
    power of two at which every network's programs fit the device's free memory and have been called.

    Where memory is not plenty that compiles the programs, which the run then has. Each number that does not fit is told on standard
    error. Raises InputError where not even one lane fits.
    """
    if given := asked or known:
        return given
    lanes = MOST.get(jax.default_backend(), MOST_ELSEWHERE)
    for classifier in sorted(
        classifiers, key=lambda one: one.input_size, reverse=True
    ):  # others then fit at once
        while lack := _lack(classifier, lanes):
            if lanes == 1:
                raise InputError(
                    f"{lack}; free memory, or give a smaller input size or another device"
                )
            lanes //= 2
            print(f"{lack}: {lanes} lanes are tried", file=sys.stderr)
    return lanes


def _lack(classifier: Classifier, lanes: int) -> str:
    """What is missing for so many lanes; empty if nothing is."""
    free = SHARE * free_bytes()
    if SURELY * lanes * image_bytes(classifier) < free:
        return ""
    what = f"{classifier.name} with {lanes} lanes"
    try:
        needed = needed_bytes(classifier, lanes)
        if needed > free:
            return f"{what} needs {_told(needed)}, and of what is free it may take {_told(free)}"
        classifier.compile(lanes)
    except jax.errors.JaxRuntimeError as error:
        if not ran_out(error):
            raise
        return f"{what} needs more memory than there is"
    return ""


def is_short(classifier: Classifier) -> bool:
    """Whether the weights of this network, behind those that are there, leave the device too little memory for lanes."""
    return classifier.bytes > WEIGHTS * free_bytes()


def needed_bytes(classifier: Classifier, lanes: int) -> float:
    """Memory of one gradient call and of the lanes' state beside the weights that are there."""
    program, question = classifier.kept("ask", lanes)
    used = (
        program.lower(classifier.params, *jax.device_put(question, classifier.devices[0]))
        .compile()
        .memory_analysis()
    )
    weights = classifier.bytes if classifier.is_at_rest else 0
    return (
        weights
        + used.temp_size_in_bytes
        + used.output_size_in_bytes
        + STATE * lanes * image_bytes(classifier)
    )


def image_bytes(classifier: Classifier) -> int:
    return 4 * 3 * classifier.input_size**2


def ran_out(error: RuntimeError) -> bool:
    """Whether the device's memory did not suffice, to compile or to compute."""
    return "RESOURCE_EXHAUSTED" in str(error)


def free_bytes() -> float:
    """Free memory of the first device; on a processor, what the system has available."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(
            int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")
        )
    except (OSError, StopIteration):  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _told(amount: float) -> str:
    return f"{amount / 1e9:.2g} GB"
