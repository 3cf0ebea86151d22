"""Shows on standard error what is running, how fast, and how long it will still take."""

import sys
import threading
import time
from contextlib import suppress

from jaxadv.support import log


class Progress:
    """Counts up to ``total``, and shows the count.

    On a terminal it rewrites one line, at most twice a second. Elsewhere it writes a line every ten
    seconds. Bars that run at the same time in several threads share the line of a terminal.

    Args:
        title: what is running.
        total: the final count.
        unit: what is counted, in the plural.
        show: False to show nothing.
        done: the count at the start. It does not enter the speed.

    >>> with Progress("vgg_16 attacks", 24, "items", show=False) as bar:
    ...     bar.advance(1)
    """

    _lock = threading.Lock()
    _shown: list["Progress"] = []

    def __init__(self, title: str, total: int, unit: str, *, show: bool = True, done: int = 0):
        self.title = title
        self.total = total
        self.unit = unit
        self.show = show
        self.count = done
        self.before = done
        self.judged = 0
        self.successes = 0
        self.began = self.written = time.monotonic()
        self._overwrites = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        if self.show:
            self._shown.append(self)
        return self

    def __exit__(self, kind, value, traceback) -> None:
        if self.show:
            self._shown.remove(self)
            if kind is None:
                self._write(final=True)
        log.say("%s%s", self._text(final=True), "" if kind is None else ", given up")

    def advance(self, count: int, successes: int | None = None) -> None:
        """Add to the count.

        Args:
            count: how many more are done.
            successes: how many of them succeeded; None if that is not known yet.
        """
        self.count += count
        if successes is not None:
            self.judged += count
            self.successes += successes
        if self.show and time.monotonic() - self.written > (0.5 if self._overwrites else 10.0):
            self._write(final=False)

    def _write(self, *, final: bool) -> None:
        self.written = time.monotonic()
        mine = self._text(final=final)
        with self._lock:
            if self._overwrites:
                beside = [bar._text(final=False) for bar in self._shown if final or bar is not self]
                line = f"\r\033[K{mine}" + ("\n" * final) + "   ".join([""] * (not final) + beside)
            else:
                line = f"{mine}\n"
            with suppress(OSError, ValueError):  # standard error is closed
                print(line, end="", file=sys.stderr, flush=True)

    def _text(self, *, final: bool) -> str:
        elapsed = max(time.monotonic() - self.began, 1e-9)
        rate = (self.count - self.before) / elapsed
        if final:
            rest = f"in {_clock(elapsed)}"
        else:
            rest = f"{_clock((self.total - self.count) / rate)} left" if rate > 0 else "starting"
        success = f"success {100 * self.successes / self.judged:.0f} %, " if self.judged else ""
        return f"{self.title}: {self.count}/{self.total} {self.unit}, {success}{rate:.1f}/s, {rest}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return (
        f"{minutes}:{seconds:02d}"
        if minutes < 60
        else f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    )
