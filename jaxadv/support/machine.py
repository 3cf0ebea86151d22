"""Facts about the code's version and the machine.

Also keeps freed memory in this process.
"""

import ctypes
import os
import platform
import subprocess
import sys
import zlib
from pathlib import Path

_VECTORS = (
    "sse",
    "ssse",
    "avx",
    "fma",
    "f16c",
    "amx",
    "bmi",
    "3dnow",
    "asimd",
    "sve",
    "neon",
    "bf16",
    "i8mm",
)
"""Prefixes of the names of processor instructions that change results of numerical libraries."""
_WIDEST = ("amx_tile", "avx512f", "avx2", "avx", "sse4_2", "sse2", "sve2", "sve", "asimd")


def commit() -> str:
    """The commit of a checkout, with "-dirty" appended if files differ; "unknown" outside of
    one.
    """
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def kind() -> str:
    """The processor, the number of cores that this process may use, the architecture and the
    system.
    """
    return f"{processor()}, {cores()} cores, {platform.machine()}, {platform.system()}"


def processor() -> str:
    """The name of the processor."""
    return _cpu("model name") or platform.processor() or "unknown processor"


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """The number of threads that XLA uses on a CPU.

    It is the value of the environment variable PJRT_NPROC or NPROC, or else the number of cores.
    """
    for name in ("PJRT_NPROC", "NPROC"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return cores()


def instructions() -> str:
    """The processor's vector instructions: the widest kind, and a checksum of all."""
    known = set((_cpu("flags") or _cpu("Features")).split())
    vectors = sorted(name for name in known if name.startswith(_VECTORS))
    widest = next((name for name in _WIDEST if name in known), platform.machine())
    return f"{widest} ({zlib.crc32(' '.join(vectors).encode()):08x})"


def _cpu(name: str) -> str:
    """A field of Linux's description of the first processor; empty if there is none."""
    lines = (line.partition(":") for line in cpu_information().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def cpu_information() -> str:
    """Linux's description of the processors; empty on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


_KEPT = {-8: 1, -4: 0, -1: -1}
"""Settings of glibc's malloc: one arena, no mappings of their own for large blocks, no trimming."""
_RETURNED = {-8: 0, -4: 2**16, -3: 2**25, -1: 2**26}
"""Its defaults. The thresholds are those at which its own adjustment of them ends."""


def keep_memory(keep: bool = True) -> bool:
    """Keep freed memory in this process, for the next call of a network.

    On a CPU, XLA allocates and frees its memory at each call. By default glibc returns large blocks
    to the system, and gets empty pages for the next call. That takes up to a third of a network's
    time. ``import jaxadv`` calls this function. Threads that exist already keep glibc's default, so
    import jaxadv before JAX computes anything. Nothing changes without glibc, with
    ``JAXADV_KEEP_MEMORY=0``, or if an environment variable of glibc's malloc is set.

    Args:
        keep: False for glibc's default again, as for work that frees much and calls no network.

    Returns:
        Whether the settings could be changed.
    """
    chosen = [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]
    if sys.platform != "linux" or chosen or os.environ.get("JAXADV_KEEP_MEMORY") == "0":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library may lack it
    settings = _KEPT if keep else _RETURNED
    return mallopt is not None and all([mallopt(*setting) for setting in settings.items()])
