"""Checkpoints: what is saved comes back, and everything else is one line of InputError."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model_ports import checkpoint
from model_ports.errors import InputError

META = {"model": "toy", "zoo": "digits", "note": "kept"}


def toy(seed=0):
    generator = np.random.default_rng(seed)
    return {
        "stem": {
            "kernel": generator.normal(size=(3, 3, 3, 4)).astype(np.float32),
            "bias": np.zeros(4, np.float32),
        },
        "blocks": {
            0: {"scale": np.float32(generator.normal())},
            1: {"steps": np.arange(3, dtype=np.int32)},
        },
        "empty": np.zeros((0, 2), np.float32),
    }


def shapes(tree):
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), a.dtype), tree)


def assert_same(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert jax.tree.map(lambda a: a.dtype, first) == jax.tree.map(lambda a: a.dtype, second)


@pytest.fixture
def saved(tmp_path):
    checkpoint.save(tmp_path / "toy", toy(), META)
    return tmp_path / "toy"


def test_round_trip(saved):
    params, meta = checkpoint.load(saved, shapes(toy()), model="toy", zoo="digits")
    assert_same(params, toy())
    assert meta["note"] == "kept" and meta["num_arrays"] == 5 and len(meta["sha256"]) == 64
    assert meta["arrays"]["stem/kernel"] == {"shape": [3, 3, 3, 4], "dtype": "float32"}
    assert checkpoint.read_meta(str(saved)) == meta


def test_device_arrays_and_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    devices = jax.tree.map(lambda a: jax.device_put(jnp.asarray(a), jax.devices()[-1]), toy())
    checkpoint.save("deep/toy", devices, META)
    params, _ = checkpoint.load("deep/toy", shapes(toy()))
    assert_same(params, toy())
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(params))


def test_bfloat16_and_float64_survive(tmp_path):
    params = {"half": np.arange(5).astype(jnp.bfloat16), "double": np.array([1 / 3])}
    checkpoint.save(tmp_path / "c", params, META)
    assert_same(checkpoint.load(tmp_path / "c", shapes(params))[0], params)


def test_large_vectors_are_cut_into_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_CHUNK_BYTES", 4096)
    params = {"a": np.arange(5000, dtype=np.float32)}
    checkpoint.save(tmp_path / "c", params, META)
    assert len(list((tmp_path / "c" / "arrays" / "float32" / "c").iterdir())) > 4
    assert_same(checkpoint.load(tmp_path / "c", shapes(params))[0], params)


def test_small_on_disk(tmp_path):
    generator = np.random.default_rng(0)
    params = {
        f"layer_{i}": {k: generator.normal(size=256).astype(np.float32) for k in "abcd"}
        for i in range(150)
    }
    checkpoint.save(tmp_path / "c", params, META)
    files = [path for path in (tmp_path / "c").rglob("*") if path.is_file()]
    numbers = 150 * 4 * 256 * 4
    assert len(files) <= 8
    assert sum(path.stat().st_size for path in files if path.name != "meta.json") < numbers + 2000
    assert not [
        path for path in files if path.name.startswith(".")
    ]  # package builders leave dot files out


def test_replaces_a_checkpoint_and_leaves_nothing_behind(saved):
    checkpoint.save(saved, toy(1), META | {"note": "newer"})
    params, meta = checkpoint.load(saved, shapes(toy()))
    assert_same(params, toy(1))
    assert meta["note"] == "newer" and os.listdir(saved.parent) == ["toy"]


def test_a_failed_save_keeps_the_old_one(saved, monkeypatch):
    def fail(path, vectors):
        path.mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(saved, toy(1), META)
    assert os.listdir(saved.parent) == ["toy"]
    assert_same(checkpoint.load(saved, shapes(toy()))[0], toy())


def test_does_not_overwrite_what_is_no_checkpoint(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a checkpoint"):
        checkpoint.save(tmp_path, toy(), META)
    with pytest.raises(InputError, match="exists and is not a checkpoint"):
        checkpoint.save(tmp_path / "notes.txt", toy(), META)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_meta_must_say_model_and_zoo(tmp_path):
    with pytest.raises(InputError, match="'zoo'"):
        checkpoint.save(tmp_path / "c", toy(), {"model": "toy"})


def test_missing(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        checkpoint.load(tmp_path / "none", shapes(toy()))
    with pytest.raises(InputError, match="is not a checkpoint"):
        checkpoint.load(tmp_path, shapes(toy()))


def test_foreign(saved):
    with pytest.raises(InputError, match="checkpoint of model 'toy', not 'vgg_16'"):
        checkpoint.load(saved, shapes(toy()), model="vgg_16")
    with pytest.raises(InputError, match="checkpoint of zoo 'digits', not 'imagenet'"):
        checkpoint.load(saved, shapes(toy()), model="toy", zoo="imagenet")
    wider = shapes(toy())
    wider["stem"]["bias"] = jax.ShapeDtypeStruct((5,), jnp.float32)
    with pytest.raises(InputError, match=r"'stem/bias' has shape \(4,\), not \(5,\)"):
        checkpoint.load(saved, wider)
    more = shapes(toy()) | {"head": jax.ShapeDtypeStruct((5,), jnp.float32)}
    with pytest.raises(InputError, match="no array 'head'.*5 arrays instead of 6"):
        checkpoint.load(saved, more)
    fewer = shapes(toy())
    del fewer["stem"]["bias"]
    with pytest.raises(InputError, match="an array 'stem/bias' too many"):
        checkpoint.load(saved, fewer)


def damage_truncate(path):
    chunk = path / "arrays" / "float32" / "c" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-40])


def damage_empty(path):
    (path / "arrays" / "float32" / "c" / "0").write_bytes(b"")


def damage_chunk_gone(path):
    (path / "arrays" / "float32" / "c" / "0").unlink()


def damage_arrays_gone(path):
    (path / "arrays").rename(path / "elsewhere")


def damage_tree_gone(path):
    (path / "arrays" / "_METADATA").write_text("{}")


def damage_header(path):
    (path / "arrays" / "float32" / "zarr.json").write_text("{")


def damage_meta_cut(path):
    (path / "meta.json").write_text((path / "meta.json").read_text()[:100])


def damage_meta_field(path):
    (path / "meta.json").write_text('{"model": "toy"}')


def damage_meta_kind(path):
    (path / "meta.json").write_text("[1, 2]")


def damage_fingerprint(path):
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps(meta | {"sha256": "0" * 64}))


@pytest.mark.parametrize("name", sorted(name for name in globals() if name.startswith("damage_")))
def test_damaged(saved, name):
    globals()[name](saved)
    with pytest.raises(InputError, match="is damaged.*convert or train it again") as caught:
        checkpoint.load(saved, shapes(toy()))
    assert "\n" not in str(caught.value)


def test_unknown_format(saved):
    meta = json.loads((saved / "meta.json").read_text())
    (saved / "meta.json").write_text(json.dumps(meta | {"format": 99}))
    with pytest.raises(InputError, match="format 99; 1 can be read"):
        checkpoint.load(saved, shapes(toy()))


def test_a_network_is_loaded_without_a_warning_of_a_library():
    """Neither of Python nor of a logger: all of them write on standard error."""
    program = "import jaxadv; print(jaxadv.load_classifier('alexnet').num_classes)"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("10\n", "")
