"""Fuzzes one reader in a process of its own: python fuzz_worker.py READER SECONDS SEED FOLDER;
prints JSON.

A process that is stuck for PATIENCE seconds, or crashes, ends with a traceback of all threads; its
last input lies in FOLDER/input. Inputs that were answered by anything but a line are kept as
FOLDER/failure-N.
"""

import contextlib
import faulthandler
import io
import json
import random
import resource
import sys
import time
import traceback
from pathlib import Path

import fuzz_readers
from mutations import mutated

PATIENCE = 10
"""Seconds that a reader may take for a file of some kilobytes."""
MEMORY = 2**30
"""Bytes that it may take."""
MOST_FAILURES = 20


def main(name: str, seconds: float, seed: int, folder: Path) -> dict:
    """Counts, figures and failures."""
    reader, chance = fuzz_readers.readers()[name], random.Random(f"{name} {seed}")
    seeds = fuzz_readers.seeds(reader.seeds)
    names, contents = list(seeds), list(seeds.values())
    for known, content in seeds.items():  # imports, and memory that they take
        fuzz_readers.one(reader, folder / "there", content, known)
    _limit_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = {"inputs": 0, "read": 0, "slowest": 0.0, "memory_mb": 0}
    failures: dict[str, str] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(failures) < MOST_FAILURES:
        known = chance.choice(names)
        content = mutated(seeds[known], contents, chance)
        if reader.repaired and chance.random() < 0.5:
            content = reader.repaired(content)
        (folder / "input").write_bytes(content)
        (folder / "input.name").write_text(known)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        began = time.monotonic()
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                counts["read"] += fuzz_readers.one(reader, folder / "there", content, known)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"
            if where not in failures:
                (folder / f"failure-{len(failures)}").write_bytes(content)
                failures[where] = f"{known}: {traceback.format_exc()}"
        counts["slowest"] = max(counts["slowest"], round(time.monotonic() - began, 3))
        faulthandler.cancel_dump_traceback_later()
        counts["inputs"] += 1
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        counts["memory_mb"] = taken // 1024
        if taken * 1024 > MEMORY:
            (folder / f"failure-{len(failures)}").write_bytes(content)
            failures["memory"] = f"{known}: {taken // 1024} MB"
            break
    return counts | {"failures": failures}


def _limit_memory() -> None:
    """A file that exhausts memory shall not take the machine with it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 3 * MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    faulthandler.enable()
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
