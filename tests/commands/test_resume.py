"""A run survives: interrupts, parts cut short, a full or read-only disk; and it tells a second
writer and other settings.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import processes
import pytest
from processes import Command, refusal, run

from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run

ROOT = Path(__file__).parents[2]
TINY = ["--models=none", f"--model_module={processes.TINY}", "--noprogress"]
JOB = [
    "evaluate",
    *TINY,
    "--num_images=200",
    "--attacked_images=10",
    "--block_images=4",
    "--lanes=4",
    "--attacks=fgsm,cw",
]
JOB += [
    "--eps=0.05,0.1",
    "--cw_steps=60",
    "--cw_search_steps=3",
    "--targets=random,least",
    "--clever_images=6",
    "--clever_batches=6",
]
JOB += ["--clever_samples=8", "--parts=attacks,transfer,clever", "--save_seconds=0.1"]
# In a process of its own
COMMAND = [sys.executable, str(ROOT / "run.py")]
ENVIRONMENT = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
SHORT = [
    "evaluate",
    *TINY,
    "--parts=attacks,clever",
    "--attacks=fgsm",
    "--num_images=100",
    "--clever_batches=9",
    "--clever_samples=2",
]


def rows_of(directory: Path) -> dict[str, pd.DataFrame]:
    return {kind: Run(directory).read(kind) for kind in KINDS}


def same_rows(directory: Path, expected: dict[str, pd.DataFrame]) -> None:
    for kind, rows in rows_of(directory).items():
        pd.testing.assert_frame_equal(rows, expected[kind], check_exact=True, obj=kind)


def state(directory: Path) -> dict:
    """Its files and their times, also while somebody else writes there."""
    found = {}
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found[path] = path.stat().st_mtime_ns
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(*JOB, f"--out={out}")
    return out


@pytest.mark.few("15-143-terminated")
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 143, "terminated"),
    ],
)
def test_an_interrupt_or_a_signal_to_end_ends_at_once(tmp_path, number, status, word):
    """In the middle of a long attack, in one line; what a second process then finds is free to be
    continued.
    """
    out = tmp_path / "run"
    command = Command(
        *JOB, "--attacks=cw", "--cw_steps=100000", "--nocw_abort_early", f"--out={out}"
    )
    while command.is_running() and not list(out.glob("unfinished/*lanes*")):
        time.sleep(0.05)
    os.kill(command.pid, number)
    began = time.monotonic()
    ended, said = command.end()
    assert ended == status and said.splitlines()[-1] == f"{word}; the same command continues", said
    assert time.monotonic() - began < 5
    with Run.begin(out, Run(out).belonging.identity) as kept:
        assert kept.has("clean", "tiny_8-0000") or kept.has("clean", "tiny_12-0000")


def test_a_finished_run_is_known_at_once(undisturbed):
    """Within 15 seconds of a processor, the start included, and nothing is written."""
    before, began = state(undisturbed), os.times()
    done = subprocess.run(
        [*COMMAND, *JOB, f"--out={undisturbed}"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0 and "nothing is left to do" in done.stdout
    assert os.times().children_user - began.children_user < 15
    changed = {path for path, at in state(undisturbed).items() if before.get(path) != at}
    assert {path.name for path in changed} <= {".lock", "manifest.json", "process-0.log"}


def test_parts_cut_short_are_made_again(undisturbed, tmp_path):
    """Twenty parts at random lengths at once: a line for each, and the same rows as before."""
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    chance = random.Random(2)
    parts = sorted(out.rglob("part-*.parquet"))
    chosen = chance.sample(parts, 20)
    for path in chosen:
        os.truncate(path, chance.randrange(path.stat().st_size))
    assert "is not a readable part" in refusal("report", f"--out={out}")
    lines = [
        line
        for line in run(*JOB, f"--out={out}").splitlines()
        if line.startswith("removed, to be made again: ")
    ]
    assert len(lines) == 20 and all(any(str(path) in line for line in lines) for path in chosen)
    same_rows(out, rows_of(undisturbed))


def test_other_settings_are_named_and_change_nothing(undisturbed):
    before = state(undisturbed)
    line = refusal(*JOB, f"--out={undisturbed}", "--eps=0.05,0.3", "--lanes=3")
    assert (
        "--lanes 4 there, 3 now; fgsm --eps 0.05,0.1 there, 0.05,0.3 now" in line
        and "--overwrite" in line
    )
    assert {path for path, at in state(undisturbed).items() if before[path] != at} <= {
        undisturbed / ".lock"
    }


def test_a_second_writer_is_told(tmp_path):
    with Run.begin(tmp_path / "run", {}):
        line = refusal(*SHORT, f"--out={tmp_path / 'run'}")
    assert f"in use by process {os.getpid()} on " in line
    assert not Run(tmp_path / "run").count_parts()


@pytest.fixture
def small_disk(tmp_path) -> tuple:
    """A shell in a namespace of its own with a disk of 40 kB at tmp_path/disk: what comes before a
    command.
    """
    (tmp_path / "disk").mkdir()
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
    script = f'mount -t tmpfs -o size=40k none "{tmp_path}/disk"; '
    probe = subprocess.run([*before, script], capture_output=True, text=True)
    assert probe.returncode == 0, f"this test needs Linux with user namespaces: {probe.stderr}"
    return before, script


@pytest.mark.long
def test_a_full_disk_loses_nothing(small_disk, tmp_path):
    """A full disk gives one line. With more room, the same command continues."""
    before, script = small_disk
    out = tmp_path / "disk" / "run"
    command = " ".join([*COMMAND, *SHORT, f"--out={out}"])
    script += f"""
        {command} 2> {tmp_path}/first && exit 3
        echo $? > {tmp_path}/status; ls -R {out} > {tmp_path}/kept
        mount -o remount,size=9m none {tmp_path}/disk
        {command} 2> {tmp_path}/second
        cp -r {out} {tmp_path}/run
    """
    done = subprocess.run(
        [*before, script], env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr + (tmp_path / "first").read_text()
    (line,) = (tmp_path / "first").read_text().splitlines()
    assert "No space left on device" in line and (tmp_path / "status").read_text() == "2\n"
    assert (
        "part-tiny_8" in (tmp_path / "kept").read_text()
        and ".tmp" not in (tmp_path / "kept").read_text()
    )
    run(*SHORT, f"--out={tmp_path / 'whole'}")
    same_rows(tmp_path / "run", rows_of(tmp_path / "whole"))


@pytest.mark.slow
def test_a_read_only_disk_is_one_line(small_disk, tmp_path):
    before, script = small_disk
    script += (
        f"mount -o remount,ro none {tmp_path}/disk; {' '.join([*COMMAND, *SHORT])} "
        f"--out={tmp_path}/disk/run"
    )
    done = subprocess.run(
        [*before, script], env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "cannot write" in line and "Read-only file system" in line
