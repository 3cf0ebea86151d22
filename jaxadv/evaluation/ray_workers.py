"""Runs an evaluation on all devices of a Ray cluster.

Ray places one worker at each device, starts it again when it dies, and has more of them when the
cluster grows. Each worker runs the same command with --join. Claims share the work.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from model_ports.errors import InputError, said

DEVICES = ({"GPU": 1.0}, {"TPU": 4.0})
"""What one worker takes, if the cluster has it. A host of TPUs has four."""
WITHOUT = {"CPU": 2.0}
"""What one worker takes on a cluster without accelerators."""
LOOK = 10.0
"""Seconds between two looks at the cluster's size."""


class Worker:
    """An actor of Ray: one process of a run."""

    def work(self, command: Sequence[str], folder: str) -> tuple[int, str]:
        """Run a command in a folder. Returns its status, and the last line that it wrote."""
        done = subprocess.run(
            command,
            cwd=folder if os.path.isdir(folder) else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        return done.returncode, lines[-1] if lines else ""


def run(address: str, arguments: Sequence[str], *, out: str | None) -> str:
    """Run a command of evaluate with one worker for each device, until the run is finished.

    Args:
        address: of the cluster, as `ray.init` takes it; "auto" for the one of this machine.
        arguments: of the command. --ray is left out for the workers.
        out: the folder of the run, which all nodes must see.

    Returns:
        The last line of the worker that ended first.

    Raises:
        InputError: if Ray or ``out`` is missing, if there is no such cluster, or if a worker
            refuses.
    """
    if out is None:
        raise InputError("--ray without --out; give a folder that all nodes see")
    ray = _ray()
    try:
        ray.init(address=address, ignore_reinit_error=True)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"--ray={address}: no cluster ({said(error)}); start one by "
            "`ray start --head`, or give its address"
        ) from error
    command = [sys.executable, "-m", "jaxadv", *_without_ray(arguments), "--join"]
    running: dict[Any, Any] = {}  # a promise of Ray -> its actor, which lives as long as it is here
    while True:
        kind, amount = _devices(ray.cluster_resources())
        actors = ray.remote(max_restarts=-1, max_task_retries=-1, **_asked(kind, amount))(Worker)
        for _ in range(int(ray.cluster_resources().get(kind, 0) // amount) - len(running)):
            actor = actors.remote()
            running[actor.work.remote(command, os.getcwd())] = actor
        if not running:  # the cluster has no device yet
            time.sleep(LOOK)
            continue
        ready, _ = ray.wait(list(running), timeout=LOOK)
        for promise in ready:
            try:
                status, line = ray.get(promise)
            except ray.exceptions.RayError:  # its node has gone
                del running[promise]
                continue
            if status == 0:
                return line
            raise InputError(f"a worker has ended with status {status}: {line}")


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("--ray needs Ray; pip install 'jaxadv[ray]'") from None
    return ray


def _without_ray(arguments: Sequence[str]) -> list[str]:
    """The arguments without --ray=ADDRESS or --ray ADDRESS."""
    kept: list[str] = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        name = argument.lstrip("-").partition("=")[0] if argument.startswith("-") else ""
        if name != "ray" and before not in ("-ray", "--ray"):
            kept.append(argument)
    return kept


def _devices(resources: dict[str, float]) -> tuple[str, float]:
    """The resource that a worker takes, and how much of it."""
    found = next((one for one in DEVICES if set(one) <= set(resources)), WITHOUT)
    ((kind, amount),) = found.items()
    return kind, min(amount, resources.get(kind, amount))


def _asked(kind: str, amount: float) -> dict[str, Any]:
    names = {"GPU": "num_gpus", "CPU": "num_cpus"}
    return {names[kind]: amount} if kind in names else {"resources": {kind: amount}}
