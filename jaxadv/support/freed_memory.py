"""What glibc's malloc does with freed memory: keeps it in this process, or returns it to the system.

On a CPU, XLA allocates and frees its memory at each call of a network. By default glibc returns
large blocks to the system, and gets empty pages for the next call. That takes up to a third of a
network's time.
"""

import ctypes
import os
import sys
from typing import Any

_KEPT = {-8: 1, -4: 0, -1: -1}
"""Settings of malloc: one arena, no mappings of their own for large blocks, no trimming."""
_RETURNED = {-8: 0, -4: 2**16, -3: 2**25, -1: 2**26}
"""Its defaults. The thresholds are those at which its own adjustment of them ends."""


def keep() -> bool:
    """Keep freed memory in this process, for the next call of a network.

    ``import jaxadv`` calls this. Threads that exist already keep glibc's default, so import jaxadv
    before JAX computes anything. Nothing changes without glibc, with ``JAXADV_KEEP_MEMORY=0``, or
    if an environment variable of glibc's malloc is set.

    Returns:
        Whether memory is kept.
    """
    return _set(_KEPT)


def let_go() -> bool:
    """Return freed memory to the system again, for work that frees much and calls no network.

    Returns:
        Whether anything changes. It does if `keep` changes anything.
    """
    return _set(_RETURNED)


def trim() -> bool:
    """Return the memory that is free at present to the system.

    Returns:
        Whether this C library can do that.
    """
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)
    return malloc_trim is not None


def _set(settings: dict[int, int]) -> bool:
    chosen = [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]
    mallopt = _function("mallopt")
    if mallopt is None or chosen or os.environ.get("JAXADV_KEEP_MEMORY") == "0":
        return False
    return all([mallopt(*setting) for setting in settings.items()])


def _function(name: str) -> Any:
    """A function of the C library; None if it lacks it, as others than glibc do."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
