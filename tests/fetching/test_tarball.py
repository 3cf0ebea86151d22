"""Archives: their members in any format, and nothing of an archive that means harm."""

import gzip
import io
import tarfile
import tracemalloc

import numpy as np
import pytest
from made_archives import packed

from jaxadv.fetching import tarball

NOISE = np.random.default_rng(0).bytes(3_000_000)
LONG = "a/" + "long_folder/" * 20 + "b.pb"


def read(path) -> dict[str, bytes]:
    return {
        member.path: b"".join(member.blocks()) for member in tarball.members(path) if member.is_file
    }


@pytest.fixture
def write(tmp_path):
    def writing(content: bytes):
        path = tmp_path / "net.tar.gz"
        path.write_bytes(content)
        return path

    return writing


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_every_format(write, format):
    members = {"a/": b"", "a/one.pb": NOISE, "two": b"", "a/b/three": b"x" * 513}
    if format != tarfile.USTAR_FORMAT:
        members |= {LONG: b"long", "größe.pb": b"unicode"}
    path = write(packed(members.items(), format=format))
    assert read(path) == {name: data for name, data in members.items() if name != "a/"}
    names = [member.name for member in tarball.members(path)]
    assert names[:4] == ["a", "one.pb", "two", "three"]


def test_content_may_be_passed_over_or_read_in_part(write):
    path = write(packed([("a", NOISE), ("b", NOISE[:5000]), ("c", b"end")]))
    found = []
    for member in tarball.members(path):
        blocks = member.blocks()
        found.append(next(blocks)[:3] if member.name != "b" else b"")
    assert found == [NOISE[:3], b"", b"end"]


def test_it_says_how_far_it_is(write):
    path = write(packed([("a", NOISE), ("b", NOISE)]))
    seen = []
    list(tarball.members(path, report=seen.append))
    assert seen == sorted(seen) and seen[-1] == path.stat().st_size


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed([("../a", b"x")]), "member '../a' outside its folder"),
        (packed([("/a", b"x")]), "member '/a' outside its folder"),
        (packed([("a/../../b", b"x")]), "outside its folder"),
        (packed([("a", NOISE)])[:2_000_000], "damaged or cut short"),
        (packed([("a", NOISE)])[:-6], "damaged or cut short"),
        (packed([("a", NOISE)])[:-6] + b"\0" * 6, "damaged or cut short"),
        (b"<html>", "damaged or cut short"),
        (b"", None),
        (gzip.compress(b"x" * 512), "damaged or cut short"),
        (gzip.compress(b"x" * 100), "damaged or cut short"),
    ],
    ids=["up", "root", "through", "cut", "end", "sum", "html", "empty", "noise", "short"],
)
def test_archives_that_are_refused(write, refusal, content, words):
    path = write(content)
    if words is None:
        assert read(path) == {}  # who unpacks it misses something
    else:
        refusal(lambda: read(path), str(path), words)


def bomb(*headers: tuple[bytes, int], times: int = 1) -> bytes:
    """Headers of a type, each with so many zero bytes, over and over, gzipped as they come."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as file:
        for _ in range(times):
            for kind, size in headers:
                info = tarfile.TarInfo("x")
                info.type, info.size = kind, size
                file.write(info.tobuf(tarfile.GNU_FORMAT))
                for _ in range(-(-size // 2**20)):
                    file.write(bytes(min(size, 2**20)))
                file.write(bytes(-size % 512))
        file.write(bytes(1024))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("headers", "times", "words"),
    [
        ([(tarfile.GNUTYPE_LONGNAME, 2**26)], 1, "a header of 67108864 bytes"),
        ([(tarfile.GNUTYPE_LONGLINK, 2**26)], 1, "a header of 67108864 bytes"),
        ([(tarfile.XHDTYPE, 2**26)], 1, "a header of 67108864 bytes"),
        ([(tarfile.XGLTYPE, 2**26)], 1, "a header of 67108864 bytes"),
        ([(tarfile.GNUTYPE_LONGNAME, 2**16)], 1000, "headers before a member"),
        ([(tarfile.XHDTYPE, 2**16)], 1000, "headers before a member"),
        ([(tarfile.REGTYPE, 0)], 5000, "more than 3000 members"),
        ([(tarfile.GNUTYPE_LONGNAME, 2**16), (tarfile.REGTYPE, 0)], 500, None),
        ([(tarfile.REGTYPE, 2**26)], 1, None),
        ([(tarfile.GNUTYPE_SPARSE, 2**20)], 1, "sparse"),
    ],
    ids=["name", "link", "pax", "global", "names", "paxes", "members", "both", "large", "sparse"],
)
def test_an_archive_cannot_take_memory(write, refusal, monkeypatch, headers, times, words):
    """Headers that say to be long, headers in a row, members without end."""
    monkeypatch.setattr(tarball, "MEMBERS", 3000)
    path = write(bomb(*headers, times=times))
    tracemalloc.start()
    try:
        if words:
            refusal(lambda: [None for _ in tarball.members(path)], words)
        else:
            for _ in tarball.members(path):
                pass
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_an_archive_that_unpacks_to_too_much(write, refusal, monkeypatch):
    monkeypatch.setattr(tarball, "LEAST", 10**6)
    path = write(bomb((tarfile.REGTYPE, 2**23)))
    refusal(lambda: list(tarball.members(path)), "unpacks to more than 1000000 bytes")
    path = write(gzip.compress(bytes(2**24)))
    refusal(lambda: list(tarball.members(path)), "unpacks to more than 1000000 bytes")


def test_sizes_that_make_no_sense(write, refusal):
    info = tarfile.TarInfo("x")
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[124:136] = b"\xff" * 12  # minus one, in base 256
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    refusal(lambda: read(write(gzip.compress(bytes(head)))), "damaged", "-1 bytes")
    for record in (b"13 size=1e99\n", b"12 size=-10\n", b"99 size=1\n", b"size=1\n", b"2 a=\n"):
        pax = tarfile.TarInfo("p")
        pax.type, pax.size = tarfile.XHDTYPE, len(record)
        data = pax.tobuf(tarfile.GNU_FORMAT) + record.ljust(512, b"\0")
        data += tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT) + bytes(1024)
        refusal(lambda data=data: read(write(gzip.compress(data))), "damaged")
