"""Writes a log file in the run's folder, and counts what was skipped.

    with log.to_file(run.directory):
        log.say("settings: %s", settings)        # to the file
        log.warn("damaged: ...")                 # to the file and to standard error
        log.skip("targets equal to the label", 3)
        log.tell_skipped()                       # everything that was skipped, to both

Outside of `to_file`, nothing is written to a file. A progress bar (`jaxadv.support.progress`) logs
its final count and speed here.
"""

import logging
import os
import re
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jaxadv.support.files import cannot_write
from model_ports.errors import InputError

_logger = logging.getLogger("jaxadv.log")
_logger.propagate = False  # otherwise lines would reach standard error
_logger.addHandler(logging.NullHandler())
_skipped: Counter[str] = Counter()
_BEGIN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")
last: Path | None = None
"""The log with the traceback of the last unexpected error."""

say = _logger.info
"""Write one line to the file, with %-arguments as in `logging`."""


def printable(text: str) -> str:
    """A line in which nothing acts on a terminal: line breaks as spaces, other control characters
    as their numbers.
    """
    line = " ".join(text.split())
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in line
    )


def warn(text: str) -> None:
    """Write one line to standard error and to the file."""
    text = printable(text)
    with suppress(OSError, ValueError):  # standard error is closed
        print(text, file=sys.stderr)
    _logger.warning("%s", text)


def skip(reason: str, count: int = 1) -> None:
    """Count things that this process skipped.

    Args:
        reason: what was skipped and why, in the plural. `tell_skipped` puts the number before it.
        count: how many.
    """
    if count:
        _skipped[reason] += count
        say("skipped: %d %s", count, reason)


def tell_skipped() -> None:
    """Report everything that was skipped since `to_file` began, if anything was."""
    if _skipped:
        warn(
            "skipped: "
            + ", ".join(f"{count} {reason}" for reason, count in sorted(_skipped.items()))
        )


class _File(logging.FileHandler):
    """A log file that ignores errors of writing, such as a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def to_file(directory: Path, process: int | str = 0) -> Iterator[None]:
    """Append to DIRECTORY/log/process-PROCESS.log within a ``with`` block.

    An exception that ends the block is logged last. An unexpected one is logged with its traceback.

    Args:
        directory: the run's folder.
        process: the name of this process; 0 for one that is alone.

    Raises:
        InputError: if the file cannot be opened, or if it is not a log.
    """
    path = Path(directory) / "log" / f"process-{process}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not _is_log(path):
            raise InputError(
                f"{str(path)!r} was not written by a run; move it away, or give another --out"
            )
        handler = _File(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise cannot_write(path, error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s: %(message)s"))
    _skipped.clear()
    _logger.setLevel(logging.INFO)
    _logger.addHandler(handler)
    say(
        "started: process %s, pid %d on %s: %s",
        process,
        os.getpid(),
        socket.gethostname(),
        " ".join(sys.argv),
    )
    try:
        yield
        say("finished")
    except InputError as error:
        _logger.error("%s", error)
        raise
    except KeyboardInterrupt:
        say("interrupted")
        raise
    except BaseException:
        global last
        _logger.exception("unexpected")
        last = path
        raise
    finally:
        _logger.removeHandler(handler)
        with suppress(OSError):  # the disk is full
            handler.close()


def _is_log(path: Path) -> bool:
    """True if a file is empty, or begins as `to_file` writes it."""
    with open(path, "rb") as file:
        head = file.read(100).decode(errors="replace")
    return not head or _BEGIN.match(head) is not None
