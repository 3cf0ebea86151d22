"""What goes wrong around a process of a run: for `processes.Command(before=...)`."""

import os
import time
from pathlib import Path

FIRST_IDLE = 128
"""In a log of `count`: added to the number of a process that has no unit."""


def count(log: Path, number: int) -> None:
    """Add a byte to a log for each call of a network, and for each look that finds no unit."""
    from jaxadv.core import engine
    from jaxadv.evaluation.dispatcher import Dispatcher

    handle = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    evaluate, take = engine._evaluate, Dispatcher.take

    def counted(*arguments):
        os.write(handle, bytes([number]))
        return evaluate(*arguments)

    def looked(self, *arguments):
        taken = take(self, *arguments)
        if taken is None:
            os.write(handle, bytes([FIRST_IDLE + number]))
        return taken

    engine._evaluate, Dispatcher.take = counted, looked


def wrong_clock(seconds: float) -> None:
    """The clock of this machine is wrong."""
    right = time.time
    time.time = lambda: right() + seconds


def late_lists(answers: float, late: float) -> None:
    """The file server answers after a while, and lists what was there before."""
    from jaxadv.evaluation import status
    from jaxadv.store.claim_folder import ClaimFolder

    seen: dict[str, list[tuple[float, list[str]]]] = {}
    listdir = os.listdir

    def list_late(place="."):
        time.sleep(answers)
        now = time.monotonic()
        lists = seen.setdefault(str(place), [])
        try:
            names = listdir(place)
        except OSError:
            names = []
        lists.append((now, names))
        while len(lists) > 1 and now - lists[1][0] >= late:
            lists.pop(0)
        return lists[0][1]

    class Late:
        """The module os, with late lists."""

        def __getattr__(self, name):
            return getattr(os, name)

        listdir = staticmethod(list_late)

    status.os = Late()
    ClaimFolder.names = lambda self: list_late(self.directory)
