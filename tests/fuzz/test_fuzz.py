"""No file, however damaged or hostile, ends a reader in anything but a line: no traceback, no hang,
no memory above a gigabyte.

``pytest -m fuzz --fuzz_seconds=60`` gives every reader a minute. The slow suite gives it a second,
the quick one some inputs. Files from which the inputs are made lie in corpus/; make_corpus.py has
written them.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import fuzz_readers
import pytest
from fuzz_readers import CORPUS
from mutations import mutated

HERE = Path(__file__).parent
MEND = ("what fetch wrote down", "parts and manifest", "journals")
"""Readers that leave damaged files out, with a warning, and refuse none."""
READERS = fuzz_readers.readers()
FEW = 30
"""Inputs of each reader in the quick suite."""


@pytest.fixture(params=list(READERS))
def name(request) -> str:
    if not READERS[request.param].is_there():
        pytest.skip(f"{READERS[request.param].needs} is not installed")
    return request.param


def test_the_corpus_is_small_and_read(tmp_path, name, capsys):
    """A seed that is refused at once reaches little of a reader."""
    reader = READERS[name]
    seeds = fuzz_readers.seeds(reader.seeds)
    assert seeds and all(
        fuzz_readers.one(reader, tmp_path / "there", content, known)
        for known, content in seeds.items()
    )
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 200_000


def test_a_few_inputs(tmp_path, name, capsys):
    reader, chance = READERS[name], random.Random(0)
    seeds = fuzz_readers.seeds(reader.seeds)
    for _ in range(FEW):
        known = chance.choice(list(seeds))
        content = mutated(seeds[known], list(seeds.values()), chance)
        fuzz_readers.one(reader, tmp_path / "there", content, known)


@pytest.mark.slow
def test_a_second_of_inputs(tmp_path, name):
    fuzz(name, 1, tmp_path)


@pytest.mark.fuzz
def test_many_inputs(tmp_path, name, pytestconfig):
    print(name, fuzz(name, pytestconfig.getoption("fuzz_seconds"), tmp_path, int(time.time())))


def fuzz(name: str, seconds: float, folder: Path, seed: int = 0) -> dict:
    """Counts; fails where a reader does not answer in a line. The input is then in ``folder``."""
    paths = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE)))
    done = subprocess.run(
        [sys.executable, HERE / "fuzz_worker.py", name, str(seconds), str(seed), folder],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )
    told = f"{name}, seed {seed}, input in {folder}: {done.stderr[-4000:]}"
    assert done.returncode == 0, told
    found = json.loads(done.stdout.splitlines()[-1])
    failures = found.pop("failures")
    assert not failures, f"{told}\n" + "\n".join(failures.values())
    assert found["inputs"] and (name in MEND or found["read"] < found["inputs"]), found
    return found
