""".npz files of pictures, and .npy files of images, that lie: a line, and no memory."""

import tracemalloc
import zipfile

import numpy as np
import pytest
import writers

from jaxadv.data import arrays
from jaxadv.validation import predict
from model_ports.errors import InputError

IMAGES = np.zeros((3, 8, 8, 3), np.uint8)
GOOD = {"images.npy": IMAGES, "labels.npy": np.arange(3)}


def refused(path, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        arrays.open_npz(str(path), name="npz:mine")
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600 and all(word in line for word in words), line
    return line


def head(shape, *, descr="<f4") -> bytes:
    """The beginning of an .npy of this shape."""
    content = writers.npy_header((0,)).replace(b"'<f4'", repr(descr).encode())
    text = content[10:].rstrip().replace(b"(0,)", str(shape).encode())
    length = 16 * (1 + len(text) // 16) + 6
    return content[:8] + length.to_bytes(2, "little") + text.ljust(length - 1) + b"\n"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"images.npy": head((2**40, 8, 8, 3))}, ["cannot read"]),
        ({"images.npy": head((2**20, 2**20, 2**20, 3))}, ["cannot read"]),
        ({"images.npy": head((-1, 8, 8, 3))}, ["cannot read"]),
        ({"images.npy": head((3, -8, -8, 3)) + bytes(2304)}, ["cannot read"]),
        ({"images.npy": head((True, 8, 8, 3)) + bytes(768)}, []),
        ({"images.npy": head((3, 8, 8, 3), descr="|O")}, ["cannot read", "allow_pickle"]),
        ({"images.npy": head((3, 8, 8, 3), descr="<c8") + bytes(4608)}, ["complex64"]),
        ({"images.npy": head((3, 8, 8, 3), descr="|S0")}, []),
        ({"images.npy": head((3, 8, 8, 3), descr="no type")}, ["cannot read"]),
        ({"images.npy": head("(" * 4000)}, ["cannot read"]),
        ({"images.npy": head((3, 8, 8, 3))[:-1] + b"?" + bytes(2304)}, ["cannot read"]),
        ({"images.npy": b"cos\nsystem\n(S'true'\ntR."}, ["cannot read"]),
        ({"images.npy": np.full((3, 8, 8, 3), np.nan, np.float32)}, ["[0, 1]"]),
        ({"images.npy": np.zeros((3, 8, 8, 4), np.uint8)}, ["(N, H, W, 3)"]),
        ({"images.npy": np.zeros((3, 0, 8, 3), np.uint8)}, ["(N, H, W, 3)"]),
        ({"labels.npy": np.array([0, 1, 2**64 - 1], np.uint64)}, ["18446744073709551616 classes"]),
        ({"labels.npy": np.array([0, 1, 2**31 + 1])}, ["classes; at most"]),
        ({"num_classes.npy": np.array(2**60)}, ["classes; at most"]),
        ({"labels.npy": np.array([0, -1, 2])}, ["-1"]),
        ({"labels.npy": np.array([0.0, 1.0, np.nan])}, ["integers"]),
        ({"labels.npy": np.array([0, 1])}, ["labels"]),
        ({"ids.npy": np.array([1, 1, 2])}, ["different integers"]),
        ({"ids.npy": np.array([1, 2, 2**64 - 1], np.uint64)}, ["different integers"]),
        ({"num_classes.npy": np.array(2.5)}, ["one integer"]),
        ({"num_classes.npy": np.array([3, 4])}, ["one integer"]),
        ({"num_classes.npy": np.array(-3)}, []),
        ({"num_classes.npy": np.array("three")}, ["one integer"]),
        ({"num_classes.npy": np.array(True)}, ["one integer"]),
    ],
    ids=lambda value: "-".join(value)[:30] if isinstance(value, dict) else "",
)
def test_arrays_that_lie(tmp_path, members, words):
    (tmp_path / "a.npz").write_bytes(writers.npz(GOOD | members))
    tracemalloc.start()
    try:
        refused(tmp_path / "a.npz", *words)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_bomb_of_zeros_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MOST", 2**20)
    path, zeros = tmp_path / "a.npz", np.zeros((9, 512, 512, 3), np.uint8)
    path.write_bytes(writers.npz(GOOD | {"images.npy": zeros}, compression=zipfile.ZIP_DEFLATED))
    tracemalloc.start()
    try:
        refused(path, "unpacks to", "save it with numpy.savez")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    monkeypatch.undo()
    path.write_bytes(writers.npz(GOOD | {"more.npy": np.zeros(9)}))  # of which nothing is read
    assert len(arrays.open_npz(str(path), name="npz")) == 3


def test_files_that_are_no_archive(tmp_path):
    path = tmp_path / "a.npz"
    for content in (
        b"",
        b"PK\3\4",
        writers.npy(IMAGES),
        b"\x80\4N.",
        b"<html>",
        b"PK\5\6" + bytes(18),
    ):
        path.write_bytes(content)
        refused(path, "mine")
    path.write_bytes(writers.npz({"x.npy": np.zeros(3), "y.npy": np.zeros(3)}))
    refused(path, "it has x, y; the arrays images and labels are needed")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4 cut short",
        writers.npz(GOOD),
        head((2**40, 8, 8, 3)),
        head((-3, 8, 8, 3)),
        head((3, 8, 8, 3), descr="|O"),
        head("[" * 5000),
        b"\x93NUMPY\7\0",
        b"\x93NUMPY\3\0\xff\xff\xff\xff",
        writers.npy(np.zeros((3, 8, 8, 3), np.complex64)),
        writers.npy(np.array("text")),
    ],
)
def test_images_of_predict_that_lie(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InputError) as caught:
        predict.read_images(str(tmp_path / "x.npy"), size=8, double=False)
    assert "\n" not in str(caught.value)
