"""A run survives: kills at any moment, parts cut short, a full or read-only disk; and it tells a second writer and other settings."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from jaxadv.rows import KINDS
from jaxadv.store import Run

ROOT = Path(__file__).parents[2]
KILLS = 20
# The embedded job, of three networks and few images
JOB = [f"--flagfile={ROOT / 'flags' / 'embedded.flags'}", "--models=alexnet,vgg_16,mobilenet_v1_025", "--num_images=60"]
JOB += ["--attacked_images=6", "--block_images=4", "--lanes=4", "--clever_images=2", "--noprogress", "--save_seconds=0.1"]
COMMAND = [sys.executable, str(ROOT / "run.py")]
# Attacks of one network, in a second
SHORT = ["evaluate", "--models=mobilenet_v1_025", "--parts=attacks", "--attacks=fgsm", "--num_images=20", "--noprogress"]


def environment(**variables) -> dict:
    return os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | variables


def run(*arguments: str, before: tuple = ()) -> subprocess.CompletedProcess:
    command = [*before, *COMMAND, *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)


def refusal(done: subprocess.CompletedProcess) -> str:
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("run.py: "), done
    return line


def rows_of(directory: Path) -> dict[str, pd.DataFrame]:
    return {kind: Run(directory).read(kind) for kind in KINDS}


def same_rows(directory: Path, expected: dict[str, pd.DataFrame]) -> None:
    for kind, rows in rows_of(directory).items():
        pd.testing.assert_frame_equal(rows, expected[kind], check_exact=True, obj=kind)


def state(directory: Path) -> dict:
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    done = run(*JOB, f"--out={out}")
    assert done.returncode == 0, done.stderr
    return out


def test_killed_at_random_moments_and_continued(undisturbed, tmp_path):
    """Kills while rows are written, in the middle of attacks and scores, and (one of five) while a process starts."""
    moments = random.Random(1)
    out = tmp_path / "run"
    kills = 0
    while kills < KILLS:
        process = subprocess.Popen([*COMMAND, *JOB, f"--out={out}"], env=environment(), stderr=subprocess.PIPE, text=True)
        if moments.random() < 0.2:
            time.sleep(moments.uniform(0, 4))
        else:
            before = state(out)
            while process.poll() is None and state_or(out, before) == before:
                time.sleep(0.02)
            time.sleep(moments.uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"ended after {kills} kills: {errors}"
        kills += 1
    done = run(*JOB, f"--out={out}")
    assert done.returncode == 0, done.stderr
    same_rows(out, rows_of(undisturbed))
    assert not (out / "unfinished").exists() and not list(out.rglob("*.tmp"))


def test_an_interrupt_from_the_keyboard_ends_at_once(tmp_path):
    """In the middle of a long attack, in one line; what a second process then finds is free to be continued."""
    out = tmp_path / "run"
    long = ["--models=mobilenet_v1_025,vgg_16", "--attacks=cw", "--cw_steps=100000", "--nocw_abort_early", f"--out={out}"]
    process = subprocess.Popen([*COMMAND, *JOB, *long], env=environment(), stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(out.glob("unfinished/*lanes*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.splitlines()[-1] == "interrupted; the same command goes on", errors
    assert time.monotonic() - began < 5
    with Run.begin(out, Run(out).manifest()["identity"]) as run:
        assert run.has("clean", "vgg_16-0000") or run.has("clean", "mobilenet_v1_025-0000")


def state_or(directory: Path, default: dict) -> dict:
    """`state`, while somebody else writes there."""
    try:
        return state(directory)
    except FileNotFoundError:
        return default


def test_a_finished_run_is_known_at_once(undisturbed):
    """Within 15 seconds, whatever the job, and nothing is written."""
    before, began = state(undisturbed), time.monotonic()
    done = run(*JOB, f"--out={undisturbed}")
    assert done.returncode == 0 and "nothing is left to do" in done.stdout
    assert time.monotonic() - began < 15
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
    done = run("report", f"--out={out}")
    assert "is not a readable part" in refusal(done)
    done = run(*JOB, f"--out={out}")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("removed, to be made again: ")]
    assert len(lines) == 20 and all(any(str(path) in line for line in lines) for path in chosen)
    same_rows(out, rows_of(undisturbed))


def test_other_settings_are_named_and_change_nothing(undisturbed):
    before = state(undisturbed)
    line = refusal(run(*JOB, f"--out={undisturbed}", "--eps=0.05,0.3", "--lanes=3"))
    assert "--eps 0.05,0.1,0.2 there, 0.05,0.3 now; --lanes 4 there, 3 now" in line and "--overwrite" in line
    assert {path for path, at in state(undisturbed).items() if before[path] != at} <= {undisturbed / ".lock"}


def test_a_second_writer_is_told(tmp_path):
    with Run.begin(tmp_path / "run", {}):
        line = refusal(run(*SHORT, f"--out={tmp_path / 'run'}"))
    assert f"in use by process {os.getpid()} on " in line
    assert not Run(tmp_path / "run").count_parts()


@pytest.fixture
def small_disk(tmp_path) -> tuple:
    """A shell in a namespace of its own with a disk of 40 kB at tmp_path/disk: what comes before a command."""
    (tmp_path / "disk").mkdir()
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
    script = f'mount -t tmpfs -o size=40k none "{tmp_path}/disk"; '
    probe = subprocess.run([*before, script], capture_output=True, text=True)
    assert probe.returncode == 0, f"this test needs Linux with user namespaces: {probe.stderr}"
    return before, script


def test_a_full_disk_loses_nothing(small_disk, tmp_path):
    """One line; and with more room the same command goes on where it was."""
    before, script = small_disk
    out = tmp_path / "disk" / "run"
    command = " ".join([*COMMAND, *SHORT, "--parts=attacks,clever", "--clever_batches=9", "--clever_samples=2", f"--out={out}"])
    script += f"""
        {command} 2> {tmp_path}/first && exit 3
        echo $? > {tmp_path}/status; ls -R {out} > {tmp_path}/kept
        mount -o remount,size=9m none {tmp_path}/disk
        {command} 2> {tmp_path}/second
        cp -r {out} {tmp_path}/run
    """
    done = subprocess.run([*before, script], env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr + (tmp_path / "first").read_text()
    (line,) = (tmp_path / "first").read_text().splitlines()
    assert "No space left on device" in line and (tmp_path / "status").read_text() == "2\n"
    assert "part-mobilenet_v1_025" in (tmp_path / "kept").read_text() and ".tmp" not in (tmp_path / "kept").read_text()
    assert run(*SHORT, "--parts=attacks,clever", "--clever_batches=9", "--clever_samples=2", f"--out={tmp_path / 'whole'}").returncode == 0
    same_rows(tmp_path / "run", rows_of(tmp_path / "whole"))


def test_a_read_only_disk_is_one_line(small_disk, tmp_path):
    before, script = small_disk
    script += f"mount -o remount,ro none {tmp_path}/disk; {' '.join([*COMMAND, *SHORT])} --out={tmp_path}/disk/run"
    line = refusal(subprocess.run([*before, script], env=environment(), capture_output=True, text=True, timeout=600))
    assert "cannot write" in line and "Read-only file system" in line
