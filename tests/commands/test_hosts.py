"""Several processes at one run, that come, stop and die at any moment: the run ends with the rows of
one process alone, and little is done twice.
"""

import os
import random
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import processes
import pytest
import shims
from processes import Command, refusal, run
from test_resume import same_rows, state

from jaxadv.store.claims import Claims
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
JOIN = [*JOB, "--join", "--claim_seconds=3", "--at_once=1"]
LONG = [*JOIN, "--cw_steps=1000", "--ead_steps=500", "--nocw_abort_early", "--noead_abort_early"]
"""The same with so much work that a unit is a small part of it."""


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


def same(out: Path, expected: Path) -> None:
    """The rows of one process alone."""
    same_rows(
        out,
        {
            kind: Run(expected).read(kind)
            for kind in ("clean", "examples", "transfer", "clever", "dropped", "adversarial")
        },
    )


def done(out: Path, expected: Path) -> None:
    """The same, and nothing else is left in the folder."""
    same(out, expected)
    assert not (out / "unfinished").exists() and not list(out.rglob("*.tmp"))
    assert not (out / "claims").exists()


def ended(running: list[Command]) -> str:
    """Wait for the good end of all. Returns everything that they said."""
    ends = [command.end() for command in running]
    assert all(status == 0 for status, _ in ends), ends
    return "".join(said for _, said in ends)


def begun(out: Path, running: list[Command], pattern: str = "unfinished/*") -> None:
    """Wait until an attack or a score is under way."""
    while not list(out.glob(pattern)):
        assert all(command.is_running() for command in running), [one.end() for one in running]
        time.sleep(0.05)


@pytest.mark.slow
def test_three_share_a_run_and_one_ends_it(alone, tmp_path):
    """Each of them does a part of it, and one alone makes the report."""
    out = tmp_path / "run"
    arguments = [*JOIN, "--parts=attacks,transfer,clever,report", "--figures=none"]
    said = ended([Command(*arguments, f"--out={out}") for _ in range(3)])
    same(out, alone)
    assert said.count("report: ") == 1 and said.count("the run is finished") == 2, said
    logs = [path.read_text() for path in (out / "log").iterdir()]
    assert len(logs) == 3 and sum("begun, generation 0" in text for text in logs) >= 2
    assert not (out / "claims").exists() and not list(out.rglob("*.tmp"))


@pytest.mark.long
def test_one_is_killed_for_good(alone, tmp_path):
    """In the middle of a unit. The others take it over, and go on in its middle."""
    out = tmp_path / "run"
    running = [Command(*JOIN, f"--out={out}") for _ in range(3)]
    begun(out, running)
    assert kill(running.pop(1))
    ended(running)
    done(out, alone)


def calls(log: Path) -> tuple[int, float]:
    """The calls of networks in a log of `shims.count`, and how many more could have been made.

    A process without a unit could have made as many as each of the others made meanwhile.
    """
    events = log.read_bytes()
    first = {event: place for place, event in reversed([*enumerate(events)])}
    last = {event: place for place, event in enumerate(events)}
    ends = {last[event] for event in last if event < shims.FIRST_IDLE}
    begins = {first[event] for event in first if event < shims.FIRST_IDLE}
    at_work = 0  # processes between their first call and their last
    lost = 0.0
    waiting: set[int] = set()
    for place, event in enumerate(events):
        at_work += place in begins
        if event >= shims.FIRST_IDLE:
            waiting.add(event - shims.FIRST_IDLE)
            continue
        waiting.discard(event)
        lost += len(waiting) / max(1, at_work - len(waiting))
        at_work -= place in ends
    return sum(event < shims.FIRST_IDLE for event in events), lost


@pytest.mark.long
def test_stopped_killed_and_late(tmp_path):
    """Four processes: one is stopped half of the time, one is killed for good, one joins late.

    Work that is done twice and work that nobody does are together at most a tenth, counted.
    """
    one, out = tmp_path / "one", tmp_path / "run"
    single = [word for word in LONG if word not in ("--join",)]
    ended([Command(*single, f"--out={one}", before=partial(shims.count, tmp_path / "log1", 0))])
    needed, _ = calls(tmp_path / "log1")

    def start(number: int) -> Command:
        return Command(
            *LONG, f"--out={out}", before=partial(shims.count, tmp_path / "log4", number)
        )

    stopped, killed, steady = running = [start(number) for number in range(3)]
    begun(out, running, "unfinished/*lanes*")
    time.sleep(1)
    assert kill(killed)
    late = start(3)
    while stopped.is_running() and steady.is_running():
        os.kill(stopped.pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(stopped.pid, signal.SIGCONT)
        time.sleep(5)
    ended([stopped, steady, late])
    same(out, one)
    made, idle = calls(tmp_path / "log4")
    print(f"{needed} calls alone; {made} by four, {idle:.0f} could have been made by the idle")
    assert made - needed + idle <= 0.1 * needed


@pytest.mark.slow
def test_killed_at_random_moments(alone, tmp_path):
    """One to three processes; any of them, or all together, while they start, while rows are written,
    and in the middle of attacks and scores. Only one is started again after the last kill.
    """
    chance, out, kills = random.Random(1), tmp_path / "run", 0
    running: list[Command] = []
    while kills < KILLS:
        while len(running) < chance.choice([1, 2, 3]):
            running.append(Command(*JOIN, f"--out={out}"))
        before = state(out)
        while state(out) == before and all(process.is_running() for process in running):
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 1.5))
        chance.shuffle(running)
        for _ in range(chance.choice([1, 1, len(running)])):
            kills += kill(running.pop())
        if not any(process.is_running() for process in running) and not Claims(out).taken():
            finished = Run(out).manifest().get("finished_parts")
            if finished:  # it came to its end: once more
                ended(running)
                done(out, alone)
                shutil.rmtree(out)
                running = []
    for process in running:
        kill(process)
    run(*JOIN, f"--out={out}")
    done(out, alone)


@pytest.mark.long
def test_all_killed_at_once_and_one_started_again(tmp_path):
    """It goes on from the journals, and repeats no more than was done since the last save."""
    one, out = tmp_path / "one", tmp_path / "run"
    single = [word for word in LONG if word not in ("--join",)]
    ended([Command(*single, f"--out={one}", before=partial(shims.count, tmp_path / "log1", 0))])
    needed, _ = calls(tmp_path / "log1")
    count = partial(shims.count, tmp_path / "log3", 0)
    running = [Command(*LONG, f"--out={out}", before=count) for _ in range(3)]
    begun(out, running, "unfinished/*lanes*")
    time.sleep(3)
    assert all([kill(process) for process in running])
    run_again = Command(*single, f"--out={out}", before=count)
    ended([run_again])
    same(out, one)
    made, _ = calls(tmp_path / "log3")
    print(f"{needed} calls alone; {made} with three that were killed")
    assert made <= 1.1 * needed


@pytest.mark.few(slow=("late lists",))
@pytest.mark.parametrize(
    "shim",
    [
        partial(shims.wrong_clock, 3600.0),
        partial(shims.wrong_clock, -3600.0),
        partial(shims.late_lists, 0.2, 6.0),
    ],
    ids=["an hour fast", "an hour slow", "late lists"],
)
def test_a_wrong_clock_and_late_lists_change_no_row(alone, tmp_path, shim):
    """Of one of three processes, while another one is killed.

    The lists are late by two thirds of the time after which a claim is free, as with 60 s and 90 s.
    """
    out = tmp_path / "run"
    arguments = [*JOIN, "--claim_seconds=9", f"--out={out}"]
    running = [Command(*arguments, before=shim), *(Command(*arguments) for _ in range(2))]
    begun(out, running)
    assert kill(running.pop())
    ended(running)
    same(out, alone)


@pytest.mark.slow
def test_claims_that_vanish_or_are_damaged_change_no_row(alone, tmp_path):
    """Somebody removes, empties and overwrites claims all the time."""
    out, over, chance = tmp_path / "run", threading.Event(), random.Random(3)

    def vandal() -> None:
        while not over.wait(0.1):
            for path in list((out / "claims").glob("*")):
                try:
                    if chance.random() < 0.3:
                        path.unlink()
                    elif chance.random() < 0.5:
                        path.write_bytes(chance.randbytes(chance.choice([0, 7, 300])))
                except OSError:
                    pass  # it has just gone

    thread = threading.Thread(target=vandal)
    thread.start()
    try:
        ended([Command(*JOIN, f"--out={out}") for _ in range(3)])
    finally:
        over.set()
        thread.join()
    same(out, alone)


@pytest.mark.slow
def test_what_does_not_fit_the_run_is_said_at_once(alone, tmp_path):
    """Another run, a start without --join beside others, and --overwrite."""
    out = tmp_path / "run"
    shutil.copytree(alone, out)
    assert "of other settings (fgsm --eps" in refusal(*JOIN, "--eps=0.2", f"--out={out}")
    assert "--overwrite with --join" in refusal(*JOIN, "--overwrite", f"--out={out}")
    with Claims(out):
        line = refusal(*JOB, f"--out={out}")
    assert f"in use by process {os.getpid()}" in line and "add --join" in line
    run(*JOIN, f"--out={out}")


@pytest.mark.parametrize("flag", ["--process=1", "--processes=2", "--multihost"])
def test_flags_that_are_gone_name_join(refused, flag):
    assert "give each of them --join and the same --out" in refused("evaluate", flag)


def test_join_needs_a_folder(refused):
    assert "--join without --out" in refused("evaluate", "--join", "--models=alexnet")
