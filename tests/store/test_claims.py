"""Claims: one owner at a time, heirs of the dead, and files that vanish or are damaged."""

import os
import threading
import time
from pathlib import Path

import pytest

from jaxadv.store import claims
from jaxadv.store.claim_folder import ClaimFolder
from jaxadv.store.claims import Claims
from model_ports.errors import InputError

SECONDS = 100.0


class Elsewhere(ClaimFolder):
    """A folder as machines of their own see it: nobody notices another's locks."""

    def lock(self, name: str) -> int | None:
        return None


def opened(directory: Path, owner: str, folder: type[ClaimFolder] = Elsewhere) -> Claims:
    """A process that renews nothing by itself."""
    made = Claims(directory, seconds=SECONDS, folder=folder(directory / "claims"), owner=owner)
    made.open()
    return made


def age(directory: Path, name: str, seconds: float) -> None:
    """Let the file server's clock go on for everything but this file."""
    path = directory / "claims" / name
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_unit_has_one_owner(tmp_path):
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
    claim = first.take("a-cw-0000")
    assert claim is not None and claim.generation == 0 and claim.writer == "0-first"
    assert second.take("a-cw-0000") is None and second.take_over("a-cw-0000") is None
    assert second.take("a-cw-0001") is not None
    assert first.look() == ({"a-cw-0000": 0, "a-cw-0001": 0}, 2)
    first.release(claim)
    assert second.take("a-cw-0000") is not None


def test_a_claim_that_nobody_renews_has_an_heir(tmp_path):
    """One heir, of the next generation; the owner that wakes up sees it."""
    first, second, third = (opened(tmp_path, name) for name in ("first", "second", "third"))
    claim = first.take("a")
    age(tmp_path, claim.name, SECONDS - 5)
    assert second.take_over("a") is None
    age(tmp_path, claim.name, 10)
    heir = second.take_over("a")
    assert heir is not None and heir.generation == 1 and heir.writer == "1-second"
    assert third.take_over("a") is None
    assert not first.is_lost(claim)
    first.renew()
    assert first.is_lost(claim) and not second.is_lost(heir)
    first.release(claim)
    assert second.taken() == {"a": 1}
    second.release(heir)
    assert second.taken() == {} and third.take("a").generation == 0


def test_renewal_keeps_a_claim(tmp_path):
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
    claim = first.take("a")
    age(tmp_path, claim.name, 2 * SECONDS)
    first.renew()
    assert second.take_over("a") is None


def test_a_thread_renews(tmp_path):
    with Claims(tmp_path, seconds=0.2) as first, Claims(tmp_path, seconds=0.2) as second:
        assert first.take("a") is not None
        ended = time.monotonic() + 1.0
        while time.monotonic() < ended:
            assert second.take_over("a") is None
            time.sleep(0.05)


def test_a_process_of_this_machine_that_ended_is_known_at_once(tmp_path):
    """By its lock, which the system drops."""
    first = opened(tmp_path, "first", ClaimFolder)
    second = opened(tmp_path, "second", ClaimFolder)
    claim = first.take("a")
    assert second.take_over("a") is None and second.others() != []
    os.close(first._handle)
    heir = second.take_over("a")
    assert heir is not None and heir.generation == claim.generation + 1
    assert second.others() == [] and second.look()[1] == 1


def test_no_clock_of_a_machine_matters(tmp_path, monkeypatch):
    """A process whose clock is an hour wrong neither takes over from the living nor misses the dead."""
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
    claim = first.take("a")
    for wrong in (3600.0, -3600.0):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: 1e9 + wrong)
        first.renew()
        assert second.take_over("a") is None
    age(tmp_path, claim.name, 2 * SECONDS)
    assert second.take_over("a") is not None


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"[1, 2]", b'{"owner": 7}', b"{" * 10**5])
def test_a_damaged_claim_is_judged_by_its_time(tmp_path, content):
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
    claim = first.take("a")
    (tmp_path / "claims" / claim.name).write_bytes(content)
    assert second.take_over("a") is None
    first.renew()
    age(tmp_path, claim.name, 2 * SECONDS)
    assert second.take_over("a") is not None


def test_a_claim_that_vanished_comes_back(tmp_path):
    """Also the file of the process; unless another process was faster."""
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
    claim = first.take("a")
    for path in (tmp_path / "claims").iterdir():
        path.unlink()
    first.renew()
    assert second.take("a") is None and first.taken() == {"a": 0}
    (tmp_path / "claims" / claim.name).unlink()
    assert second.take_over("a") is not None


def test_a_folder_that_is_removed_comes_back(tmp_path):
    first = opened(tmp_path, "first")
    for path in (tmp_path / "claims").iterdir():
        path.unlink()
    (tmp_path / "claims").rmdir()
    assert first.taken() == {} and first.take("a") is not None


@pytest.mark.slow
def test_a_thousand_takeovers_raced_by_two(tmp_path):
    """Each claim has exactly one heir."""
    dead = opened(tmp_path, "dead")
    names = [f"unit-{number}" for number in range(1000)]
    for name in names:
        age(tmp_path, dead.take(name).name, 2 * SECONDS)
    heirs = [opened(tmp_path, "one"), opened(tmp_path, "two")]
    known = heirs[0].taken()
    won: list[set[str]] = [set(), set()]
    start = threading.Barrier(2)

    def race(number: int) -> None:
        start.wait()
        for name in names:
            if heirs[number].take_over(name, known) is not None:
                won[number].add(name)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won[0] | won[1] == set(names) and not won[0] & won[1]
    assert set(heirs[0].taken().values()) == {1}


def test_the_end_gives_everything_back(tmp_path):
    """Others need not wait; and the last one removes the folder."""
    with Claims(tmp_path) as first, Claims(tmp_path) as second:
        assert first.take("a") and second.take("b")
        first.close()
        assert second.taken() == {"b": 0}
    assert not (tmp_path / "claims").exists()


def test_the_end_removes_what_the_dead_have_left(tmp_path):
    """Files of processes without a claim too. The living keep theirs."""
    dead, idle, living, last = (opened(tmp_path, name) for name in ("dead", "idle", "b", "c"))
    lost, kept = dead.take("lost"), living.take("kept")
    assert lost is not None and kept is not None
    (tmp_path / "claims" / "damaged+0").write_bytes(b"\xff")
    for name in ("process@dead", "process@idle"):
        age(tmp_path, name, SECONDS + 5)
    last.sweep()
    assert sorted(last.folder.names()) == ["kept+0", "process@b", "process@c"]
    living.close()
    last.close()
    assert not (tmp_path / "claims").exists()
    idle.close()


def test_a_start_alone_is_refused_while_others_live(tmp_path):
    first = opened(tmp_path, "first", ClaimFolder)
    first.take("a")
    with pytest.raises(InputError, match=f"in use by process {os.getpid()} on .*add --join"):
        Claims(tmp_path).refuse_others()
    assert first.taken() == {"a": 0}
    os.close(first._handle)  # it has ended
    Claims(tmp_path).refuse_others()
    assert first.folder.names() == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / claims.FOLDER).write_text("a file")
    with pytest.raises(InputError, match="^cannot write [^\n]*$"):
        Claims(tmp_path).open()
