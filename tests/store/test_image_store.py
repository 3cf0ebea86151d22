"""Adversarial images on disk: without loss, whole or not at all, and read by another library."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from jaxadv.store import image_store
from jaxadv.store.run import Run
from model_ports.errors import InputError


def pictures(count: int = 5, size: int = 24, seed: int = 0) -> np.ndarray:
    """Noise that compresses badly, with the ends of the range, a black and a white picture in
    it.
    """
    images = np.random.default_rng(seed).random((count, size, size, 3), np.float32)
    if count:
        images[0], images[-1] = 0, 1
    return images


def files(directory: Path) -> list[str]:
    return sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_what_is_written_is_read_to_the_bit_by_others_too(tmp_path, monkeypatch, count):
    monkeypatch.setattr(image_store, "SHARD", 4)
    images = pictures(count)
    image_store.write(tmp_path, "vgg_16-cw-3", images)
    assert image_store.has(tmp_path, "vgg_16-cw-3") and not image_store.has(tmp_path, "vgg_16-cw")
    ours = image_store.read(tmp_path, "vgg_16-cw-3")
    assert ours.dtype == np.float32 and np.array_equal(ours, images)
    place = tmp_path / "adversarial" / "part-vgg_16-cw-3.zarr"
    assert files(place) == [*(f"c/{shard}/0/0/0" for shard in range(-(-count // 4))), "zarr.json"]
    theirs = zarr.open_array(place, mode="r")
    assert (
        theirs.shape == images.shape
        and theirs.dtype == np.float32
        and np.array_equal(theirs[:], images)
    )
    assert (
        theirs.attrs["rows"] == "examples/part-vgg_16-cw-3.parquet"
        and theirs.metadata.dimension_names[0] == "row"
    )
    if count:
        assert np.array_equal(theirs[count - 1], images[-1])  # a single one
        assert np.array_equal(
            tensorstore.open(f"file://{place}|zarr3:").result()[0].read().result(), images[0]
        )


def test_a_part_is_replaced(tmp_path):
    image_store.write(tmp_path, "a", pictures(3))
    image_store.write(tmp_path, "a", pictures(2, seed=1))
    assert np.array_equal(image_store.read(tmp_path, "a"), pictures(2, seed=1))


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(image_store.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        image_store.write(tmp_path, "a", pictures())
    assert not image_store.has(tmp_path, "a") and files(tmp_path) == []


def test_a_full_disk_is_one_line(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (5000, before[1])
    )  # bytes in a file: the system refuses more, as a full disk does
    try:
        with pytest.raises(
            InputError, match=r"^cannot write '.*part-a\.zarr': File too large; free it [^\n]*$"
        ):
            image_store.write(tmp_path, "a", pictures())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"^cannot write '.*part-a\.zarr': Not a directory; [^\n]*$"
    ):
        image_store.write(tmp_path / "file", "a", pictures())


def test_damage_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(image_store, "SHARD", 4)
    image_store.write(tmp_path, "a", pictures(9))
    place = tmp_path / "adversarial" / "part-a.zarr"
    shard = place / "c" / "1" / "0" / "0" / "0"
    whole = shard.read_bytes()
    for damaged in (whole[:50], whole[:-1], whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], b""):
        shard.write_bytes(damaged)
        with pytest.raises(
            InputError,
            match=r"part-a\.zarr' is not a readable array \([^\n]*\); run the command that "
            r"made it again",
        ):
            image_store.read(tmp_path, "a")
    shard.unlink()
    assert not image_store.has(tmp_path, "a")
    with pytest.raises(InputError, match="c/1/0/0/0 is missing"):
        image_store.read(tmp_path, "a")
    shard.write_bytes(whole)
    assert image_store.has(tmp_path, "a")
    (place / "zarr.json").write_text(json.dumps({"shape": "of another kind"})[:-1])
    assert not image_store.has(tmp_path, "a")


def test_overwriting_a_run_removes_its_images_and_nothing_of_others(tmp_path):
    digest = Run(tmp_path).belonging.digest("examples")
    image_store.write(tmp_path, "a", pictures(), digest=digest)
    image_store.write(tmp_path, "b", pictures(), digest=digest)
    image_store.write(tmp_path, "other", pictures(), digest="of another run")
    foreign = ["part-b.zarr/notes.txt", "mine.zarr/zarr.json", "part-c.zarr.bak/zarr.json"]
    foreign += ["part-d.zarr/zarr.json"]  # which is unreadable
    for name in (*foreign, ".part-c.zarr.12.tmp/c/0/0/0/0.__lock"):
        (tmp_path / "adversarial" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "adversarial" / name).write_text("x")
    with Run.begin(tmp_path):
        assert (
            image_store.has(tmp_path, "a", digest=digest)
            and not (tmp_path / "adversarial" / ".part-c.zarr.12.tmp").exists()
        )
    with Run.begin(tmp_path, overwrite=True):
        assert not image_store.has(tmp_path, "a", digest=digest) and not image_store.has(
            tmp_path, "b", digest=digest
        )
    theirs = ["part-other.zarr/c/0/0/0/0", "part-other.zarr/zarr.json"]
    assert files(tmp_path / "adversarial") == sorted([*foreign, *theirs])
    names = sorted(path.name for path in (tmp_path / "adversarial").iterdir())
    assert names == [
        *("mine.zarr", "part-b.zarr", "part-c.zarr.bak", "part-d.zarr", "part-other.zarr")
    ]


def test_half_precision_is_close_and_smaller(tmp_path):
    """Every pixel within 1/4096; asked for in another type, the images are made again."""
    images = np.random.default_rng(0).random((4, 16, 16, 3), np.float32)
    image_store.write(tmp_path, "a", images, digest="d", dtype="float16")
    assert np.abs(image_store.read(tmp_path, "a") - images).max() <= 1 / 4096
    assert image_store.read(tmp_path, "a").dtype == np.float32
    assert image_store.has(tmp_path, "a", digest="d")
    assert image_store.has(tmp_path, "a", digest="d", dtype="float16")
    assert not image_store.has(tmp_path, "a", digest="d", dtype="float32")
    image_store.make_room(tmp_path, "a", digest="d")
    assert not image_store.has(tmp_path, "a", digest="d")


def test_images_exist_if_they_are_of_this_run_and_unit(tmp_path):
    """No picture is read."""
    assert not image_store.exists(tmp_path, "a", digest="d")
    image_store.write(tmp_path, "a", pictures(2), digest="d")
    place = tmp_path / "adversarial" / "part-a.zarr"
    (place / "c" / "0" / "0" / "0" / "0").unlink()
    assert image_store.exists(tmp_path, "a", digest="d")
    assert not image_store.exists(tmp_path, "a", digest="e")
    place.rename(place.with_name("part-b.zarr"))
    assert not image_store.exists(tmp_path, "b", digest="d")


def test_images_of_another_run_are_renamed_and_ours_are_not(tmp_path, capsys):
    place = tmp_path / "adversarial" / "part-a.zarr"
    for seed, digest in ((0, "theirs"), (1, "ours"), (2, "ours")):
        image_store.write(tmp_path, "a", pictures(2, seed=seed), digest=digest)
    (place / "zarr.json").write_text("{")
    image_store.write(tmp_path, "a", pictures(2, seed=3), digest="ours")  # over a damaged one
    (line,) = capsys.readouterr().err.splitlines()
    assert "is of another run; it is renamed to 'part-a.zarr.set-aside'" in line
    assert sorted(path.name for path in place.parent.iterdir()) == [
        "part-a.zarr",
        "part-a.zarr.set-aside",
    ]
    aside = zarr.open_array(place.with_name("part-a.zarr.set-aside"), mode="r")
    assert np.array_equal(aside[:], pictures(2, seed=0))
    assert np.array_equal(image_store.read(tmp_path, "a"), pictures(2, seed=3))
    image_store.make_room(tmp_path, "a", digest="ours")
    image_store.make_room(tmp_path, "a", digest="ours")  # there is nothing: nothing to do
    assert [path.name for path in place.parent.iterdir()] == ["part-a.zarr.set-aside"]


def test_the_form_of_an_array_is_as_described(tmp_path):
    """A chunk is one picture, and a file is SHARD; another order of the entries is the same."""
    image_store.write(tmp_path, "a", pictures(3, size=8), dtype="float16")
    path = tmp_path / "adversarial" / "part-a.zarr" / "zarr.json"
    metadata = json.loads(path.read_text())
    inner = metadata["codecs"][0]["configuration"]
    assert inner["chunk_shape"] == [1, 8, 8, 3]
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [128, 8, 8, 3]
    smaller = inner["codecs"][1]["configuration"]
    assert smaller == {
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "bitshuffle",
        "typesize": 2,  # bytes of a float16
        "blocksize": 0,  # the library's choice
    }
    path.write_text(json.dumps(metadata, sort_keys=True))
    assert image_store.has(tmp_path, "a")


def test_an_interruption_before_the_first_byte_is_one_too(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        image_store.write(tmp_path, "a", pictures())
