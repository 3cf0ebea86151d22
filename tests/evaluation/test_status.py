"""Who works on a run, and when they last said so."""

import os

import pytest

from jaxadv.evaluation import status
from jaxadv.store.claims import Claims


def test_a_claim_shows_its_owner_and_its_silence(tmp_path):
    """By the clock of the file server. The probe for its time does not stay."""
    claims = Claims(tmp_path, owner="mine")
    claims.open()
    for unit in ("net-cw-0000", "@end"):
        claim = claims.take(unit)
        assert claim is not None
        path = tmp_path / "claims" / claim.name
        then = path.stat().st_mtime - 50
        os.utime(path, (then, then))
    (tmp_path / "claims" / "net-cw-0001+2").write_text("damaged")
    before = sorted(os.listdir(tmp_path / "claims"))
    first, second = status._held(tmp_path)
    assert (first.unit, first.generation) == ("net-cw-0000", 0)
    assert first.owner.startswith(f"process {os.getpid()} on ")
    assert first.silent == pytest.approx(50, abs=5)
    assert (second.unit, second.generation, second.owner) == (
        "net-cw-0001",
        2,
        "an unknown process",
    )
    assert second.silent == pytest.approx(0, abs=5)
    assert sorted(os.listdir(tmp_path / "claims")) == before
