"""A process whose disk fails when it is told to (failing_disk.c), and what is asked of it.

The process does small jobs again and again (failing_jobs.py), so that a trial takes milliseconds:
nothing is started, imported or compiled for it.
"""

import errno
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PATIENCE = 60
"""Seconds that a trial may take. Two runs of the largest job take a second."""
PREPARATION = 600
"""Seconds before the first trial of a job: its networks are compiled."""
OPEN, WRITE, SYNC, RENAME, MKDIR, REMOVE, READ = (1 << bit for bit in range(7))
ONCE, ALWAYS, DEAD, SHORT = range(4)


class Fault(NamedTuple):
    """What fails: the n-th operation of some kinds, in some way."""

    kinds: int  # whose operations are counted
    # ONCE: that one alone. ALWAYS: all of these kinds from then on. DEAD: everything. SHORT: half
    # of a write, then ALWAYS
    mode: int
    error: int


FAULTS = {
    "a write": Fault(WRITE, ONCE, errno.EIO),
    "a write in the middle": Fault(WRITE, SHORT, errno.ENOSPC),
    "opening for writing": Fault(OPEN, ONCE, errno.EMFILE),
    "opening for reading": Fault(READ, ONCE, errno.EIO),
    "a sync": Fault(SYNC, ONCE, errno.EIO),
    "a rename": Fault(RENAME, ONCE, errno.EIO),
    "a new folder": Fault(MKDIR, ONCE, errno.ENOSPC),
    "a removal": Fault(REMOVE, ONCE, errno.EIO),
    "a disk that fills": Fault(OPEN | WRITE | MKDIR, ALWAYS, errno.ENOSPC),
    "a disk that goes": Fault(OPEN | WRITE | SYNC | RENAME | MKDIR | REMOVE, DEAD, errno.EROFS),
}


class Trial(NamedTuple):
    """What became of a job whose disk failed, and of the same job after it."""

    counted: int  # operations of the fault's kinds, up to the first that failed
    failed: int  # operations that failed
    first: str  # what the job said; empty where it ended well
    second: str  # what the same job said then, on a disk that works
    wrong: str  # how what is there then differs from what it should be; empty where it does not


class Process:
    """One process under way.

    Args:
        folder: an empty one, for all that it does.
    """

    def __init__(self, folder: Path):
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler, "this test needs a C compiler"
        library = folder / "failing_disk.so"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing_disk.c"]
        subprocess.run([*command, "-ldl"], check=True)
        root = HERE.parents[1]
        paths = os.pathsep.join(map(str, (root, HERE.parent, HERE)))
        self._said = folder / "stderr"
        self._prepared: set[str] = set()
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, HERE / "failing_jobs.py", folder],
                env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": paths},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def trial(self, job: str, fault: Fault, which: int) -> Trial:
        """Do a job whose ``which``-th operation fails; 0: none fails, and they are counted."""
        return Trial(**self._ask({"job": job, **fault._asdict(), "which": which}))

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        seconds = PATIENCE if asked["job"] in self._prepared else PREPARATION
        self._prepared.add(asked["job"])
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else ""
        assert line, f"{asked} is stuck, or has ended the process: {self._said.read_text()[-3000:]}"
        return json.loads(line)

    def end(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.communicate()
