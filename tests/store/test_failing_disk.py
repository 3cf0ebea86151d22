"""The n-th write, open, sync, rename, new folder or removal fails, for every n: one line, and the same command then goes on.

What it leaves in the end is the same to the bit as without the fault. Never a traceback, never stuck.
"""

import pytest
from failing_disk import FAULTS, Process

SURPLUS = 3
"""How many operations more than an undisturbed job's are tried: a second time may need others."""


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    started = Process(tmp_path_factory.mktemp("failing"))
    yield started
    started.end()


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(
    "job",
    [
        "store",
        *(pytest.param(job, marks=pytest.mark.slow) for job in ("run", "report", "checkpoint")),
    ],
)
def test_every_single_operation_may_fail(process, job, name):
    fault = FAULTS[name]
    count = process.trial(job, fault, 0).counted
    reached = 0
    for which in range(1, count + SURPLUS):
        trial = process.trial(job, fault, which)
        where = f"{name}, number {which} of {count}: {trial}"
        assert "\n" not in trial.first and len(trial.first) < 1000, where
        assert trial.second == "" and trial.wrong == "", where
        assert trial.failed or not trial.first, where
        reached += bool(trial.failed)
    print(f"{job}: {name}: {reached} of {count} operations failed")
    assert reached >= count > 0
