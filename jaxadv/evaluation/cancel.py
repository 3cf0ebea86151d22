"""Giving work up: what fails in one thread ends what runs beside it in others."""

import threading


class Cancelled(Exception):
    """Other work of the same run has failed, so this is given up."""


class Cancel:
    """Shared by all work of one run, which asks it at every item whether to go on.

    >>> cancel = Cancel()
    >>> cancel.check()  # nothing happens
    >>> cancel.request()
    >>> cancel.check()
    Traceback (most recent call last):
    jaxadv.evaluation.cancel.Cancelled
    """

    def __init__(self) -> None:
        self._requested = threading.Event()

    def request(self) -> None:
        """Every `check` from now on raises Cancelled, in all threads."""
        self._requested.set()

    def check(self) -> None:
        """Raises Cancelled after a request."""
        if self._requested.is_set():
            raise Cancelled
