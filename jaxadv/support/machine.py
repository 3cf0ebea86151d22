"""Where results come from: the code's commit, and the kind of machine. And how its memory is had, before anything begins."""

import os
import platform
import subprocess
import sys
from pathlib import Path


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
    name = next((line.partition(":")[2].strip() for line in cpu_information().splitlines() if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name or platform.processor() or 'unknown processor'}, {cores} cores, {platform.machine()}, {platform.system()}"


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
    if sys.platform != "linux" or "GLIBC_TUNABLES" in os.environ or not choice.exists() or "[madvise]" not in choice.read_text():
        return
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"  # an older glibc, or another library, does not know it
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
