"""Decoding, resizing and cropping as the study did, and what becomes of pictures that are not as
they should be.
"""

import os
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import drawn
import numpy as np
import pytest
from PIL import Image, ImageFile

from jaxadv.data import pictures
from jaxadv.data.pictures import Reading, Unusable
from model_ports.errors import InputError

ROUNDING = (
    0.5 * 1.3 + 0.5
    # levels: Pillow rounds after each direction, and the weights of the second add up to less than
    # 1.3 in magnitude
)
STUDY, USUAL = Reading("study"), Reading("resize-256-crop")


def lanczos(count_in: int, count_out: int) -> np.ndarray:
    """(count_out, count_in): weights of the windowed sinc of three lobes, widened where it makes
    smaller.
    """
    scale = count_in / count_out
    at = ((np.arange(count_out)[:, None] + 0.5) * scale - (np.arange(count_in) + 0.5)) / max(
        scale, 1
    )
    weights = np.sinc(at) * np.sinc(at / 3) * (abs(at) < 3)
    return weights / weights.sum(1, keepdims=True)


def test_study_scales_the_shorter_side_and_takes_the_centre():
    photograph = drawn.picture(1, 500, 375)
    wide = np.einsum(
        "xw,hwc->hxc", lanczos(500, 298), np.asarray(photograph, float)
    )  # 500 * 224 / 375 = 298.7
    whole = np.einsum("yh,hxc->yxc", lanczos(375, 224), wide)
    ours = np.asarray(pictures.prepare(photograph, 224, STUDY), float)
    assert abs(ours - whole[:, 37:261].clip(0, 255)).max() <= ROUNDING


@pytest.mark.parametrize(
    ("width", "height", "size", "resized", "corner"),
    [
        (375, 500, 299, (299, 398), (0, 50)),  # 398.67; 199 - 149
        (500, 333, 227, (340, 227), (57, 0)),  # 340.84; 170 - 113
        (500, 500, 331, (331, 331), (0, 0)),
        (100, 80, 224, (280, 224), (28, 0)),  # made larger
    ],
)
def test_study_geometry(width, height, size, resized, corner):
    photograph = drawn.picture(2, width, height)
    left, top = corner
    expected = np.asarray(photograph.resize(resized, Image.Resampling.LANCZOS))[
        top : top + size, left : left + size
    ]
    assert np.array_equal(np.asarray(pictures.prepare(photograph, size, STUDY)), expected)


@pytest.mark.parametrize(("side", "size", "column"), [(306, 224, 0), (375, 227, 226)])
def test_a_few_squares_get_the_black_column_of_the_release(side, size, column):
    ours = np.asarray(pictures.prepare(Image.new("RGB", (side, side), "white"), size, STUDY))
    black = (ours == 0).all(axis=(0, 2))
    assert (
        ours.shape == (size, size, 3)
        and np.flatnonzero(black).tolist() == [column]
        and (ours[:, ~black] == 255).all()
    )


@pytest.mark.parametrize(
    ("width", "height", "size", "resized", "corner"),
    # torchvision's Resize(256), CenterCrop(224), and 342 for 299
    [
        (500, 375, 224, (341, 256), (58, 16)),
        (375, 500, 299, (342, 456), (22, 78)),
        (256, 256, 224, (256, 256), (16, 16)),
    ],
)
def test_resize_256_crop_geometry(width, height, size, resized, corner):
    photograph = drawn.picture(3, width, height)
    left, top = corner
    expected = np.asarray(photograph.resize(resized, Image.Resampling.BILINEAR))[
        top : top + size, left : left + size
    ]
    assert np.array_equal(np.asarray(pictures.prepare(photograph, size, USUAL)), expected)


def test_floats_are_resized_without_rounding():
    photograph = drawn.picture(4, 50, 40)
    ours = pictures.prepare_floats(pictures.floats(np.asarray(photograph)), 24, STUDY)
    rounded = np.asarray(pictures.prepare(photograph, 24, STUDY), np.float32) / 255
    assert ours.dtype == np.float32 and 0 < abs(ours - rounded).max() <= ROUNDING / 255
    edge = np.zeros((40, 40, 3))
    edge[:, 20:] = 1
    assert (
        pictures.prepare_floats(edge, 24, STUDY).min() == 0
        and pictures.prepare_floats(edge, 24, STUDY).max() == 1
    )


def bad_files() -> dict[str, tuple[bytes, str]]:
    good = drawn.encoded(drawn.picture(0))
    sixteen = Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30))
    return {
        "truncated": (good[: len(good) // 2], "unreadable ("),
        "empty": (b"", "unreadable (no known format)"),
        "text": (b"<html>404</html>", "unreadable (no known format)"),
        "broken png": (drawn.encoded(drawn.picture(0), "PNG")[:50] + bytes(200), "unreadable ("),
        "tiny": (drawn.encoded(drawn.picture(0, 7, 40)), "tiny (7x40 pixels)"),
        "narrow": (drawn.encoded(drawn.picture(0, 8, 900)), "narrow (8x900 pixels)"),
        "16 bits": (drawn.encoded(sixteen, "PNG"), "not RGB (mode I;16)"),
    }


@pytest.mark.parametrize("name", list(bad_files()))
@pytest.mark.parametrize("rule", pictures.NOT_RGB)
def test_what_cannot_be_used_says_why(name, rule):
    content, reason = bad_files()[name]
    with pytest.raises(Unusable) as error:
        pictures.decode(content, 24, Reading(not_rgb=rule))
    assert str(error.value).startswith(reason)


def test_a_missing_file_is_unusable(tmp_path):
    with pytest.raises(Unusable, match="No such file"):
        pictures.decode(tmp_path / "gone.jpg", 24, STUDY)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("LA", "PNG"), ("P", "GIF"), ("1", "PNG")],
)
def test_pictures_that_are_not_rgb_are_dropped_or_converted(mode, kind):
    original = drawn.picture(5)
    content = drawn.encoded(original.convert(mode), kind)
    with pytest.raises(Unusable, match=rf"^not RGB \(mode {mode}\)$"):
        pictures.decode(content, 24, Reading(not_rgb="drop"))
    ours = pictures.decode(content, 24, Reading(not_rgb="convert"))
    if mode in ("L", "LA", "1"):
        assert np.array_equal(ours[..., 0], ours[..., 1]) and np.array_equal(
            ours[..., 0], ours[..., 2]
        )
    else:
        colours = np.asarray(pictures.prepare(original, 24, STUDY), float)
        assert (
            abs(ours - colours).mean() < 20
        )  # the same colours but for the palette and JPEG: inverted they would be 100 away
    assert ours.shape == (24, 24, 3) and ours.dtype == np.uint8 and ours.std() > 5


@pytest.mark.parametrize("reading", [Reading("usual"), Reading(not_rgb="keep")])
def test_unknown_readings_are_refused(reading):
    with pytest.raises(InputError, match="it must be one of"):
        reading.check()


@pytest.mark.parametrize("kind", ["EPS", "TGA", "PPM", "PCX", "ICNS", "DDS", "SGI", "PDF"])
def test_only_the_decoders_of_documented_formats_look_at_a_file(tmp_path, monkeypatch, kind):
    """Whatever a file is called.

    Of PostScript Pillow's decoder would start the first program called gs.
    """
    started = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {started}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "a.jpg").write_bytes(drawn.encoded(drawn.picture(0, 64, 64), kind))
    for source in (tmp_path / "a.jpg", (tmp_path / "a.jpg").read_bytes()):
        with pytest.raises(Unusable, match=r"^unreadable \(no known format\)$"):
            pictures.decode(source, 24, Reading(not_rgb="convert"))
    assert not started.exists()


@pytest.mark.parametrize("kind", pictures.FORMATS)
def test_documented_formats_are_read_whatever_a_file_is_called(tmp_path, kind):
    (tmp_path / "a.jpg").write_bytes(drawn.encoded(drawn.picture(3), kind))
    ours = pictures.decode(tmp_path / "a.jpg", 24, Reading(not_rgb="convert"))
    assert abs(ours - np.asarray(pictures.prepare(drawn.picture(3), 24, STUDY), float)).mean() < 20


def claims(kind: str, side: int) -> bytes:
    """A small file whose header says ``side`` x ``side`` pixels."""
    content = bytearray(
        drawn.encoded(drawn.picture(0).convert("P" if kind == "GIF" else "RGB"), kind)
    )
    if kind == "PNG":
        content[16:24] = struct.pack(">II", side, side)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", side, side)
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", side, side)
    else:
        place = content.index(b"\xff\xc0")
        content[place + 5 : place + 9] = struct.pack(">HH", side, side)
    return bytes(content)


@pytest.mark.parametrize("side", [8193, 20_000])
@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "JPEG"])
def test_the_header_says_what_is_too_large_before_pixels_are_decoded(monkeypatch, kind, side):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda picture: pytest.fail("decoded"))
    with pytest.raises(Unusable, match=r"^too large \("):
        pictures.decode(claims(kind, side), 24, Reading(not_rgb="convert"))


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch):
    monkeypatch.setattr(pictures, "LARGE", 40 * 30 - 1)
    at_once, most = [], []
    real = pictures.prepare

    def prepare(*arguments):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.01)
        at_once.pop()
        return real(*arguments)

    monkeypatch.setattr(pictures, "prepare", prepare)
    content = drawn.encoded(drawn.picture(0))
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: pictures.decode(content, 24, STUDY), range(8)))
    assert max(most) == 1 and all((one == made[0]).all() for one in made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "JPEG"), ("P", "PNG"), ("CMYK", "JPEG"), ("LA", "PNG"), ("RGB", "WEBP")],
)
def test_the_largest_picture_takes_less_than_a_gigabyte(tmp_path, mode, kind):
    """In a process of its own, whose most memory the system knows."""
    code = f"""
from PIL import Image
side = 7740
Image.new({mode!r}, (side, side)).save("big", {kind!r}, **({{"progressive": True}} if {kind!r} == "JPEG" else {{}}))
"""
    decode = """
from jaxadv.data import pictures
pictures.decode(open("big", "rb").read(), 224, pictures.Reading(not_rgb="convert"))
# Not ru_maxrss, which a process inherits from the one that started it.
status = open("/proc/self/status").read().split()
print(int(status[status.index("VmHWM:") + 1]) // 1024)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for script in (code, decode):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert int(done.stdout) < 1000
