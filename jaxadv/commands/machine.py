"""Where results come from: the code's commit, and the kind of machine."""

import os
import platform
import subprocess
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
