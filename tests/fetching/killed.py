"""A fetch in a process of its own, which may be killed at any of its moments.

A moment is an operation on a file inside the folder that is filled, or every 16th step of a
progress bar: a download has many.
"""

import multiprocessing
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import NamedTuple

_WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")


class Job(NamedTuple):
    """What the process is given; all of it can be pickled."""

    to: Path
    archives: dict  # in the place of addresses.STUDY
    models: tuple[str, ...]
    pictures: int  # in the place of addresses.PICTURES
    block: int  # bytes that arrive at a time
    only: str | None = None
    free: int | None = None  # bytes of the disk that are said to be free


def processes():
    """Where children come from: they have what takes long to import already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed", "jaxadv.fetching.study", "model_ports.registry"])
    return context


def run(job: Job, kill_at: int | None, counted=None, networks: int = 0) -> None:
    """Fetch; before moment `kill_at` (from 1) the process kills itself. counted: gets the count.

    With ``networks`` it waits for the first later moment at which so many networks are there.
    """
    from jaxadv.fetching import addresses, study, transfer
    from jaxadv.support.progress import Progress

    moments = steps = 0

    def moment() -> None:
        nonlocal moments
        moments += 1
        if kill_at and moments >= kill_at and len([*(job.to / "weights").glob("*")]) >= networks:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple) -> None:
        if event in _WATCHED and str(arguments[0]).startswith(str(job.to)):
            moment()

    def advance(bar: Progress, count: int, *_) -> None:
        nonlocal steps
        bar.count, steps = bar.count + count, steps + 1
        if steps % 16 == 0:
            moment()

    archives = {part: addresses.Archive(*facts) for part, facts in job.archives.items()}
    addresses.STUDY.update(archives)
    for name, graph in addresses.GRAPHS.items():  # those of rules have other hashes
        addresses.GRAPHS[name] = graph._replace(sha256=None)
    addresses.PICTURES, transfer.BLOCK = job.pictures, job.block
    Progress.advance = advance
    if job.free is not None:
        study._free = lambda to: job.free
    sys.addaudithook(watch)
    order = study.Order(to=job.to, models=job.models, only=job.only, progress=False)
    study.fetch(order)
    if counted is not None:
        counted.put(moments)


def in_process(context, job: Job, kill_at: int | None, networks: int = 0) -> int | None:
    """Run a job in a child; it must be killed at that moment, or end well and say how many it
    had.
    """
    counted = None if kill_at else context.Queue()
    child = context.Process(target=run, args=(job, kill_at, counted, networks))
    child.start()
    child.join(1800)
    assert child.exitcode == (-signal.SIGKILL if kill_at else 0), (kill_at, child.exitcode)
    return counted.get(timeout=10) if counted else None


def main(path: str) -> None:
    """Do a pickled job; a refusal is printed, with status 2."""
    from model_ports.errors import InputError

    try:
        run(pickle.loads(Path(path).read_bytes()), None)
    except InputError as error:
        print(error)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1])
