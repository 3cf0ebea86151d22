"""Several processes at one run: the same rows as one, whoever dies."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from jaxadv.rows import KINDS
from jaxadv.store import Run

ROOT = Path(__file__).parents[2]
JOB = ["evaluate", "--models=mobilenet_v1_025,vgg_16", "--num_images=40", "--attacked_images=7", "--block_images=3", "--lanes=2"]
JOB += ["--attacks=fgsm,cw", "--eps=0.1", "--cw_steps=60", "--cw_search_steps=2", "--clever_images=4", "--clever_batches=6"]
JOB += ["--clever_samples=4", "--targets=random", "--parts=attacks,transfer,clever", "--noprogress"]
JOB += ["--save_seconds=0.1"]


def start(out: Path, *arguments: str) -> subprocess.Popen:
    variables = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "run.py"), *JOB, f"--out={out}", *arguments]
    return subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def together(out: Path, processes: int) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    each = [[f"--coordinator={place}", f"--processes={processes}", f"--process={number}"] for number in range(processes)]
    return [start(out, *arguments) for arguments in each]


def ended(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def rows(out: Path, kind: str) -> pd.DataFrame:
    return Run(out).read(kind)


def same_rows(out: Path, expected: Path) -> None:
    for kind in KINDS:
        pd.testing.assert_frame_equal(rows(out, kind), rows(expected, kind), check_exact=True, obj=kind)
    assert not (out / "unfinished").exists()


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    ended(start(out))
    assert len(rows(out, "examples")) == 2 * 7 * 2
    blocks = [f"{attack}-000{block}" for attack in ("cw", "fgsm") for block in range(3)]
    parts = [f"part-{name}-{block}" for name in ("mobilenet_v1_025", "vgg_16") for block in blocks]
    assert sorted(path.stem for path in (out / "transfer").iterdir()) == parts
    return out


def test_processes_change_no_bit(alone, tmp_path):
    """One of three is killed in the middle of its share and started again, and the others wait for it."""
    out = tmp_path / "run"
    running = together(out, 3)
    while not list(out.glob("unfinished/*")):
        assert running[1].poll() is None, running[1].communicate()
        time.sleep(0.05)
    running[1].send_signal(signal.SIGKILL)
    running[1].communicate()
    running[1] = start(out, *[argument for argument in running[1].args if argument.startswith(("--coordinator", "--process"))])
    for process in running:
        ended(process)
    same_rows(out, alone)
    assert {path.name for path in (out / "log").iterdir()} == {f"process-{number}.log" for number in range(3)}


def test_all_killed_again_and_again(alone, tmp_path):
    """Also the one that the others find each other by; the next time there are more of them, or one."""
    out = tmp_path / "run"
    for processes, seconds in ((2, 9), (3, 12)):
        running = together(out, processes)
        time.sleep(seconds)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.communicate()
    ended(start(out))
    same_rows(out, alone)


def test_processes_that_cannot_be(tmp_path, refused):
    assert "go together" in refused("evaluate", "--process=1")
    assert "count from 0" in refused("evaluate", "--process=2", "--processes=2", "--coordinator=127.0.0.1:1")
