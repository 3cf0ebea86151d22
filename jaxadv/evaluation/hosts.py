"""Several processes for one run, on one machine or on many. All of them share one folder for the
results.

A process joins by giving the command of the others and --join. It claims units of work, does them,
and writes their parts. Processes send each other nothing, and none of them is special. The first
one to find everything done makes the report (see `jaxadv.store.claims`).
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from jaxadv.store import run as store
from jaxadv.store.claims import Claim, Claims
from jaxadv.support import ending, log
from model_ports.errors import InputError, said

BEGIN, END = "@begin", "@end"
"""The claims on the beginning of a run and on its report."""
PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two looks
WARN_AFTER, WARN_EVERY = 30.0, 600.0  # seconds until the first line about a wait, and between two
POD_SECONDS = 300.0
"""The longest wait for the other hosts of a TPU pod."""


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
            f"({said(error)}); "
            "unset it, or install the jaxlib for this platform"
        ) from error


def is_in_pod() -> bool:
    """Whether this machine is one of several hosts of a TPU pod, whose devices start together."""
    hosts = [host for host in os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",") if host]
    platforms = os.environ.get("JAX_PLATFORMS", "tpu").split(",")
    return len(hosts) > 1 and ("tpu" in platforms or platforms == [""])


def join_pod(seconds: float = POD_SECONDS) -> None:
    """Join JAX's distributed runtime if this is a host of a TPU pod. Call it before any use of JAX.

    The hosts need it to start their devices, and for nothing else. JAX may end the process when a
    host is missing. So a thread ends it first, with one line.

    Args:
        seconds: the longest wait.

    Raises:
        InputError: if the hosts cannot connect.
    """
    if not is_in_pod():
        return
    late = threading.Timer(seconds, ending.end_at_once, [_pod_error(f"after {seconds:.0f} s")])
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(initialization_timeout=int(seconds) + 60)
    except (RuntimeError, ValueError) as error:
        raise InputError(_pod_error(said(error))) from error
    finally:
        late.cancel()


def _pod_error(reason: str) -> str:
    return (
        f"the hosts of this TPU pod did not connect ({reason}); start the same command on all of "
        f"them: {os.environ.get('TPU_WORKER_HOSTNAMES', '')}"
    )


def begins(directory: Path, claims: Claims) -> Claim | None:
    """Decide who begins a new run. The others wait until it has begun.

    Args:
        directory: the run's folder.
        claims: the claims of this process.

    Returns:
        The claim on the beginning; None if the run in the folder has begun.

    Raises:
        InputError: if the folder holds something else.
    """
    found: list[Claim] = []

    def has_begun() -> bool:
        if store.Run(directory).manifest():
            return True
        claim = claims.take(BEGIN) or claims.take_over(BEGIN)
        if claim is None:
            return False
        if store.Run(directory).manifest():
            claims.release(claim)
        else:
            found.append(claim)
        return True

    wait(has_begun, f"another process to begin the run in {str(directory)!r}")
    return found[0] if found else None


def ends(claims: Claims) -> Claim | None:
    """Claim the report of a run, all of whose units are done. None if another process has it."""
    return claims.take(END) or claims.take_over(END)


def wait_for_end(run: store.Run, claims: Claims, parts: Sequence[str]) -> bool:
    """Wait for the process that makes the report.

    Args:
        run: the run.
        claims: the claims of this process.
        parts: the parts that were asked for.

    Returns:
        False if it has died, or has found damaged parts.
    """
    done: list[bool] = []

    def is_over() -> bool:
        if END not in claims.taken():
            done.append(set(parts) <= set(run.manifest().get("finished_parts", [])))
            return True
        claim = claims.take_over(END)
        if claim is not None:
            claims.release(claim)
            done.append(False)
        return claim is not None

    wait(is_over, "the process that makes the report")
    return done[0]


def wait(is_over: Callable[[], bool], what: str) -> None:
    """Wait, with a warning from time to time.

    Args:
        is_over: whether the wait is over.
        what: what this process waits for, for warnings.
    """
    began = time.monotonic()
    warned = began - WARN_EVERY + WARN_AFTER
    pause = PAUSE
    while not is_over():
        if time.monotonic() - warned > WARN_EVERY:
            warned = time.monotonic()
            log.warn(f"waiting for {what}, for {warned - began:.0f} s so far")
        time.sleep(pause)
        pause = min(1.2 * pause, LONGEST_PAUSE)
