"""What fetch wrote down for itself is damaged: it is told, or found out again; nothing is taken on
its word.
"""

import json

import pytest
from made_archives import NUMBERS
from small_study import order, whole
from test_downloads import WHOLE, receive

from jaxadv.fetching import study
from jaxadv.fetching.folder import MARK
from model_ports.errors import InputError


@pytest.mark.parametrize(
    "tag", [b"\xff\xfe\x00", b'"a"\r\nX-Header: 1', '"größer"'.encode(), b"no quotes", b'"', b""]
)
def test_a_damaged_tag_is_no_tag(serve, tmp_path, tag):
    """The part is fetched again. The tag is no header that somebody could write."""
    server = serve(net=WHOLE)
    (tmp_path / "net.part").write_bytes(b"another file" * 999)
    (tmp_path / "net.part.tag").write_bytes(tag)
    assert receive(server, tmp_path)[0] == WHOLE and server.asked == [None]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"sha256": 3}', b"[" * 5000, None], ids=str
)
def test_a_damaged_mark_of_the_pictures(published, tmp_path, capsys, content):
    """The pictures are compared with the archive again, and none is lost."""
    study.fetch(order(tmp_path, only="pictures"))
    path = tmp_path / "pictures" / MARK
    known = json.loads(path.read_text())
    text = json.dumps(known | {"pictures": 3}).encode() if content is None else content
    path.write_bytes(text)
    (tmp_path / "fetched.json").write_bytes(content or b"{}")
    capsys.readouterr()
    study.fetch(order(tmp_path, only="pictures"))
    lines = [line for line in capsys.readouterr().err.splitlines() if "is damaged" in line]
    assert lines and all("compared with the archive again" in line for line in lines)
    whole(tmp_path, names=())
    assert json.loads(path.read_text()) == known and known["pictures"] == len(NUMBERS)


def test_a_folder_of_pictures_without_a_mark_is_somebody_elses(published, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "me.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="is there already, and not from this archive"):
        study.fetch(order(tmp_path, only="pictures"))
    assert (tmp_path / "pictures" / "me.jpg").read_bytes() == b"mine"
