"""The command: a file of the original network in, a checkpoint of the port with its history out, or
one line and nothing.
"""

import hashlib
import json
import os
from types import SimpleNamespace

import golden_weights as golden
import jax
import numpy as np
import pytest
import writers
from test_sources import ARRAYS, KERNEL, NETWORK, write

from jaxadv.commands import convert
from jaxadv.support.progress import Progress
from model_ports import checkpoint, registry, weights
from model_ports.convert import conversion
from model_ports.convert.checksum import logit_checksum, picture
from model_ports.errors import InputError
from model_ports.weight_map import assemble, flatten

MOBILENET = "mobilenet_v1_025"


def flags(**given) -> SimpleNamespace:
    defaults = {
        "model": MOBILENET,
        "source": None,
        "weights_dir": None,
        "zoo": "digits",
        "progress": False,
    }
    defaults["alexnet_lrn"] = None
    return SimpleNamespace(**defaults | given)


def refusal(call, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in words), line


@pytest.fixture(scope="module")
def originals():
    return golden.weights(golden.recording(MOBILENET).meta)


def test_full_size_network_from_a_frozen_graph(tmp_path, originals, capsys):
    source = tmp_path / "frozen_mobilenet.pb"
    source.write_bytes(writers.frozen_graph(originals))
    convert.main(flags(source=str(source), weights_dir=str(tmp_path / "weights")))
    network = registry.network(MOBILENET, zoo="imagenet")
    params, meta = weights.load(network, weights.find(network, tmp_path / "weights"))
    jax.tree.map(
        np.testing.assert_array_equal,
        params,
        assemble(network.spec.weight_map, originals, network.abstract()),
    )
    assert (meta["model"], meta["zoo"], meta["source"], meta["converter"]) == (
        MOBILENET,
        "imagenet",
        "frozen_mobilenet.pb",
        1,
    )
    assert meta["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert meta["num_arrays"] == len(originals) and meta["source_format"] == "frozen graph"
    assert meta["logit_checksum"]["outputs"] == 1001 and meta["logit_checksum"]["size"] == 224
    out = capsys.readouterr()
    assert out.err == "" and len(out.out.splitlines()) == 1
    assert (
        f"{len(originals)} arrays" in out.out
        and "frozen_mobilenet.pb" in out.out
        and "norm" in out.out
    )
    assert os.listdir(tmp_path / "weights") == [MOBILENET]


def test_the_same_arrays_in_any_format_are_the_same_checkpoint(tmp_path):
    metas = []
    for name in ("model.npz", "model.pb", "model.safetensors", "model.ckpt"):
        conversion.convert(NETWORK, write(tmp_path, name, ARRAYS), tmp_path / name[6:])
        metas.append(json.loads((tmp_path / name[6:] / "vgg_16" / "meta.json").read_text()))
    assert len({meta["sha256"] for meta in metas}) == 1
    assert len({json.dumps(meta["logit_checksum"]) for meta in metas}) == 1
    assert len({meta["source_sha256"] for meta in metas}) == 4
    files = [tmp_path / f"model.ckpt.{ending}" for ending in ("index", "data-00000-of-00001")]
    assert metas[3]["source_files"] == [file.name for file in files]
    assert (
        metas[3]["source_sha256"]
        == hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    )


def test_the_checksum_is_what_the_network_says(tmp_path):
    params = NETWORK.init(jax.random.key(0))
    found = logit_checksum(NETWORK, params)
    logits = np.asarray(NETWORK.apply(params, picture(NETWORK.input_size)))[0]
    # float32 in another order of operations
    np.testing.assert_allclose(found["first8"], logits[:8], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["norm"], np.linalg.norm(logits), rtol=1e-5)
    assert found["largest"] == logits.argmax() and found["outputs"] == 10
    swapped = params | {
        "fc8": {"kernel": params["fc8"]["kernel"][..., ::-1], "bias": params["fc8"]["bias"]}
    }
    assert logit_checksum(NETWORK, swapped)["first8"] != found["first8"]


def test_the_picture_is_the_one_described():
    pixels = picture(32)
    assert pixels.shape == (1, 32, 32, 3) and pixels.dtype == np.float32
    assert (pixels.min(), pixels.max()) == (0, 1)
    assert pixels[0, 3, 4, 2] == np.float32((7 * 3 + 11 * 4 + 13 * 2) % 32 / 31)


def test_an_older_conversion_is_replaced_only_by_a_complete_one(tmp_path, monkeypatch):
    first = write(tmp_path, "first.npz", ARRAYS)
    second = write(tmp_path, "second.npz", ARRAYS | {KERNEL: -ARRAYS[KERNEL]})
    bad = write(tmp_path, "bad.npz", ARRAYS | {KERNEL: ARRAYS[KERNEL] * np.nan})
    out = tmp_path / "weights"

    def kernel():
        assert os.listdir(out) == ["vgg_16"]
        params, meta = checkpoint.load(out / "vgg_16", NETWORK.abstract())
        return flatten(params)["layers/conv1_1/kernel"], meta["source"]

    conversion.convert(NETWORK, first, out)
    refusal(lambda: conversion.convert(NETWORK, bad, out), "bad.npz", "NaN")
    np.testing.assert_array_equal(kernel()[0], ARRAYS[KERNEL])
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", fail)
        refusal(
            lambda: conversion.convert(NETWORK, second, out), "vgg_16", "disk full", "--weights_dir"
        )
    assert kernel()[1] == "first.npz"
    conversion.convert(NETWORK, second, out)
    np.testing.assert_array_equal(kernel()[0], -ARRAYS[KERNEL])


def fail(path, vectors):
    path.mkdir()
    raise OSError(28, "disk full")


@pytest.mark.parametrize("name", ["bad.npz", "bad.pb", "bad.safetensors", "bad.ckpt"])
def test_nothing_is_left_of_a_file_that_is_refused(tmp_path, name):
    source = write(tmp_path, name, {key: array[:1] for key, array in ARRAYS.items()})
    before = sorted(tmp_path.iterdir())
    refusal(lambda: conversion.convert(NETWORK, source, tmp_path / "weights"), name)
    assert sorted(tmp_path.iterdir()) == before


def test_weights_that_give_no_numbers(tmp_path, originals):
    """Each value is finite, but a negative variance has no root."""
    variance = "MobilenetV1/Conv2d_5_depthwise/BatchNorm/moving_variance"
    changed = originals | {variance: -originals[variance]}
    np.savez(tmp_path / "model.npz", **changed)
    refusal(
        lambda: convert.main(
            flags(source=str(tmp_path / "model.npz"), weights_dir=str(tmp_path / "weights"))
        ),
        MOBILENET,
        "not finite",
    )
    assert not (tmp_path / "weights").exists()


def test_the_target_may_not_be_something_else(tmp_path):
    source = write(tmp_path, "model.npz", ARRAYS)
    target = tmp_path / "weights" / "vgg_16"
    target.mkdir(parents=True)
    (target / "notes.txt").write_text("mine")
    refusal(
        lambda: conversion.convert(NETWORK, source, tmp_path / "weights"),
        "exists and is not a checkpoint",
    )
    assert (target / "notes.txt").read_text() == "mine"
    refusal(lambda: conversion.convert(NETWORK, source, source), "model.npz", "cannot be written")


@pytest.mark.parametrize("name", ["model", "source", "weights_dir"])
def test_all_three_flags_are_needed(name):
    given = {"source": "a.pb", "weights_dir": "b"} | {name: None}
    refusal(lambda: convert.main(flags(**given)), f"--{name} is not given")


def test_unknown_model(tmp_path):
    refusal(
        lambda: convert.main(
            flags(model="mobilenet_025", source="a.pb", weights_dir=str(tmp_path))
        ),
        "did you mean 'mobilenet_v1_025'",
    )


def test_progress_goes_to_standard_error(tmp_path, capsys):
    with Progress("convert vgg_16", 4, conversion.STEPS) as bar:
        conversion.convert(
            NETWORK, write(tmp_path, "model.pb", ARRAYS), tmp_path, advance=bar.advance
        )
    out = capsys.readouterr()
    assert out.out == "" and "convert vgg_16: 4/4 steps" in out.err


def test_the_parameters_are_laid_end_to_end_as_a_checkpoint_has_them():
    params = jax.tree.map(np.asarray, NETWORK.init(jax.random.key(1)))
    laid = conversion.end_to_end(params)
    jax.tree.map(np.testing.assert_array_equal, laid, params)
    leaves = jax.tree.leaves(laid)
    assert len({id(leaf.base) for leaf in leaves}) == 1
    np.testing.assert_array_equal(leaves[0].base, np.concatenate([leaf.ravel() for leaf in leaves]))
