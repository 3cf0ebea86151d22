"""Runs commands in processes that start at once.

They are forked from a process that has imported everything that they need.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TINY = f"{Path(__file__).parent / 'tiny_models.py'}:models"

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(["jaxadv.evaluation.evaluate", "jaxadv.report.remake"])


class Command:
    """One command under way. kill() is SIGKILL. before: called in its process first."""

    def __init__(self, *arguments: str, before: Callable[[], None] | None = None):
        self.arguments = arguments
        with tempfile.NamedTemporaryFile(delete=False) as file:
            self._said = Path(file.name)
        self._process = _fork.Process(target=_run, args=(arguments, self._said, before))
        self._process.start()
        self.kill, self.pid, self.is_running = (
            self._process.kill,
            self._process.pid,
            self._process.is_alive,
        )

    def end(self, seconds: float = 300) -> tuple[int, str]:
        """Wait for the end.

        Returns the status, below 0 for a signal, and the text of both streams.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.kill()
            raise AssertionError(f"still running after {seconds} s: {self._said.read_text()}")
        said = self._said.read_text()
        self._said.unlink()
        return self._process.exitcode, said


def run(*arguments: str) -> str:
    """Run one command to its successful end. Returns its output."""
    status, said = Command(*arguments).end()
    assert status == 0, said
    return said


def refusal(*arguments: str) -> str:
    """The line in which a command refuses."""
    status, said = Command(*arguments).end()
    (line,) = said.splitlines()
    assert status == 2 and line.startswith("run.py: "), said
    return line


def _run(arguments: tuple[str, ...], said: Path, before: Callable[[], None] | None = None) -> None:
    from jaxadv.commands import cli
    from jaxadv.support import ending

    # A shell takes the first away from what it runs in the background, and nohup the second.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if before:
        before()
    sys.argv = ["run.py", *arguments]
    ending.catch_signals()  # as `jaxadv.__main__` does
    try:
        cli.main(cli.parse(sys.argv))
    finally:
        atexit._run_exitfuncs()  # a child of multiprocessing leaves them out
