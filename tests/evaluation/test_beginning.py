"""Who begins a run, and who waits for that."""

import threading

from jaxadv.evaluation import hosts
from jaxadv.store import run as store
from jaxadv.store.claims import Claims


def test_one_process_begins_and_the_others_wait(tmp_path, monkeypatch):
    first, second = (Claims(tmp_path, owner=name) for name in ("first", "second"))
    first.open()
    second.open()
    beginning = hosts.begins(tmp_path, first)
    assert beginning is not None
    answers: list[object] = []
    waits = threading.Thread(target=lambda: answers.append(hosts.begins(tmp_path, second)))
    waits.start()
    waits.join(0.5)
    assert not answers  # the run has not begun
    monkeypatch.setattr(store.Run, "manifest", lambda self: {"identity": {}})
    waits.join(10)
    assert answers == [None]
    first.release(beginning)
    assert hosts.begins(tmp_path, first) is None and not first.taken()


def test_who_claims_a_run_that_has_just_begun_gives_the_claim_back(tmp_path, monkeypatch):
    manifests = iter([{}, {"identity": {}}])
    monkeypatch.setattr(store.Run, "manifest", lambda self: next(manifests))
    claims = Claims(tmp_path, owner="late")
    claims.open()
    assert hosts.begins(tmp_path, claims) is None and not claims.taken()
