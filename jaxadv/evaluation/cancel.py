"""Cancelling work: a failure in one thread ends the work of the other threads."""

import threading


class Cancelled(Exception):
    """Raised in a thread when other work of the same run has failed."""


class Cancel:
    """A flag that all work of one run shares and checks at every item.

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
        """From now on every `check` raises Cancelled, in all threads."""
        self._requested.set()

    def check(self) -> None:
        """Raises Cancelled if there was a request."""
        if self._requested.is_set():
            raise Cancelled
