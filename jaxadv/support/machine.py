"""Facts about the code's version and the machine."""

import os
import platform
import subprocess
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
