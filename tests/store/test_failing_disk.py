"""The n-th write, open, sync, rename, new folder or removal fails, for every n: one line, and the
same command then goes on.

What it leaves in the end is the same to the bit as without the fault. Never a traceback, never
stuck.
"""

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from failing_disk import FAULTS, Process

SURPLUS = 3
"""How many operations more than an undisturbed job's are tried: a second time may need others."""
FEW, MANY = 3, 15
"""How many operations of each kind of fault the quick suite tries, and the slow one.
--every_operation tries all.
"""
MEMORY = Path("/dev/shm")
"""Where a sync takes no time."""


@pytest.fixture(scope="module")
def process():
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    started = Process(folder)
    yield started
    started.end()
    shutil.rmtree(folder)


def check(process: Process, job: str, name: str, few: int | None = None) -> None:
    """Every operation fails, or a few of them."""
    fault = FAULTS[name]
    count = process.trial(job, fault, 0).counted
    numbers = list(range(1, count + SURPLUS))
    if few is not None:
        numbers = sorted(random.Random(name).sample(numbers[:count], min(few, count)))
    reached = 0
    for which in numbers:
        trial = process.trial(job, fault, which)
        where = f"{name}, number {which} of {count}: {trial}"
        assert "\n" not in trial.first and len(trial.first) < 1000, where
        assert trial.second == "" and trial.wrong == "", where
        assert trial.failed or not trial.first, where
        reached += bool(trial.failed)
    print(f"{job}: {name}: {reached} of {count} operations failed")
    assert reached >= min(len(numbers), count)


@pytest.mark.parametrize("name", FAULTS)
def test_some_operations_of_a_runs_store_fail(process, name):
    check(process, "store", name, FEW)


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("job", ["store", "run", "report", "checkpoint"])
def test_every_single_operation_may_fail(process, pytestconfig, job, name):
    check(process, job, name, None if pytestconfig.getoption("every_operation") else MANY)
