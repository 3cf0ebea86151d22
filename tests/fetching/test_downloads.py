"""A file over the network: whole or not at all, whatever the connection and the server do."""

import os
import random
import shutil
import socket

import numpy as np
import pytest

from jaxadv.fetching import transfer

WHOLE = np.random.default_rng(0).bytes(3_000_000)
OTHER = np.random.default_rng(1).bytes(3_000_000)


def receive(server, tmp_path, **options):
    seen = []
    options = {"report": lambda at, total: seen.append((at, total))} | options
    part = tmp_path / "net.part"
    transfer.receive(f"{server.url}/net", part, **options)
    return part.read_bytes(), seen


def test_a_file_comes_whole_and_says_how_far_it_is(serve, tmp_path):
    server = serve(net=WHOLE)
    content, seen = receive(server, tmp_path)
    assert content == WHOLE and server.asked == [None]
    here, totals = zip(*seen, strict=True)
    assert list(here) == sorted(here) and here[-1] == len(WHOLE) and set(totals) == {len(WHOLE)}
    assert len(seen) > 5


def test_a_whole_part_of_known_length_asks_nothing(serve, tmp_path):
    server = serve(net=WHOLE)
    (tmp_path / "net.part").write_bytes(WHOLE)
    assert receive(server, tmp_path, size=len(WHOLE)) == (WHOLE, [(len(WHOLE),) * 2])
    assert server.asked == []


@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize("has_tags", [True, False])
@pytest.mark.parametrize("certain", [True, False])
def test_twenty_cuts_change_nothing(
    serve, tmp_path, impatient, capsys, knows_ranges, has_tags, certain
):
    """Cut anywhere, by servers with and without Range and ETag: the file is the same."""
    server = serve(net=WHOLE)
    server.knows_ranges, server.has_tags = knows_ranges, has_tags
    places = sorted(random.Random(7).sample(range(1, len(WHOLE)), 20))
    continued = knows_ranges and (has_tags or certain)
    server.cuts = list(np.diff([0, *places])) if continued else places
    content, seen = receive(server, tmp_path, certain=certain)
    assert content == WHOLE and server.cuts == []
    assert len(server.asked) == 21 and seen[-1] == (len(WHOLE),) * 2
    if continued:
        assert server.asked == [None, *(f"bytes={place}-" for place in places)]
    assert capsys.readouterr().err.count("are kept, trying again in 0 s") == 20


def test_the_next_command_goes_on(serve, tmp_path, refusal):
    """The first connection gives nothing more, and the command ends; another one continues."""
    server = serve(net=WHOLE)
    server.cuts = [1_000_000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "WAITS", ())
        refusal(
            lambda: receive(server, tmp_path), "1000000 bytes are kept", "same command continues"
        )
    assert receive(server, tmp_path)[0] == WHOLE
    assert server.asked == [None, "bytes=1000000-"]


def test_attempts_without_a_byte_come_to_an_end(serve, tmp_path, impatient, refusal):
    server = serve(net=WHOLE)
    server.cuts = [1_000_000, *[0] * 50]
    refusal(lambda: receive(server, tmp_path), server.url, "1000000 bytes are kept")
    assert len(server.asked) == 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(serve, tmp_path, impatient, status):
    server = serve(net=WHOLE)
    server.cuts, server.statuses = [1_000_000], [0, status]
    assert receive(server, tmp_path)[0] == WHOLE and len(server.asked) == 3


def test_a_server_that_stalls_is_left(serve, tmp_path, refusal, impatient, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.2)
    server = serve(net=WHOLE)
    server.stalls = 0.6
    refusal(lambda: receive(server, tmp_path), "timed out", "2999999 bytes are kept")
    server.stalls = 0.0
    assert receive(server, tmp_path)[0] == WHOLE


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_another_file_of_the_same_name_is_not_joined_to_the_part(serve, tmp_path, knows_ranges):
    server = serve(net=WHOLE)
    server.knows_ranges = knows_ranges
    server.cuts = [1_000_000]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError, match="are kept"):
        patch.setattr(transfer, "WAITS", ())
        receive(server, tmp_path)
    server.files["net"] = OTHER
    assert receive(server, tmp_path)[0] == OTHER


def test_what_is_compared_is_rewritten_from_the_first_difference(serve, tmp_path):
    """Of a server without ranges: of a part with a damaged middle nothing wrong is left."""
    server = serve(net=WHOLE)
    server.knows_ranges = False
    (tmp_path / "net.part").write_bytes(WHOLE[:700_000] + bytes(100) + WHOLE[700_100:2_000_000])
    assert receive(server, tmp_path)[0] == WHOLE


@pytest.mark.parametrize("content", [WHOLE + b"more", WHOLE, OTHER])
@pytest.mark.parametrize("size", [None, len(WHOLE) - 5])
def test_a_part_that_is_too_long_is_no_dead_end(serve, tmp_path, content, size):
    served = WHOLE[:size]
    server = serve(net=served)
    (tmp_path / "net.part").write_bytes(content)
    assert receive(server, tmp_path, size=size, certain=True)[0] == served


def test_a_range_that_begins_elsewhere_is_not_used(serve, tmp_path):
    server = serve(net=WHOLE)
    server.shift = 7
    (tmp_path / "net.part").write_bytes(WHOLE[:1_000_000])
    assert receive(server, tmp_path, certain=True)[0] == WHOLE
    assert server.asked == ["bytes=1000000-", None]


def test_a_weak_tag_says_nothing(serve, tmp_path):
    server = serve(net=WHOLE)
    server.weak_tags, server.cuts = True, [1_000_000]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError, match="are kept"):
        patch.setattr(transfer, "WAITS", ())
        receive(server, tmp_path)
    assert receive(server, tmp_path)[0] == WHOLE and server.asked == [None, None]


def test_a_file_of_unannounced_length(serve, tmp_path):
    server = serve(net=WHOLE)
    server.says_length = False
    content, seen = receive(server, tmp_path)
    assert content == WHOLE and seen[-1] == (len(WHOLE), None)


def test_a_short_file_of_unannounced_length_and_known_size_is_told(
    serve, tmp_path, impatient, refusal
):
    server = serve(net=WHOLE[:2_000_000])
    server.says_length = False
    refusal(
        lambda: receive(server, tmp_path, size=len(WHOLE), certain=True),
        "has 2000000 bytes, 3000000 are recorded",
    )


def test_more_than_was_announced_is_not_written(serve, tmp_path, refusal):
    server = serve(net=WHOLE)
    server.says_length = False
    refusal(lambda: receive(server, tmp_path, size=1_000_000), "more than the 1000000 bytes")
    assert (tmp_path / "net.part").stat().st_size <= 1_000_000


@pytest.mark.parametrize("size", [len(WHOLE) - 1, len(WHOLE) + 1])
def test_another_length_than_recorded_is_one_line(serve, tmp_path, refusal, size):
    server = serve(net=WHOLE)
    refusal(
        lambda: receive(server, tmp_path, size=size), f"has {len(WHOLE)} bytes, {size} are "
                                                      "recorded",
        "--sha256=",
    )  # fmt: skip
    assert not (tmp_path / "net.part").exists()


def test_a_file_larger_than_the_disk_is_refused_before_it_comes(
    serve, tmp_path, refusal, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    server = serve(net=WHOLE)
    refusal(lambda: receive(server, tmp_path), "needs 3000000 more bytes, 1000000 are free")
    assert not (tmp_path / "net.part").exists()
    server.says_length = False
    refusal(lambda: receive(server, tmp_path), "more than the 0 bytes that the disk can take")


def test_a_disk_that_fills_meanwhile_is_one_line_and_loses_nothing(
    serve, tmp_path, refusal, file_size_limit
):
    server = serve(net=WHOLE)
    with file_size_limit(1_000_000):
        refusal(lambda: receive(server, tmp_path), "cannot write", "1000000 bytes are kept")
    assert receive(server, tmp_path)[0] == WHOLE
    assert server.asked == [None, "bytes=1000000-"]


def test_no_server_and_no_file_are_one_line(serve, tmp_path, refusal):
    server = serve(net=WHOLE)
    url = f"{server.url}/absent"
    refusal(lambda: transfer.receive(url, tmp_path / "a", report=print), url, "404", "--source")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/net"
        refusal(
            lambda: transfer.receive(url, tmp_path / "b", report=print),
            "cannot be reached", "nothing is kept", "--source=FOLDER",
        )  # fmt: skip
    assert os.listdir(tmp_path) == []


def test_an_address_that_leads_away_from_https_is_refused(tmp_path, refusal, monkeypatch):
    class Answer:
        status, headers = 200, {}

        def geturl(self):
            return "http://elsewhere.example/net"

        def close(self):
            pass

    monkeypatch.setattr(transfer.urllib.request, "urlopen", lambda *_, **__: Answer())
    refusal(
        lambda: transfer.receive("https://example.org/net", tmp_path / "a", report=print),
        "leads to http://elsewhere.example/net, which is not https",
    )


def test_an_address_may_lead_to_another(serve, tmp_path):
    server, other = serve(net=b""), serve(net=WHOLE)
    server.leads_to = f"{other.url}/net"
    assert receive(server, tmp_path)[0] == WHOLE and other.asked == [None]
