"""The number of lanes that fit the device's memory."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import jax

from jaxadv.core.classifier import Classifier
from model_ports.errors import InputError

MOST = {"cpu": 32}
MOST_ELSEWHERE = 256
"""The most lanes on a CPU, and on any other device.

With more, a device is no faster, and more lanes idle at the end.
"""
SHARE = 0.8  # the share of the free memory that lanes may use
WEIGHTS = (
    0.5  # the share of the free memory that a network's weights may use and stay on the device
)
STATE = (
    16  # memory of a lane beside the model's program, in images: an attack's state and its next one
)
SURELY = 1000
"""Memory for each lane, in images, that surely suffices. Gradient programs of the small zoo need 7
to 39 images, those of the full-size zoo 151 to 388.
"""


def choose(
    classifiers: Iterable[Classifier], asked: int | None = None, known: int | None = None
) -> int:
    """The number of lanes for a run.

    If memory may be short, this compiles and calls the networks' programs, which the run then uses.
    Each number that does not fit is reported on standard error.

    Args:
        classifiers: the networks of the run.
        asked: the number that the user chose, or None.
        known: the number of the run that is continued, or None.

    Returns:
        ``asked``, else ``known``, else the largest power of two at which the programs of all
        networks fit.

    Raises:
        InputError: if not even one lane fits.
    """
    if given := asked or known:
        return given
    lanes = MOST.get(jax.default_backend(), MOST_ELSEWHERE)
    for classifier in sorted(
        classifiers, key=lambda one: one.input_size, reverse=True
    ):  # if the largest network fits, the others fit at the first try
        while lack := _lack(classifier, lanes):
            if lanes == 1:
                raise InputError(
                    f"{lack}; free memory, or give a smaller input size or another device"
                )
            lanes //= 2
            print(f"{lack}: trying {lanes} lanes", file=sys.stderr)
    return lanes


def _lack(classifier: Classifier, lanes: int) -> str:
    """Why so many lanes do not fit; empty if they fit."""
    free = SHARE * free_bytes()
    if SURELY * lanes * image_bytes(classifier) < free:
        return ""
    what = f"{classifier.name} with {lanes} lanes"
    try:
        needed = needed_bytes(classifier, lanes)
        if needed > free:
            return (
                f"{what} needs {_gigabytes(needed)}, and may use {_gigabytes(free)} of the free "
                "memory"
            )
        classifier.compile(lanes)
    except jax.errors.JaxRuntimeError as error:
        if not ran_out(error):
            raise
        return f"{what} needs more memory than the device has"
    return ""


def is_short(classifier: Classifier) -> bool:
    """Whether the weights of this network would leave too little of the device's free memory for
    lanes.

    Args:
        classifier: the network.

    Returns:
        True if its weights should stay in the host's memory.
    """
    return classifier.bytes > WEIGHTS * free_bytes()


def needed_bytes(classifier: Classifier, lanes: int) -> float:
    """Memory in bytes of one gradient call and the lanes' state. Weights that are already on the
    device do not count.

    Args:
        classifier: the network.
        lanes: images of one call.

    Returns:
        Bytes.
    """
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
    """The size of one float32 image of the network, in bytes."""
    return 4 * 3 * classifier.input_size**2


def ran_out(error: RuntimeError) -> bool:
    """Whether the error is a lack of device memory, in compiling or in computing."""
    return "RESOURCE_EXHAUSTED" in str(error)


def free_bytes() -> float:
    """Free memory of the first device in bytes.

    On CPU, the memory that the system has available.
    """
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


def _gigabytes(amount: float) -> str:
    return f"{amount / 1e9:.2g} GB"
