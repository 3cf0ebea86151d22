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


class Told(Elsewhere):
    """A folder whose locks and times a test says; None: as they are."""

    locks: list[int | None] = []
    now: float | None = None

    def lock(self, name: str) -> int | None:
        return self.locks.pop(0) if self.locks else None

    def time(self, name: str) -> float | None:
        then = super().time(name)
        return self.now if then is not None and self.now is not None and "@" in name else then


def test_what_was_known_before_is_not_asked_again(tmp_path):
    """As of old a unit is free, or taken, though the folder says otherwise now."""
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
    assert first.take("a", {"a": 3}) is None and first.taken() == {}
    later = first.take_over("a", {"b": 1})
    assert later is not None and later.generation == 0
    assert second.take("a", {}) is None  # the file system lets one alone create it
    assert second.take_over("c", {"c": 0}) is None  # its claim has vanished


def test_the_first_owner_may_come_late(tmp_path):
    claim = opened(tmp_path, "first").take_over("a")
    assert claim is not None and (claim.generation, claim.writer) == (0, "0-first")


def test_the_living_keep_their_file_when_they_lose_a_claim(tmp_path):
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second")
    claim = first.take("a")
    age(tmp_path, claim.name, 2 * SECONDS)
    assert second.take_over("a") is not None and "process@first" in second.folder.names()
    age(tmp_path, "process@second", 2 * SECONDS)
    age(tmp_path, "a+1", 2 * SECONDS)
    assert first.take_over("a") is not None and "process@second" not in first.folder.names()


@pytest.mark.parametrize(("past", "free"), [(SECONDS, False), (SECONDS + 1, True)])
def test_a_claim_is_free_only_after_its_seconds(tmp_path, past, free):
    first, second = opened(tmp_path, "first"), opened(tmp_path, "second", Told)
    claim = first.take("a")
    os.utime(tmp_path / "claims" / claim.name, (1000, 1000))
    second.folder.now = 1000 + past
    assert (second.take_over("a") is not None) == free


def test_a_lock_that_came_late_is_kept_until_the_end(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    late = Claims(tmp_path, folder=Told(tmp_path / "claims"), owner="late")
    late.open()
    late.folder.locks = [handle, None]
    late.renew()
    late.renew()
    assert late._handle == handle and late.folder.locks == [None]
    late.close()
    with pytest.raises(OSError):
        os.fstat(handle)


def test_the_file_of_a_process_that_vanished_comes_back(tmp_path):
    first = opened(tmp_path, "first")
    (tmp_path / "claims" / "process@first").unlink()
    first.renew()
    assert first.folder.names() == ["process@first"]


def test_files_that_are_no_claims_are_no_units(tmp_path):
    first = opened(tmp_path, "first")
    for name in ("notes+old", "+3", "7", "b+2", "b+1"):
        (tmp_path / "claims" / name).write_text("")
    assert first.look() == ({"b": 2}, 1)


@pytest.mark.parametrize(("others", "words"), [(1, "; add"), (2, " and 1 more; add")])
def test_a_refusal_names_one_process_and_counts_the_rest(tmp_path, others, words):
    for number in range(others):
        opened(tmp_path, f"p{number}")
    with pytest.raises(InputError, match=rf"in use by process \d+ on [^ ;]+{words} --join"):
        Claims(tmp_path, folder=Elsewhere(tmp_path / "claims")).refuse_others()


def test_a_claim_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    first = opened(tmp_path, "first")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(first.folder, "create", full)
    with pytest.raises(InputError, match=r"^cannot write '.*claims/a\+0': No space left[^\n]*$"):
        first.take("a")


def test_an_owner_begins_with_the_name_of_its_machine(tmp_path, monkeypatch):
    """Forty letters at most, and a hyphen for what some file system refuses."""
    for name, begin in (("n1.lab:x", "n1-lab-x"), ("m" * 41, "m" * 40)):
        monkeypatch.setattr(claims.socket, "gethostname", lambda name=name: name)
        assert Claims(tmp_path).owner.startswith(f"{begin}-{os.getpid()}-")


def test_a_folder_creates_a_file_once(tmp_path):
    """Others may read it. A missing file is none, and no error."""
    folder = ClaimFolder(tmp_path / "run" / "claims")
    folder.open()
    before = os.umask(0)
    try:
        assert folder.create("a+0", "first") and not folder.create("a+0", "second")
        (tmp_path / "run" / "claims" / "a+0").rename(tmp_path / "a+0")
        folder.vanish()
        assert folder.create("b+0", "first")  # in a new folder
    finally:
        os.umask(before)
    for path in (tmp_path / "a+0", folder.directory / "b+0"):
        assert path.read_text() == "first" and path.stat().st_mode & 0o777 == 0o644
    assert not folder.touch("a+0") and folder.touch("b+0")
    assert folder.time("a+0") is None and folder.read("a+0") == "" and folder.lock("a+0") is None
