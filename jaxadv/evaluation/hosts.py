"""Several processes for one run, on one machine or on many. All of them share one folder for the
results.

Each process does its share of the units of work and writes the parts of these units. Processes send
each other nothing. If a process dies, only processes that need its parts wait. It continues when
its command is given again. JAX's distributed runtime gives each process its number and its devices.
"""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxadv.support import log
from model_ports.errors import InputError

WARN_AFTER = 30.0  # seconds until the first warning of a wait
WARN_EVERY = 600.0  # seconds between two warnings
SHUTDOWN = (
    10  # seconds that a finished process waits for the others, since one of them may have died
)


class Host(NamedTuple):
    """This process among the processes of a run."""

    process: int = 0  # its number, from 0
    processes: int = 1  # how many there are


class Meeting(NamedTuple):
    """How the processes of a run connect. By default there is a single process."""

    multihost: bool = False  # whether JAX asks the cluster for the values below
    coordinator: str | None = None  # HOST:PORT of process 0
    processes: int | None = None  # how many there are
    process: int | None = None  # the number of this one, from 0


def join(meeting: Meeting) -> Host:
    """Connect to the other processes, if there are any. Call it before any use of JAX's devices.

    Args:
        meeting: how the processes connect.

    Returns:
        This process among all.

    Raises:
        InputError: if the values do not fit together, or if the processes cannot connect.
    """
    given = (meeting.coordinator, meeting.processes, meeting.process)
    if not meeting.multihost and given == (None, None, None):
        return Host()
    if not meeting.multihost and None in given:
        raise InputError(
            "--coordinator, --processes and --process go together; give all three, or "
            "--multihost on a cluster that JAX knows"
        )
    if (
        meeting.processes is not None
        and meeting.process is not None
        and meeting.process >= meeting.processes
    ):
        raise InputError(
            f"--process={meeting.process} of --processes={meeting.processes}; processes count from "
            "0: give a number below --processes"
        )
    # Without recoverability the death of one process ends all.
    jax.config.update("jax_enable_recoverability", True)
    try:
        jax.distributed.initialize(
            meeting.coordinator,
            meeting.processes,
            meeting.process,
            shutdown_timeout_seconds=SHUTDOWN,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the processes cannot connect ({' '.join(str(error).split())[:200]}); give "
            "--coordinator=HOST:PORT of process 0, --processes and --process"
        ) from error
    return Host(jax.process_index(), jax.process_count())


def require_devices() -> None:
    """Raises InputError if JAX has no device. Call it before a user's code needs one."""
    try:
        jax.devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # an AssertionError if JAX knows none of the platforms
        platforms = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(
            f"JAX finds no device for JAX_PLATFORMS={platforms!r} "
            f"({' '.join(str(error).split())[:200]}); "
            "unset it, or install the jaxlib for this platform"
        ) from error


def wait(missing: Callable[[], int], what: str) -> None:
    """Wait until ``missing()`` is 0, with a warning from time to time.

    Args:
        missing: counts the missing things.
        what: their name in the plural, for warnings.
    """
    began = time.monotonic()
    warned = time.monotonic() - WARN_EVERY + WARN_AFTER
    pause = 0.1
    while count := missing():
        if time.monotonic() - warned > WARN_EVERY:
            warned = time.monotonic()
            log.warn(
                f"waiting for {count} {what}, for {warned - began:.0f} s so far; if a process "
                "has ended, start it again"
            )
        time.sleep(pause)
        pause = min(1.2 * pause, 5.0)


def leave(host: Host, count_others: Callable[[], int]) -> None:
    """Leave JAX's distributed runtime. Process 0 leaves last, because the runtime of the others
    ends with it.

    Args:
        host: this process among all.
        count_others: counts the other processes that have not left. Process 0 waits until it is 0.
    """
    if host.process:
        jax.distributed.shutdown()
    elif host.processes > 1:
        wait(count_others, "processes to leave")
