"""Several processes at one run, on one machine or many, with one folder for the results that all of them see.

Each process does its share of the units of work and writes its own parts. Nothing is sent from one to another. A process
that dies holds up only those who need its parts, and continues when its command is given again. JAX's distributed runtime
says which process this is, and which devices it has.
"""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxadv.support import log
from model_ports.errors import InputError

TOLD_AFTER = 30.0
TOLD_EVERY = 600.0  # seconds
SHUTDOWN = 10  # seconds that who is ready waits for the others, of whom one may have died; parts say all there is to say


class Host(NamedTuple):
    """This process among all of a run."""

    process: int = 0
    processes: int = 1


class Meeting(NamedTuple):
    """How the processes of a run find each other; by default there is one alone."""

    multihost: bool = False  # a cluster knows
    coordinator: str | None = None  # HOST:PORT of process 0
    processes: int | None = None
    process: int | None = None


def join(meeting: Meeting) -> Host:
    """Meet the other processes, if there are any; before anything else asks JAX for devices. Raises InputError."""
    given = (meeting.coordinator, meeting.processes, meeting.process)
    if not meeting.multihost and given == (None, None, None):
        return Host()
    if not meeting.multihost and None in given:
        raise InputError(
            "--coordinator, --processes and --process go together; give all three, or --multihost where a cluster knows"
        )
    if (
        meeting.processes is not None
        and meeting.process is not None
        and meeting.process >= meeting.processes
    ):
        raise InputError(
            f"--process={meeting.process} of --processes={meeting.processes}; they count from 0: give less than their number"
        )
    jax.config.update("jax_enable_recoverability", True)  # or else the death of one ends all
    try:
        jax.distributed.initialize(
            meeting.coordinator,
            meeting.processes,
            meeting.process,
            shutdown_timeout_seconds=SHUTDOWN,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the processes do not find each other ({' '.join(str(error).split())[:200]}); give --coordinator=HOST:PORT of process 0, "
            "--processes and --process"
        ) from error
    return Host(jax.process_index(), jax.process_count())


def require_devices() -> None:
    """Raises InputError where JAX finds no device, before a user's own code asks it for one."""
    try:
        jax.devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # the second where JAX finds no platform of those at all
        platforms = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(
            f"JAX finds no device for JAX_PLATFORMS={platforms!r} ({' '.join(str(error).split())[:200]}); "
            "unset it, or install what it needs"
        ) from error


def wait(missing: Callable[[], int], what: str) -> None:
    """Until ``missing()`` is 0; told now and then. what: is missing, in the plural."""
    began = time.monotonic()
    told = time.monotonic() - TOLD_EVERY + TOLD_AFTER
    pause = 0.1
    while count := missing():
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            log.warn(
                f"waiting for {count} {what}, for {told - began:.0f} s so far; start processes again that are gone"
            )
        time.sleep(pause)
        pause = min(1.2 * pause, 5.0)


def leave(host: Host, count_others: Callable[[], int]) -> None:
    """The others part from the first, whose runtime ends with it and theirs with that; only then does it do what needs it alone."""
    if host.process:
        jax.distributed.shutdown()
    elif host.processes > 1:
        wait(count_others, "processes to leave")
