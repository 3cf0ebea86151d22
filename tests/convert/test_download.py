"""Downloads from a server on this machine: whole or not at all, continued, verified, unpacked, clear when it is not there."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from model_ports import registry
from model_ports.convert import download
from model_ports.convert.download import Address
from model_ports.errors import InputError


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


NOISE = np.random.default_rng(0).bytes(600_000)  # does not compress: the archive comes in several blocks
WHOLE = archive({"./net.ckpt.index": b"index", "./net.ckpt.data-00000-of-00001": NOISE, "net_frozen.pb": b"graph", "net.ckpt.meta": b"m"})


class Server(ThreadingHTTPServer):
    """Serves `content` at every path; `cut`: closes after so many bytes of the first answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.cut, self.ranges = WHOLE, '"one"', None, []
        self.url = f"http://127.0.0.1:{self.server_port}/models/net.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, start = self.server, 0
        server.ranges.append(self.headers.get("Range"))
        if self.path.startswith("/absent"):
            return self.send_error(404)
        if self.headers.get("Range") and self.headers.get("If-Range") == server.tag:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(server.content) - start))
        self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(server.content[start : server.cut])
        server.cut = None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(call, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in words), line


def test_a_checkpoint_is_fetched_once_and_unpacked(server, tmp_path, monkeypatch):
    monkeypatch.setitem(download.ADDRESSES, "net", Address(server.url, hashlib.sha256(WHOLE).hexdigest()))
    seen = []
    for _ in range(2):
        prefix = download.source("net", tmp_path, report=lambda *progress: seen.append(progress))
        assert prefix == tmp_path / "net" / "net.ckpt"
        assert names(tmp_path) == ["net", "net.tar.gz"] and names(prefix.parent) == ["net.ckpt.data-00000-of-00001", "net.ckpt.index"]
        assert (prefix.parent / "net.ckpt.data-00000-of-00001").read_bytes() == NOISE
    assert server.ranges == [None]  # the second call asks the server for nothing
    received, totals = zip(*seen, strict=True)
    assert list(received) == sorted(received) and received[-1] == len(WHOLE) and set(totals) == {len(WHOLE)} and len(seen) > 1


def test_a_cut_connection_is_continued(server, tmp_path):
    server.cut = 300_000
    refusal(lambda: download.fetch(Address(server.url), tmp_path), server.url, "300000 bytes are kept", "same command")
    assert names(tmp_path) == ["net.tar.gz.part", "net.tar.gz.tag"]
    assert download.fetch(Address(server.url), tmp_path).read_bytes() == WHOLE
    assert server.ranges == [None, "bytes=300000-"] and names(tmp_path) == ["net.tar.gz"]


def test_another_file_of_the_same_name_is_not_joined_to_the_part(server, tmp_path):
    server.cut = 300_000
    refusal(lambda: download.fetch(Address(server.url), tmp_path), "300000")
    server.content, server.tag = b"another file", '"two"'
    assert download.fetch(Address(server.url), tmp_path).read_bytes() == b"another file"


def test_a_part_that_is_whole_or_too_long_is_no_dead_end(server, tmp_path):
    (tmp_path / "net.tar.gz.part").write_bytes(WHOLE + b"more")
    (tmp_path / "net.tar.gz.tag").write_text(server.tag)
    assert download.fetch(Address(server.url), tmp_path).read_bytes() == WHOLE


def test_a_file_with_another_checksum_is_not_kept(server, tmp_path):
    refusal(lambda: download.fetch(Address(server.url, "0" * 64), tmp_path), "SHA-256", "0" * 64, "removed")
    assert not (tmp_path / "net.tar.gz").exists() and not (tmp_path / "net.tar.gz.part").exists()


def test_no_server_and_no_file_are_one_line(server, tmp_path):
    refusal(lambda: download.fetch(Address(server.url.replace("models", "absent")), tmp_path / "a"), "404", "--source=FILE")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    address = Address(f"http://127.0.0.1:{port}/net.tar.gz")
    refusal(lambda: download.fetch(address, tmp_path / "b"), "cannot be reached", "nothing was written", "--source=FILE")
    refusal(lambda: download.source("alexnet", tmp_path), "no public address of alexnet")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive({"../net.ckpt": b"x"}), ["'../net.ckpt'", "outside"]),
        (archive({"/net.ckpt": b"x"}), ["'/net.ckpt'", "outside"]),
        (archive({"a.ckpt": b"x", "b.ckpt": b"x"}), ["2 checkpoints"]),
        (archive({"graph.pb": b"x"}), ["0 checkpoints"]),
        (archive({"a/net.ckpt": b"x", "b/net.ckpt": b"x"}), ["cannot be unpacked"]),
        (WHOLE[:400_000], ["damaged or cut short"]),
        (b"<html>", ["damaged or cut short"]),
    ],
    ids=["parent", "absolute", "two", "none", "two_folders", "cut_short", "not_an_archive"],  # the bytes hold the time they were made
)
def test_archives_that_are_not_unpacked(tmp_path, content, words):
    path = tmp_path / "net.tar.gz"
    path.write_bytes(content)
    refusal(lambda: download.unpack(path, tmp_path / "net"), str(path), *words)
    assert names(tmp_path) == ["net.tar.gz"]


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "LIMIT", 1000)
    (tmp_path / "net.tar.gz").write_bytes(archive({"net.ckpt": bytes(1001)}))
    refusal(lambda: download.unpack(tmp_path / "net.tar.gz", tmp_path / "net"), "more than 1000 bytes")
    assert names(tmp_path) == ["net.tar.gz"]


def test_links_are_no_checkpoints(tmp_path):
    with tarfile.open(tmp_path / "net.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("net.ckpt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    refusal(lambda: download.unpack(tmp_path / "net.tar.gz", tmp_path / "net"), "0 checkpoints")


def test_addresses_are_of_models_and_of_archives():
    for model, address in download.ADDRESSES.items():
        registry.spec(model)
        assert address.url.startswith(("http://", "https://")) and address.url.endswith((".tar.gz", ".tgz"))
        assert address.sha256 is None or len(bytes.fromhex(address.sha256)) == 32
