"""A file appears whole, also while another process removes temporary files."""

import os

import pytest

from jaxadv.support import files
from model_ports.errors import InputError


@pytest.mark.parametrize("removed", [0, 1, 3, files.TRIES])
def test_a_temporary_file_that_vanishes_is_written_again(tmp_path, monkeypatch, removed):
    place, calls, replace = tmp_path / "a.json", [], os.replace

    def vanishing(old, new):
        calls.append(old)
        if len(calls) <= removed:
            os.unlink(old)
        replace(old, new)

    monkeypatch.setattr(os, "replace", vanishing)
    if removed < files.TRIES:
        files.write_atomically(place, b"new")
        assert place.read_bytes() == b"new" and len(calls) == removed + 1
    else:
        with pytest.raises(InputError, match="cannot write"):
            files.write_atomically(place, b"new")
        assert not place.exists() and len(calls) == files.TRIES
    assert all(path == place for path in tmp_path.iterdir())


def test_a_folder_that_is_gone_is_one_line(tmp_path, monkeypatch):
    def gone(old, new):
        os.unlink(old)
        tmp_path.joinpath("below").rmdir()
        raise FileNotFoundError(2, "No such file or directory", new)

    monkeypatch.setattr(os, "replace", gone)
    with pytest.raises(InputError, match="cannot write"):
        files.write_atomically(tmp_path / "below" / "a.json", b"new")
