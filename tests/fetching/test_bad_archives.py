"""Faults of the study's archives, the order and the disk. Each gives one line with a remedy."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys

import killed
import pytest
from made_archives import NUMBERS, SMALLEST, graphs, packed, photographs, picture_name
from small_study import order, recorded, whole

from jaxadv.fetching import addresses, pictures, study
from jaxadv.fetching.addresses import GRAPHS
from jaxadv.fetching.folder import Folder
from model_ports import checkpoint
from model_ports.convert import conversion

ONE = SMALLEST[0]
MEMBER = GRAPHS[ONE].member


def put(server, monkeypatch, name: str, content: bytes, *, known: bool = True) -> None:
    """Serve another archive; known: its size and hash are the recorded ones."""
    server.files[name] = content
    if known:
        for part, archive in recorded(server, server.files).items():
            monkeypatch.setitem(addresses.STUDY, part, archive)


def test_another_hash_is_one_line_and_sha256_goes_on(published, tmp_path, refusal):
    """Nothing was unpacked.

    If the user gives the hash, the file is accepted without a new download.
    """
    content = bytearray(published.files["weights.tar.gz"])
    content[-1000] ^= 1
    changed = packed(graphs([ONE]), level=6)
    for data, good in ((bytes(content), False), (changed, True)):
        to, asked = tmp_path / str(good), len(published.asked)
        recorded_hash = addresses.STUDY["weights"].sha256
        found = hashlib.sha256(data).hexdigest()
        published.files["weights.tar.gz"] = data
        addresses.STUDY["weights"] = addresses.STUDY["weights"]._replace(size=len(data))
        for _ in range(2):  # the same command says the same
            refusal(
                lambda to=to: study.fetch(order(to)),
                f"has SHA-256 {found}, {recorded_hash} is recorded", f"--sha256={found}",
                "nothing was unpacked",
            )  # fmt: skip
        assert len(published.asked) == asked + 1 and not (to / "weights").exists()
        known = order(to, accepted=frozenset([found]))
        if good:
            study.fetch(known)
            whole(to)
            assert published.asked[asked + 1 :] == [f"bytes={len(data)}-", None]  # the pictures
            refusal(lambda to=to: study.fetch(order(to)), "is there already", MEMBER, "--to")
        else:
            refusal(lambda known=known: study.fetch(known), "damaged or cut short")


def test_a_hash_that_is_none(tmp_path, refusal):
    for value in ("abc", "0" * 63, "g" * 64, ""):
        refusal(lambda value=value: study.fetch(order(tmp_path, accepted=frozenset([value]))), value,
                "64 hexadecimal digits")  # fmt: skip


@pytest.mark.parametrize("change", [-1, 1])
def test_another_length_than_recorded(published, tmp_path, monkeypatch, refusal, change):
    archive = addresses.STUDY["pictures"]
    monkeypatch.setitem(addresses.STUDY, "pictures", archive._replace(size=archive.size + change))
    call = order(tmp_path, only="pictures")
    refusal(lambda: study.fetch(call), f"has {archive.size} bytes", "are recorded")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "img.tar.gz").write_bytes(published.files["img.tar.gz"])
    copied = order(tmp_path, only="pictures", source=str(tmp_path / "copy"))
    refusal(lambda: study.fetch(copied), f"has {archive.size} bytes", "are recorded")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (lambda: graphs([ONE])[:0], [f"lacks {MEMBER}", "0 of 1 networks"]),
        (lambda: graphs([ONE]) * 2, [f"{MEMBER} twice"]),
        (lambda: [*graphs([ONE]), ("b/" + MEMBER, b"x")], [f"{MEMBER} twice"]),
        (lambda: [(MEMBER + "/", b"")], ["is a link or a folder"]),
        (lambda: [(MEMBER, b"no graph")], [MEMBER]),
        (lambda: [(MEMBER, graphs(SMALLEST[1:2])[0][1])], [MEMBER, "do not fit the network"]),
        (lambda: [(MEMBER, bytes(2**25))], ["33554432 bytes in the archive", "more than"]),
        (lambda: [("../" + MEMBER, graphs([ONE])[0][1])], ["outside its folder"]),
        (lambda: [(MEMBER, graphs([ONE])[0][1][:1_000_000])], [MEMBER, "cut short"]),
    ],
    ids=["missing", "twice", "two", "folder", "none", "other", "large", "outside", "cut"],
)
def test_members_that_are_not_as_expected(
    published, tmp_path, monkeypatch, refusal, members, words
):
    put(published, monkeypatch, "weights.tar.gz", packed(members()))
    refusal(lambda: study.fetch(order(tmp_path)), *words)
    weights = tmp_path / "weights"
    done = list(weights.iterdir()) if weights.exists() else []
    assert [path.name for path in done] in ([], [ONE]) and "twice" in words[0] or not done
    assert {path.name for path in (tmp_path / ".fetch").iterdir()} <= {
        "lock", "wanted", "weights.tar.gz.part", "weights.tar.gz.part.tag"
    }  # fmt: skip


def test_networks_before_a_missing_one_stay(published, tmp_path, monkeypatch, refusal):
    put(published, monkeypatch, "weights.tar.gz", packed(graphs(SMALLEST[:1])))
    call = order(tmp_path, models=SMALLEST[:2])
    line = refusal(lambda: study.fetch(call), f"lacks {GRAPHS[SMALLEST[1]].member}", "1 of 2")
    assert "--models" in line
    study.fetch(order(tmp_path, only="pictures"))
    shutil.rmtree(tmp_path / ".fetch")
    whole(tmp_path)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (lambda: photographs(NUMBERS[1:]), ["has 11 pictures", "12 are needed"]),
        (lambda: [], ["has 0 pictures"]),
        (lambda: photographs() + photographs(NUMBERS[:1]), [f"{NUMBERS[0]:08d} twice"]),
        (
            lambda: [*photographs(), ("imgs/7.00000003.jpg", b"x")],
            ["the label of picture 00000003"],
        ),
        (lambda: [("imgs/" + picture_name(3) + "/", b"")], ["has 0 pictures"]),
        (lambda: [*photographs(), ("/etc/" + picture_name(3), b"x")], ["outside its folder"]),
    ],
    ids=["missing", "none", "twice", "label", "folder", "outside"],
)
def test_pictures_that_are_not_as_expected(
    published, tmp_path, monkeypatch, refusal, members, words
):
    put(published, monkeypatch, "img.tar.gz", packed(members()))
    refusal(lambda: study.fetch(order(tmp_path, only="pictures")), *words)
    assert not (tmp_path / "pictures").exists()
    put(published, monkeypatch, "img.tar.gz", packed(photographs()))
    shutil.rmtree(tmp_path / ".fetch")
    study.fetch(order(tmp_path, only="pictures"))
    whole(tmp_path, names=())


def test_files_too_many_are_passed_over(published, tmp_path, monkeypatch):
    others = [("imgs/labels.txt", b"x"), ("imgs/1.00050001.jpg", b"x"), ("imgs/x.jpg", b"x")]
    put(published, monkeypatch, "img.tar.gz", packed([*others, *photographs()]))
    put(published, monkeypatch, "weights.tar.gz", packed([*graphs([ONE]), ("x.pb", b"x")]))
    study.fetch(order(tmp_path))
    whole(tmp_path)


def test_a_picture_that_is_too_large(published, tmp_path, monkeypatch, refusal):
    monkeypatch.setattr(pictures, "LARGEST", 100)
    refusal(lambda: study.fetch(order(tmp_path, only="pictures")), "at most 100 is expected")


def test_an_archive_of_the_users_own_hash_may_have_fewer_pictures(published, tmp_path, monkeypatch):
    few = packed(photographs(NUMBERS[:5]))
    put(published, monkeypatch, "img.tar.gz", few, known=False)
    known = frozenset([hashlib.sha256(few).hexdigest()])
    study.fetch(order(tmp_path, only="pictures", accepted=known))
    whole(tmp_path, names=(), numbers=NUMBERS[:5])


@pytest.mark.parametrize("what", ["weights", "pictures"])
def test_what_somebody_else_put_there_is_left_alone(published, tmp_path, refusal, what):
    mine = tmp_path / what / (ONE if what == "weights" else "mine.jpg")
    mine.parent.mkdir()
    mine.mkdir() if what == "weights" else mine.write_text("mine")
    if what == "weights":
        (mine / "notes.txt").write_text("mine")
        refusal(lambda: study.fetch(order(tmp_path)), str(mine), "not a checkpoint")
        shutil.rmtree(mine)
        checkpoint.save(mine, {"a": conversion.np.ones(3)}, {"model": ONE, "zoo": "imagenet"})
        refusal(lambda: study.fetch(order(tmp_path)), str(mine), "is there already", "--to")
    else:
        refusal(lambda: study.fetch(order(tmp_path)), "is there already, and not from this archive")
    assert published.asked == [] and mine.exists() and not (tmp_path / "fetched.json").exists()


def test_impossible_orders(tmp_path, refusal):
    refusal(lambda: study.fetch(order(tmp_path, only="images")), "'images'", "weights, pictures")
    refusal(lambda: study.fetch(order(tmp_path, models=("vgg61",))), "did you mean 'vgg_16'?")
    (tmp_path / "file").write_text("x")
    refusal(lambda: study.fetch(order(tmp_path / "file")), "file", "Not a directory")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_at_once(published, tmp_path, refusal):
    with Folder(tmp_path).opened():
        refusal(lambda: study.fetch(order(tmp_path)), f"in use by process {os.getpid()}", "--to")
    study.fetch(order(tmp_path))
    whole(tmp_path)


def test_the_disk_is_checked_first(tmp_path, refusal, monkeypatch):
    """With the real archives' sizes; no connection is made."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    said = []
    call = order(tmp_path / "to", models=tuple(GRAPHS))
    refusal(lambda: study.fetch(call, say=said.append), "16.5 GB of the disk", "1.0 GB are free")
    assert said == [
        f"{tmp_path / 'to'}: 18 networks and 50,000 pictures are missing; 9.5 GB to download, "
        "16.5 GB more of the disk at a time, 9.8 GB in the end, 1.0 GB are free"
    ]
    assert not (tmp_path / "to").exists()


@pytest.mark.slow
def test_a_disk_that_fills_on_the_way(published, tmp_path):
    """A full disk gives one line, at three stages.

    With more room, the same call ends with the same folder.
    """
    (tmp_path / "disk").mkdir()
    to = tmp_path / "disk" / "to"
    archives = {part: tuple(archive) for part, archive in addresses.STUDY.items()}
    job = killed.Job(to, archives, SMALLEST[1:2], len(NUMBERS), 2**18, free=10**12)
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    python = f"{sys.executable} {killed.__file__} {tmp_path / 'job'} 2>> {tmp_path}/errors"
    shell = f'mount -t tmpfs -o size=1m none "{tmp_path}/disk"\n'
    for megabytes in (8, 24, 30):  # the archive has 22, the graph 5, its checkpoint 5
        shell += f'mount -o remount,size={megabytes}m none "{tmp_path}/disk"\n'
        shell += f"{python} >> {tmp_path}/lines || echo $? >> {tmp_path}/status\n"
    shell += f'mount -o remount,size=90m none "{tmp_path}/disk"\n{python}\n'
    shell += f"cp -r {to} {tmp_path}/to\n"
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*before, shell], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.returncode == 0, done.stderr + (tmp_path / "errors").read_text()
    lines = (tmp_path / "lines").read_text().splitlines()
    assert (tmp_path / "status").read_text().split() == ["2", "2", "2"] and len(lines) == 3
    for line, words in zip(lines, ("more bytes", "/graph/", "/checkpoint/"), strict=True):
        assert words in line and "No space left" in line or "are free" in line
    whole(tmp_path / "to", SMALLEST[1:2])


def test_a_disk_that_fills_with_pictures(published, tmp_path, refusal, file_size_limit):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "img.tar.gz").write_bytes(published.files["img.tar.gz"])
    call = order(tmp_path / "to", only="pictures", source=str(copy))
    with file_size_limit(4000):
        refusal(lambda: study.fetch(call), "cannot write", "the command again")
    study.fetch(call)
    whole(tmp_path / "to", names=())
