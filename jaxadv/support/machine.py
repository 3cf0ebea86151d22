"""Where results come from: the code's commit, and the kind of machine. And how its memory is had, before anything begins."""

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
"""Beginnings of the names of instructions on which the code of numerical libraries depends."""
_WIDEST = ("amx_tile", "avx512f", "avx2", "avx", "sse4_2", "sse2", "sve2", "sve", "asimd")


def commit() -> str:
    """The commit of a checkout, with "-dirty" behind it if files differ; "unknown" outside of one."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def kind() -> str:
    """Processor, cores that this process may use, architecture and system."""
    return f"{processor()}, {cores()} cores, {platform.machine()}, {platform.system()}"


def processor() -> str:
    """The processor's name."""
    return _cpu("model name") or platform.processor() or "unknown processor"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many threads XLA uses on a processor: one a core, or what two environment variables say."""
    for name in ("PJRT_NPROC", "NPROC"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return cores()


def instructions() -> str:
    """The instructions on vectors that the processor has: the widest kind, and a checksum of all."""
    known = set((_cpu("flags") or _cpu("Features")).split())
    vectors = sorted(name for name in known if name.startswith(_VECTORS))
    widest = next((name for name in _WIDEST if name in known), platform.machine())
    return f"{widest} ({zlib.crc32(' '.join(vectors).encode()):08x})"


def _cpu(name: str) -> str:
    """An entry of Linux's description of the first processor; empty where there is none."""
    lines = (line.partition(":") for line in cpu_information().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def cpu_information() -> str:
    """What Linux says of the processor; empty elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def begin_with_large_pages() -> None:
    """Start this process again with memory in large pages, where Linux leaves that to programs and glibc (2.35) to an environment variable.

    For each call of a network XLA asks a processor's system for memory and gives it back: in pages of 4 KB 5 to 10 % of ResNet's time go
    into that, and a quarter of MobileNet's. Whoever has set `GLIBC_TUNABLES` keeps it.
    """
    choice = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if (
        sys.platform != "linux"
        or "GLIBC_TUNABLES" in os.environ
        or not choice.exists()
        or "[madvise]" not in choice.read_text()
    ):
        return
    os.environ["GLIBC_TUNABLES"] = (
        "glibc.malloc.hugetlb=1"  # an older glibc, or another library, does not know it
    )
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
