"""Killed at any moment, alone or one of several processes at one run: started again, by however
many, it ends with the same rows.
"""

import random
import shutil
import socket
import time
from pathlib import Path

import processes
import pytest
from processes import Command, run
from test_resume import same_rows, state

from jaxadv.store.run import Run

KILLS = 20
JOB = [
    "evaluate",
    "--models=none",
    f"--model_module={processes.TINY}",
    "--num_images=300",
    "--attacked_images=20",
    "--block_images=6",
]
JOB += [
    "--lanes=8",
    "--attacks=fgsm,ifgsm,cw,ead",
    "--eps=0.1",
    "--cw_steps=150",
    "--cw_search_steps=3",
    "--ead_steps=50",
]
JOB += [
    "--ead_search_steps=2",
    "--clever_images=8",
    "--clever_batches=10",
    "--clever_samples=16",
    "--targets=random",
]
JOB += ["--parts=attacks,transfer,clever", "--noprogress", "--save_seconds=0.1"]


def together(out: Path, count: int) -> list[Command]:
    """So many processes at one run."""
    if count == 1:
        return [Command(*JOB, f"--out={out}")]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    each = [
        [f"--coordinator={place}", f"--processes={count}", f"--process={number}"]
        for number in range(count)
    ]
    return [Command(*JOB, f"--out={out}", *arguments) for arguments in each]


def kill(command: Command) -> bool:
    """Whether it was not at its end before."""
    command.kill()
    status, said = command.end()
    assert status in (-9, 0), said
    return status == -9


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    run(*JOB, f"--out={out}")
    blocks = [
        f"{attack}-000{block}" for attack in ("cw", "ead", "fgsm", "ifgsm") for block in range(4)
    ]
    parts = [f"part-{name}-{block}" for name in ("tiny_12", "tiny_8") for block in blocks]
    assert sorted(path.stem for path in (out / "transfer").iterdir()) == parts
    return out


def done(out: Path, expected: Path) -> None:
    same_rows(
        out,
        {
            kind: Run(expected).read(kind)
            for kind in ("clean", "examples", "transfer", "clever", "dropped", "adversarial")
        },
    )
    assert not (out / "unfinished").exists() and not list(out.rglob("*.tmp"))


@pytest.mark.slow
def test_one_of_three_is_killed_and_started_again(alone, tmp_path):
    """In the middle of its share; the others wait for it."""
    out = tmp_path / "run"
    running = together(out, 3)
    while not list(out.glob("unfinished/*")):
        assert running[1].is_running(), running[1].end()
        time.sleep(0.05)
    assert kill(running[1])
    running[1] = Command(*running[1].arguments)
    for process in running:
        status, said = process.end()
        assert status == 0, said
    done(out, alone)
    assert {path.name for path in (out / "log").iterdir()} == {
        f"process-{number}.log" for number in range(3)
    }


@pytest.mark.slow
def test_killed_at_random_moments_and_continued(alone, tmp_path):
    """One, two or three processes: one of them, which is started again, or all together; while they
    start, while rows are written, and in the middle of attacks and scores.
    """
    chance, out, kills = random.Random(1), tmp_path / "run", 0

    def wait(running):
        if chance.random() < 0.2:
            return time.sleep(chance.uniform(0, 2))
        before = state(out)
        while state(out) == before and all(process.is_running() for process in running):
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.5))

    while kills < KILLS:
        running = together(out, chance.choice([1, 1, 2, 3]))
        wait(running)
        if (
            len(running) > 1 and chance.random() < 0.5
        ):  # not the first, whom the others find each other by
            kills += kill(running.pop())
            running.append(Command(*running[0].arguments[:-1], f"--process={len(running)}"))
            wait(running)
        killed = [kill(process) for process in reversed(running)]
        kills += any(killed)
        if not any(killed):  # it came to its end: once more
            done(out, alone)
            shutil.rmtree(out)
    run(*JOB, f"--out={out}")
    done(out, alone)


def test_processes_that_cannot_be(refused):
    assert "go together" in refused("evaluate", "--process=1")
    assert "count from 0" in refused(
        "evaluate", "--process=2", "--processes=2", "--coordinator=127.0.0.1:1"
    )
