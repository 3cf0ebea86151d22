"""What a process did, and when: a log file of its own in the run's folder, and a tally of what was skipped.

    with log.to_file(run.directory, process=0):
        log.say("settings: %s", settings)        into the file
        log.warn("damaged: ...")                 on standard error, too
        log.skip("targets equal to the label", 3)
        log.tell_skipped()                       on standard error, too: all that was skipped, and why

Without `to_file` nothing is written. Progress bars (`jaxadv.support.progress`) say here what they counted, and how fast.
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
_logger.propagate = False  # not to standard error
_logger.addHandler(logging.NullHandler())
_skipped: Counter[str] = Counter()
_BEGIN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")
last: Path | None = None
"""The log that has the traceback of the last unexpected error."""

say = _logger.info
"""One line for the file, with %-arguments as in `logging`."""


def printable(text: str) -> str:
    """A line in which nothing acts on a terminal: line breaks as spaces, other control characters as their numbers."""
    line = " ".join(text.split())
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in line
    )


def warn(text: str) -> None:
    """One line for a user, and for the file."""
    text = printable(text)
    with suppress(OSError, ValueError):  # nobody reads it any more
        print(text, file=sys.stderr)
    _logger.warning("%s", text)


def skip(reason: str, count: int = 1) -> None:
    """So many things were skipped by this process. reason: in the plural, as `tell_skipped` says it after their number."""
    if count:
        _skipped[reason] += count
        say("skipped: %d %s", count, reason)


def tell_skipped() -> None:
    """Tell what `skip` was told since `to_file` began; nothing if nothing was."""
    if _skipped:
        warn(
            "skipped: "
            + ", ".join(f"{count} {reason}" for reason, count in sorted(_skipped.items()))
        )


class _File(logging.FileHandler):
    """A full disk does not stop the run here, nor is told twice."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def to_file(directory: Path, process: int = 0) -> Iterator[None]:
    """Within it, go on with DIRECTORY/log/process-PROCESS.log; the error that ends it comes last, with its traceback if nobody expected it.

    Raises InputError where the file cannot be opened.
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
        "started: process %d, pid %d on %s: %s",
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
        with suppress(OSError):  # of a full disk
            handler.close()


def _is_log(path: Path) -> bool:
    """Whether a file is empty, or begins as `to_file` writes it."""
    with open(path, "rb") as file:
        head = file.read(100).decode(errors="replace")
    return not head or _BEGIN.match(head) is not None
