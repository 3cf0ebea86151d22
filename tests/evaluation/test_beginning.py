"""Who begins a run, and who waits for that."""

import threading
from pathlib import Path

from jaxadv.evaluation import hosts
from jaxadv.store import run as store
from jaxadv.store.claims import Claim, Claims


def begins(
    directory: Path, claims: Claims, seconds: float
) -> tuple[threading.Thread, list[Claim | None]]:
    """Ask in a thread, and wait that long for the answer."""
    answers: list[Claim | None] = []
    thread = threading.Thread(
        target=lambda: answers.append(hosts.begins(directory, claims)), daemon=True
    )
    thread.start()
    thread.join(seconds)
    return thread, answers


def test_one_process_begins_and_the_others_wait(tmp_path, monkeypatch):
    first, second = (Claims(tmp_path, owner=name) for name in ("first", "second"))
    first.open()
    second.open()
    waits, (beginning,) = begins(tmp_path, first, 10)
    assert isinstance(beginning, Claim) and not waits.is_alive()
    waits, answers = begins(tmp_path, second, 0.5)
    assert not answers  # the run has not begun
    monkeypatch.setattr(store.Run, "manifest", lambda self: {"identity": {}})
    waits.join(10)
    assert answers == [None]
    first.release(beginning)
    assert begins(tmp_path, first, 10)[1] == [None] and not first.taken()


def test_who_claims_a_run_that_has_just_begun_gives_the_claim_back(tmp_path, monkeypatch):
    manifests = iter([{}, {"identity": {}}])
    monkeypatch.setattr(store.Run, "manifest", lambda self: next(manifests))
    claims = Claims(tmp_path, owner="late")
    claims.open()
    assert begins(tmp_path, claims, 10)[1] == [None] and not claims.taken()
