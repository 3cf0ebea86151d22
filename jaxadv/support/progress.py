"""Shows one line on standard error: how far the run is, what is running, how fast, and how long it
will still take.

On a terminal and in a notebook the line is rewritten, and cut to the width of the terminal.
Elsewhere, as in a file, each piece of work writes a line every ten seconds, and one at its end.
"""

import shutil
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

from jaxadv.support import log

_KNOWN = 0.05
"""The share of a piece of work that has to be done before its remaining time is shown."""
_QUIET, _QUIET_WHOLE, _QUICK = 10.0, 30.0, 0.5
"""Seconds between two lines in a file, between two of the whole run there, and between two on a
terminal.
"""
_lock = threading.Lock()


class Whole:
    """Counts all units of work of a run. Pieces of work within it share its line.

    The time left is shown once a unit of each remaining kind has been timed. Times are those of the
    work itself, without compilation.

    >>> with Whole("run", show=False) as whole:
    ...     whole.plan("vgg_16", {"fgsm": 2})
    ...     whole.done("vgg_16", "fgsm", seconds=3.0)
    ...     whole.text()
    'run: 1/2 units, 0:03 left'
    """

    active: ClassVar["Whole | None"] = None

    def __init__(self, title: str, *, show: bool = True, at_once: int = 1):
        """at_once: how many units are at work at the same time."""
        self.title, self.show, self.at_once = title, show, at_once
        self.left: dict[str, Counter[str]] = {}
        self.timed: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.finished, self.began, self.written = 0, time.monotonic(), time.monotonic()

    def __enter__(self) -> "Whole":
        if self.show:
            Whole.active = self
        return self

    def __exit__(self, kind, value, traceback) -> None:
        if self.show:
            Whole.active = None
            took = _clock(time.monotonic() - self.began)
            if kind is None or _overwrites():  # in a file, the line of an error stands alone
                _write(self.text() + ("" if kind else f" in {took}"), final=True)

    def plan(self, who: str, kinds: Mapping[str, int]) -> None:
        """What is left of one network: units of each kind.

        Replaces what was planned for it before.
        """
        with _lock:
            self.left[who] = Counter(kinds)

    def done(self, who: str, kind: str, seconds: float) -> None:
        """One unit of a network is finished; it took so long."""
        with _lock:
            self.finished += 1
            self.timed[kind] += 1
            self.seconds[kind] += seconds
            self.left.setdefault(who, Counter())[kind] -= 1
        log.say("%s", self.text())
        if self.show and not _overwrites() and time.monotonic() - self.written > _QUIET_WHOLE:
            self.written = time.monotonic()
            _write(self.text(), final=True)

    def text(self) -> str:
        """E.g. "run: 37/198 units, 12:40 left"."""
        with _lock:
            left = sum((+planned for planned in self.left.values()), Counter[str]())
        text = f"{self.title}: {self.finished}/{self.finished + left.total()} units"
        if left and all(self.timed[kind] for kind in left):
            mean = {kind: self.seconds[kind] / self.timed[kind] for kind in left}
            seconds = sum(count * mean[kind] for kind, count in left.items()) / self.at_once
            text += f", {_clock(seconds)} left"
        return text


class Progress:
    """Counts one piece of work up to ``total``.

    >>> with Progress("vgg_16 attacks", 24, "items", show=False) as bar:
    ...     bar.advance(1)
    """

    _shown: list["Progress"] = []

    def __init__(
        self,
        title: str,
        total: int,
        unit: str,
        *,
        show: bool = True,
        done: int = 0,
        is_even: bool = True,
    ):
        """What is counted.

        Args:
            title: of the line.
            total: how much there is to do.
            unit: what is counted, in the plural.
            show: whether anything is written to standard error.
            done: how many were done before, which says nothing of today's speed.
            is_even: whether all take about as long, so that a rate and a time left can be told.
        """
        self.is_even = is_even
        self.title, self.total, self.unit, self.show = title, total, unit, show
        self.count, self.judged, self.successes, self.before = done, 0, 0, done
        self.began = self.written = time.monotonic()
        self.seconds = 0.0  # what it took, once it has ended
        self.is_open = False

    def __enter__(self) -> "Progress":
        self.is_open = True
        if self.show:
            self._shown.append(self)
        return self

    def __exit__(self, kind, value, traceback) -> None:
        self.is_open = False
        self.seconds = time.monotonic() - self.began
        if self.show:
            self._shown.remove(self)
            if kind is None:
                self._tell(final=True)
        log.say("%s%s", self.text(final=True), "" if kind is None else ", given up")

    def advance(self, count: int, successes: int | None = None) -> None:
        """So many are done. successes: how many of them, where that is known already."""
        self.count += count
        if successes is not None:
            self.judged += count
            self.successes += successes
        if not self.show:
            return
        pause = _QUICK if _overwrites() else _QUIET
        if time.monotonic() - self.written > pause:
            self._tell(final=False)

    def stage(self, title: str) -> None:
        """Another part of the work begins, which has a name of its own."""
        self.title = title
        if self.show and (_overwrites() or time.monotonic() - self.written > _QUIET):
            self._tell(final=False)

    def _tell(self, *, final: bool) -> None:
        """Write a line. Within a whole run, a terminal keeps no line of a piece that has ended."""
        self.written = time.monotonic()
        mine, whole = self.text(final=final), Whole.active
        if not _overwrites():
            _write(mine, final=True)
        elif final and whole is None:
            _write(mine, final=True)
        else:
            pieces = [bar.text(final=False) for bar in self._shown if bar is not self]
            first = [whole.text()] if whole else []
            _write(" · ".join([*first, *[mine] * (not final), *pieces]), final=False)

    def text(self, *, final: bool) -> str:
        """E.g. "vgg_16 cw: 9/100 attempts, success 43 %, 0.5/s, 3:22 left"."""
        elapsed = max(time.monotonic() - self.began, 1e-9)
        rate = (self.count - self.before) / elapsed
        parts = [f"{self.count}/{self.total} {self.unit}"]
        if self.judged:
            parts.append(f"success {100 * self.successes / self.judged:.0f} %")
        if rate > 0 and self.is_even:
            parts.append(f"{rate:.1f}/s")
        if final:
            parts.append(f"in {_clock(elapsed)}")
        elif not self.is_even:
            pass
        elif self.count - self.before >= _KNOWN * (self.total - self.before) and rate > 0:
            parts.append(f"{_clock((self.total - self.count) / rate)} left")
        elif rate == 0:
            parts.append("starting")
        return f"{self.title}: {', '.join(parts)}"


def _overwrites() -> bool:
    """Whether a line can be written over itself: on a terminal, and in a notebook's cell."""
    return sys.stderr is not None and (sys.stderr.isatty() or _in_notebook())


def _in_notebook() -> bool:
    return type(sys.stderr).__module__.startswith("ipykernel")


def _write(text: str, *, final: bool) -> None:
    """Write a line over the one before, cut to the width there is, or a line of its own. final: it
    stays.
    """
    overwrites = _overwrites()
    if overwrites:
        width = shutil.get_terminal_size().columns - 1
        text = text if len(text) <= width else f"{text[: width - 1]}…"
        clear = "\r" + " " * width + "\r" if _in_notebook() else "\r\033[K"
        text = clear + text
    with _lock, suppress(OSError, ValueError):  # standard error is closed
        print(text, end="\n" if final or not overwrites else "", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return (
        f"{minutes}:{seconds:02d}"
        if minutes < 60
        else f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    )
