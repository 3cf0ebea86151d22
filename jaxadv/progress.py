"""One line on standard error: what is running, how fast, and how long it still takes."""

import sys
import time


class Progress:
    """Counts up to ``total``; writes at most twice a second, over itself on a terminal, else a line every ten seconds.

    >>> with Progress("vgg_16 attacks", 24, "items", show=False) as bar:
    ...     bar.advance(1)
    """

    def __init__(self, title: str, total: int, unit: str, *, show: bool = True):
        self.title, self.total, self.unit, self.show = title, total, unit, show
        self.count = 0
        self.began = self.written = time.monotonic()
        self._overwrites = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind, value, traceback) -> None:
        if kind is None:
            self._write(final=True)

    def advance(self, count: int) -> None:
        self.count += count
        if time.monotonic() - self.written > (0.5 if self._overwrites else 10.0):
            self._write(final=False)

    def _write(self, *, final: bool) -> None:
        self.written = time.monotonic()
        if not self.show:
            return
        elapsed = max(self.written - self.began, 1e-9)
        rate = self.count / elapsed
        if final:
            rest = f"in {_clock(elapsed)}"
        else:
            rest = f"{_clock((self.total - self.count) / rate)} left" if self.count else "starting"
        line = f"{self.title}: {self.count}/{self.total} {self.unit}, {rate:.1f}/s, {rest}"
        start, end = ("\r\033[K", "\n" if final else "") if self._overwrites else ("", "\n")
        print(f"{start}{line}", end=end, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
