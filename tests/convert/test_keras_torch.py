"""Tests files of Keras and PyTorch without these packages: verdicts, names, and refusals in one
line.
"""

import pickle
import re
import sys
import zipfile

import numpy as np
import pytest
import writers

from model_ports import registry
from model_ports.convert import foreign, keras_h5, same_function, sources, torch_state
from model_ports.errors import InputError
from model_ports.weight_map import flatten

HDF = b"\x89HDF\r\n\x1a\n"


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def refusal(call, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line and line.isprintable() and all(word in line for word in words), line
    return line


def test_every_network_has_a_verdict_and_those_that_are_the_same_have_names():
    assert list(same_function.VERDICTS) == [entry.name for entry in registry.MODELS]
    for framework, rows in (("keras", keras_h5.ROWS), ("torch", torch_state.ROWS)):
        assert {
            name
            for name, verdicts in same_function.VERDICTS.items()
            if verdicts[framework] == same_function.SAME
        } == rows.keys()
    assert all(
        verdicts.keys() == {"keras", "torch"} for verdicts in same_function.VERDICTS.values()
    )


@pytest.mark.parametrize("model", torch_state.ROWS)
def test_every_original_variable_has_one_row(model):
    """Zeros under PyTorch's names fill the whole port; without any one layer, or with one more,
    nothing is filled.
    """
    network = registry.network(model, zoo="imagenet")
    arrays, rows = {}, torch_state.ROWS[model]()
    rows_of_port = [
        (re.compile(pattern), template) for pattern, template, _ in network.spec.weight_map
    ]
    wanted = flatten(network.abstract())

    def shape_of(variable: str) -> tuple:
        [path] = [
            match.expand(template)
            for pattern, template in rows_of_port
            if (match := pattern.fullmatch(variable))
        ]
        return wanted[path].shape

    for row in rows:
        kernel = shape_of(f"{row.scope}/weights")
        if row.kind == "logits":
            kernel = (kernel[0], 1000)
        arrays[f"{row.layer}.weight"] = np.zeros(
            kernel[::-1] if len(kernel) == 2 else (kernel[3], kernel[2], *kernel[:2]), np.float32
        )
        if row.norm is None:
            arrays[f"{row.layer}.bias"] = np.zeros(kernel[-1], np.float32)
        else:
            for part in ("weight", "bias", "running_mean", "running_var"):
                arrays[f"{row.norm}.{part}"] = np.zeros(kernel[-1], np.float32)
    assert torch_state.recognises(arrays)
    variables = torch_state.translate(arrays, network)
    assert len(variables) == len(wanted)
    first, *_, last = arrays
    lacking = {name: array for name, array in arrays.items() if name != last}
    refusal(lambda: torch_state.translate(lacking, network), model, last.rpartition(".")[0])
    refusal(
        lambda: torch_state.translate(arrays | {"fc.weight": arrays[first]}, network),
        model,
        "fc has no place",
    )


def test_the_background_class_gets_the_mean_of_the_others():
    network = registry.network("inception_v4", zoo="imagenet")
    kernel = np.random.default_rng(0).normal(size=(7, 1000)).astype(np.float32)
    widened = foreign.with_background(kernel, network)
    np.testing.assert_array_equal(widened[:, 1:], kernel)
    np.testing.assert_allclose(widened[:, 0], kernel.mean(1), rtol=1e-5, atol=1e-7)
    assert foreign.with_background(widened, network) is widened
    assert foreign.with_background(kernel, registry.network("vgg_16", zoo="imagenet")) is kernel


def test_a_gamma_that_the_original_has_not_goes_into_the_kernel():
    random = np.random.default_rng(1)
    network = registry.network("inception_v4", zoo="imagenet")
    parts = {
        name: random.uniform(0.5, 1.5, 4).astype(np.float32)
        for name in ("gamma", "beta", "mean", "variance")
    }
    kernel = random.normal(size=(1, 1, 3, 4)).astype(np.float32)
    layers = {"a.conv": {"kernel": kernel}, "a.bn": parts}
    found = foreign.originals(
        layers, [foreign.Row("a.conv", "net/a", norm="a.bn")], network=network
    )
    assert found.keys() == {
        "net/a/weights",
        *(f"net/a/BatchNorm/{part}" for part in ("beta", "moving_mean", "moving_variance")),
    }
    x = random.normal(size=(5, 3))
    scale = 1 / np.sqrt(parts["variance"] + 1e-3)
    expected = (x @ kernel[0, 0] - parts["mean"]) * scale * parts["gamma"] + parts["beta"]
    mine = (
        x @ found["net/a/weights"][0, 0] - found["net/a/BatchNorm/moving_mean"]
    ) * scale + found["net/a/BatchNorm/beta"]
    np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.few("m.pth-alexnet", "m.h5-resnet_v2_50", "m.safetensors-densenet121_k32")
@pytest.mark.parametrize("model", ["densenet121_k32", "resnet_v2_50", "nasnet_large", "alexnet"])
@pytest.mark.parametrize("file", ["m.h5", "m.pth", "m.safetensors"])
def test_another_function_is_refused_with_the_reason(tmp_path, model, file):
    path = tmp_path / file
    names = {"features.conv0.weight": np.zeros((2, 2, 1, 1), np.float32)}
    path.write_bytes(
        {
            "m.h5": HDF + bytes(99),
            "m.pth": pickle.dumps({}),
            "m.safetensors": writers.safetensors(names),
        }[file]
    )
    framework = "keras" if file == "m.h5" else "torch"
    network = registry.network(model, zoo="imagenet")
    reason = same_function.VERDICTS[model][framework]
    refusal(
        lambda: sources.parameters(path, network),
        file,
        model,
        "not the same function",
        reason,
        "are the same there: ",
    )


@pytest.mark.parametrize(
    ("module", "name", "content", "extra"),
    [
        ("h5py", "m.weights.h5", HDF + bytes(99), "jaxadv[keras]"),
        ("torch", "m.pth", pickle.dumps({"a.weight": 1}), "jaxadv[torch]"),
    ],
)
def test_without_the_framework(tmp_path, monkeypatch, module, name, content, extra):
    monkeypatch.setitem(sys.modules, module, None)  # as where it is not installed
    (tmp_path / name).write_bytes(content)
    refusal(lambda: sources.read(tmp_path / name), name, f"pip install '{extra}'")


@pytest.mark.parametrize("kind", ["zip", "bare"])
def test_hostile_pickles_are_refused_with_or_without_torch(tmp_path, kind):
    path, target = tmp_path / "m.pth", tmp_path / "made"
    code = pickle.dumps({"a.weight": Bomb(target)}, protocol=2)
    if kind == "bare":
        path.write_bytes(code)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", code)
            archive.writestr("archive/version", "3")
    refusal(
        lambda: sources.parameters(path, registry.network("inception_v4", zoo="imagenet")),
        "m.pth",
        "pickle",
        "not loaded",
    )
    assert not target.exists()


def test_a_bomb_of_zeros_in_a_pth_is_not_unpacked(tmp_path):
    path = tmp_path / "m.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(2**25))
    refusal(lambda: torch_state.read(path, 2**20), "m.pth", "larger than 1048576 bytes")


@pytest.mark.parametrize("content", [HDF + bytes(999), b"<html>" * 99, b""])
def test_h5_that_is_none(tmp_path, content):
    path = tmp_path / "m.h5"
    path.write_bytes(content)
    refusal(lambda: sources.parameters(path, registry.network("vgg_16", zoo="imagenet")), "m.h5")


def test_safetensors_with_torchs_names_are_translated(tmp_path):
    """The network is the same function, but the names are foreign.

    The error lists each missing name.
    """
    path = tmp_path / "m.safetensors"
    path.write_bytes(
        writers.safetensors({"features.0.conv.weight": np.zeros((32, 3, 3, 3), np.float32)})
    )
    network = registry.network("inception_v4", zoo="imagenet")
    refusal(lambda: sources.parameters(path, network), "m.safetensors", "features.0.bn is missing")
