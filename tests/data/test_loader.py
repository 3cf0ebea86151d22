"""Tests loading: the order, pictures that are left out, the cache, and reading some pictures
again.
"""

import dataclasses
import hashlib
import os
import threading
from pathlib import Path

import drawn
import numpy as np
import pytest

from jaxadv.data import loader, pictures, sources
from jaxadv.data.pictures import Reading
from model_ports.errors import InputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten pictures, of which two are not RGB and one is no picture; shards of four."""
    monkeypatch.setattr(loader, "SHARD", 4)
    root = tmp_path / "pictures"
    for seed in range(10):
        drawn.write(
            root / f"{seed}.png", seed, mode={2: "L", 9: "RGBA"}.get(seed, "RGB"), kind="PNG"
        )
    (root / "5.png").write_bytes(b"no picture")
    (root / "labels.tsv").write_text("".join(f"{seed}\t{seed + 100}\n" for seed in range(10)))
    return sources.open_source(f"imagefolder:{root}")


CHOSEN = np.array([9, 1, 2, 3, 8, 5, 6, 7, 0])
KEPT = [1, 3, 8, 6, 7, 0]


def check(batch: loader.Batch, kept: list[int]) -> None:
    expected = [
        pictures.floats(np.asarray(pictures.prepare(drawn.picture(seed), 24, Reading())))
        for seed in kept
    ]
    assert batch.images.dtype == np.float32 and np.array_equal(batch.images, expected)
    assert batch.ids.tolist() == kept and batch.labels.tolist() == [seed + 100 for seed in kept]


@pytest.mark.parametrize("threads", [1, 5])
def test_order_and_what_is_left_out(folder, threads):
    found = loader.Pictures(folder, CHOSEN, size=24, threads=threads)
    batch = found.load()
    check(batch, KEPT)
    assert [left[:4] for left in batch.dropped] == [
        (9, "9.png", 109, "not RGB (mode RGBA)"),
        (2, "2.png", 102, "not RGB (mode L)"),
        (5, "5.png", 105, "unreadable (no known format)"),
    ]
    assert batch.dropped[2].digest == hashlib.sha256(b"no picture").hexdigest() and len(
        set(batch.digests)
    ) == len(KEPT)
    assert [len(part.ids) for part in found] == [2, 3, 1]
    converted = loader.Pictures(folder, CHOSEN, size=24, reading=Reading(not_rgb="convert")).load()
    assert converted.ids.tolist() == [9, 1, 2, 3, 8, 6, 7, 0] and [
        left.image_id for left in converted.dropped
    ] == [5]
    nothing = loader.Pictures(folder, np.array([2, 5]), size=24).load()
    assert nothing.images.shape == (0, 24, 24, 3) and len(nothing.dropped) == 2
    assert loader.Pictures(folder, CHOSEN[:0], size=24).load().images.shape == (0, 24, 24, 3)


def counted(source):
    """The source, and a list of the indices it was asked to draw."""
    asked, lock = [], threading.Lock()

    def content(index):
        with lock:
            asked.append(index)
        return source.content(index)

    return dataclasses.replace(source, content=content), asked


@pytest.mark.parametrize("cached", [False, True])
def test_some_images_again(folder, tmp_path, cached):
    source, asked = counted(folder)
    found = loader.Pictures(source, CHOSEN, size=24, cache=tmp_path / "cache" if cached else None)
    images = found.load().images
    asked.clear()
    assert np.array_equal(found.take(np.array([0, 8, 1, 8])), images[[5, 2, 0, 2]])
    assert sorted(asked) == (
        [8, 8] if cached else [0, 1, 8, 8]
    )  # its shard has the unreadable picture and is not kept
    with pytest.raises(InputError, match="image 4 is not among those selected"):
        found.take(np.array([4]))
    with pytest.raises(
        InputError, match=r"'5.png' of data .* is unreadable \(no known format\); put it back"
    ):
        found.take(np.array([5]))


def test_the_cache_decodes_once_and_is_never_stale(folder, tmp_path):
    source, asked = counted(folder)
    cache = tmp_path / "cache"

    def load(chosen=CHOSEN, source=source, **settings):
        asked.clear()
        return loader.Pictures(source, chosen, **{"size": 24, "cache": cache} | settings).load()

    first = load()
    assert sorted(asked) == sorted(CHOSEN.tolist()) and len(list(cache.glob("*.npy"))) == 2
    again = load()
    assert sorted(asked) == [5, 6, 7, 8]  # the shard with the unreadable picture
    assert np.array_equal(again.images, first.images) and again.dropped == first.dropped
    longer = load(np.append(CHOSEN[:4], [0, 1]))
    assert sorted(asked) == [0, 1] and longer.ids.tolist() == [1, 3, 0, 1]
    for settings in (
        {"size": 32},
        {"reading": Reading("resize-256-crop")},
        {"reading": Reading(not_rgb="convert")},
    ):
        load(**settings)
        assert len(asked) == len(CHOSEN)
    load(source=dataclasses.replace(source, fingerprint="other"))
    assert len(asked) == len(CHOSEN)
    for file in cache.iterdir():  # damaged
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert np.array_equal(load().images, first.images) and len(asked) == len(CHOSEN)
    assert not [file for file in cache.iterdir() if file.suffix not in (".npy", ".json")]


def test_the_next_batch_is_decoded_meanwhile(folder):
    source, asked = counted(folder)
    batches = iter(loader.Pictures(source, CHOSEN, size=24, threads=2))
    next(batches)
    for _ in range(500):
        if len(asked) == 8:
            break
        threading.Event().wait(0.01)
    assert sorted(asked) == sorted(CHOSEN[:8].tolist())  # two shards, not the third
    batches.close()


def test_a_cache_that_cannot_be_written_is_refused(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write .* free it or choose another"):
        loader.Pictures(folder, CHOSEN, size=24, cache=tmp_path / "file").load()
    with pytest.raises(InputError, match="threads is 0"):
        loader.Pictures(folder, CHOSEN, size=24, threads=0)


def test_digits_are_cached_as_floats(tmp_path):
    source = sources.open_source("digits")
    found = loader.Pictures(source, np.arange(5), size=24, cache=tmp_path)
    first, again = found.load(), found.load()
    assert np.array_equal(first.images, again.images) and np.array_equal(
        first.images[3], source.draw(3, 24, Reading())
    )
    assert np.load(next(tmp_path.glob("*.npy"))).dtype == np.float32


def rewritten(source, index: int, seed: int) -> None:
    """Another picture of as many bytes in a file's place, and its old times."""
    path = next(
        path
        for path in Path(source.name.partition(":")[2]).iterdir()
        if path.name == source.names[index]
    )
    state, size = path.stat(), path.stat().st_size
    other = drawn.encoded(drawn.picture(seed), kind="PNG")[:size]
    path.write_bytes(other + bytes(size - len(other)))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("cached", [False, True])
def test_a_picture_that_was_changed_is_noticed(folder, tmp_path, cached):
    """The other picture has the same name, size and time.

    Only its content differs, not the fingerprint.
    """
    found = loader.Pictures(
        folder, CHOSEN[:4], size=24, cache=tmp_path / "cache" if cached else None
    )
    batch = found.load()
    assert batch.ids.tolist() == [1, 3] and np.array_equal(
        found.take(batch.ids, batch.digests), batch.images
    )
    rewritten(folder, 3, seed=20)
    again = sources.open_source(folder.name)
    assert again.fingerprint == folder.fingerprint
    later = loader.Pictures(again, CHOSEN[:4], size=24, cache=found.cache)
    assert np.array_equal(later.take(batch.ids[:1], batch.digests[:1]), batch.images[:1])
    with pytest.raises(
        InputError, match=r"'3.png' of data .* is not what it was when the run classified it"
    ):
        later.take(batch.ids, batch.digests)
    assert later.load().digests[1] != batch.digests[1]  # nor does the cache give the old one


def test_damage_of_the_cache_is_work_done_again(folder, tmp_path):
    source, asked = counted(folder)
    found = loader.Pictures(source, CHOSEN[:4], size=24, cache=tmp_path / "cache")
    first = found.load()
    for file in list((tmp_path / "cache").iterdir()):
        whole = file.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            asked.clear()
            assert np.array_equal(found.load().images, first.images) and len(asked) == 4
