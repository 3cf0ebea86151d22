"""meta.json of a checkpoint, with hostile numbers: a line. What was changed is told."""

import json

import numpy as np
import pytest

from model_ports import checkpoint, weights
from model_ports.errors import InputError

PARAMS = {"layer": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}


@pytest.fixture
def saved(tmp_path):
    checkpoint.save(tmp_path / "net", PARAMS, {"model": "net", "zoo": "digits", "note": "kept"})
    return tmp_path / "net"


def changed(saved, **facts) -> None:
    """Facts changed by somebody who has made the checksum right."""
    meta = json.loads((saved / checkpoint.META).read_text()) | facts
    meta[checkpoint.CHECKSUM] = checkpoint._checksum(meta)
    (saved / checkpoint.META).write_text(json.dumps(meta))


def entry(shape, dtype="float32") -> dict:
    return {"arrays": {"layer/kernel": {"shape": shape, "dtype": dtype}}}


@pytest.mark.parametrize(
    "facts",
    [
        entry([2**40, 2**40]),
        entry([-2, -3]),
        entry([2.0, 3.0]),
        entry([True, 6]),
        entry([10**300]),
        entry(6),
        entry(None),
        entry("23"),
        entry([[2, 3]]),
        entry([2, 3], dtype=7),
        entry([2, 3], dtype=["float32"]),
        entry([2, 3], dtype="object"),
        entry([2, 3], dtype="no type"),
        entry([2, 3], dtype="../../x"),
        {"arrays": []},
        {"arrays": {"layer/kernel": []}},
        {"arrays": {"layer/kernel": {"shape": [2, 3]}}},
        {"arrays": {}},
        {"model": 3},
        {"zoo": None},
        {"sha256": 0},
        {"sha256": "0" * 64},
        {"format": 1.5},
        {"format": "1" * 5000},
        {"format": [1]},
    ],
    ids=str,
)
def test_hostile_facts(saved, facts):
    changed(saved, **facts)
    with pytest.raises(InputError) as caught:
        checkpoint.load(saved, PARAMS, model="net", zoo="digits")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"3",
        b'"meta"',
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"format": ' + b"9" * 5000 + b"}",
        b'{"format": 1e999}',
        b'{"format": NaN}',
    ],
)
def test_hostile_json(saved, content):
    (saved / checkpoint.META).write_bytes(content)
    for call in (lambda: checkpoint.read_meta(saved), lambda: checkpoint.load(saved, PARAMS)):
        with pytest.raises(InputError) as caught:
            call()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_meta_that_is_a_folder_or_not_readable(saved, monkeypatch):
    (saved / checkpoint.META).unlink()
    (saved / checkpoint.META).mkdir()
    with pytest.raises(InputError, match="has no meta.json"):
        checkpoint.read_meta(saved)


def test_a_fact_that_changed_is_told(saved):
    path = saved / checkpoint.META
    path.write_text(path.read_text().replace('"kept"', '"lost"'))
    with pytest.raises(InputError, match="is damaged .meta.json was changed"):
        checkpoint.read_meta(saved)


def test_older_checkpoints_have_no_checksum(saved):
    path = saved / checkpoint.META
    meta = json.loads(path.read_text())
    del meta[checkpoint.CHECKSUM]
    path.write_text(json.dumps(meta))
    assert checkpoint.load(saved, PARAMS)[1] == meta


def test_every_embedded_network_has_one():
    for folder in sorted(weights.EMBEDDED.iterdir()):
        if folder.is_dir() and (folder / checkpoint.META).exists():
            assert checkpoint.CHECKSUM in (folder / checkpoint.META).read_text()
            checkpoint.read_meta(folder)
