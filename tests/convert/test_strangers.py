"""Files of weights as they lie about: in parts, in archives, behind prefixes; and what only looks
like weights.
"""

import json
import zipfile

import numpy as np
import pytest
import writers

from model_ports import registry
from model_ports.convert import prefixes, same_function, shards, sources, torch_state
from model_ports.errors import InputError

RANDOM = np.random.default_rng(0)
ARRAYS = {
    f"vgg_16/fc{number}/biases": RANDOM.normal(size=size).astype(np.float32)
    for number, size in ((6, 9), (7, 5), (8, 3))
}


def refusal(call, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line and line.isprintable() and all(word in line for word in words), line
    return line


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 553436134\n"
ONNX = bytes([8, 9, 0x12, 7]) + b"pytorch" + bytes([0x1A, 5]) + b"2.6.0"
STRANGERS = [
    ("model.safetensors", LFS, ["Git-LFS pointer", "git lfs pull"]),
    ("weights.h5", LFS, ["Git-LFS pointer"]),
    ("net.pth", LFS, ["Git-LFS pointer"]),
    ("net.npz", LFS, ["Git-LFS pointer"]),
    ("frozen.pb", b"\n<!DOCTYPE html><html>", ["a web page", "download"]),
    ("net.pth", b"<HTML><body>Sign in</body>", ["a web page"]),
    ("vgg_16_2016_08_28.tar.gz", b"\x1f\x8b\x08\0" + bytes(99), ["a packed archive", "unpack it"]),
    ("net.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), ["a packed archive"]),
    ("net.onnx", b"\x08\x08" + bytes(99), ["an ONNX model", "numpy.savez"]),
    ("net.bin", ONNX, ["an ONNX model", "numpy.savez"]),
    ("net.caffemodel", b"\x0a\x07AlexNet\x12\x04", ["a Caffe model", "numpy.savez"]),
    ("flax_model.msgpack", b"\x81\xa6params\x80", ["Flax's msgpack", "numpy.savez"]),
    ("net.mlmodel", b"\x08\x01\x12\x04", ["numpy.savez"]),
    ("net.mat", b"MATLAB 5.0 MAT-file", ["Matlab"]),
    ("net.pt2", b"PK\3\4" + bytes(30), ["exported program of PyTorch"]),
    ("model.safetensors", b"\2\0\0\0\0\0\0\0{}", ["has no weights"]),
    ("model.safetensors", bytes(8), ["damaged"]),
    ("net.tflite", b"\x1c\0\0\0TFL3" + bytes(99), ["TensorFlow Lite"]),
    ("net.gguf", b"GGUF\3\0\0\0" + bytes(99), ["llama.cpp"]),
    ("config.json", b'{"model_type": "resnet"}', ["JSON without weights"]),
    ("pytorch_model.bin.index.json", b'{"weight_map": {}}', ["parts of pickles", ".safetensors"]),
    (
        "model-00002-of-00005.safetensors",
        writers.safetensors(ARRAYS),
        ["one of 5 parts", "model.safetensors.index.json"],
    ),
]


@pytest.mark.parametrize(("name", "content", "words"), STRANGERS)
def test_what_is_not_weights_is_told_with_what_to_do(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    line = refusal(lambda: sources.read(tmp_path / name), *words)
    assert str(tmp_path / name) in line


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            ["saved_model.pb", "variables/variables.index"],
            ["is a SavedModel", "checkpoint or frozen graph"],
        ),
        (["model.safetensors", "config.json"], ["give the file in it", "model.safetensors"]),
        (
            ["model.safetensors.index.json", "model-00001-of-00002.safetensors"],
            ["model.safetensors.index.json"],
        ),
        (["notes.txt"], ["is a folder; a file is needed"]),
    ],
)
def test_folders_name_the_file_in_them(tmp_path, files, words):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x08\1")
    refusal(lambda: sources.read(tmp_path), *words)


FIRST = "model-00001-of-00002.safetensors"


def write_shards(folder, change=lambda index: index) -> None:
    names = sorted(ARRAYS)
    places = {name: f"model-{1 + at % 2:05d}-of-00002.safetensors" for at, name in enumerate(names)}
    for file in set(places.values()):
        (folder / file).write_bytes(
            writers.safetensors({name: ARRAYS[name] for name in names if places[name] == file})
        )
    index = change({"metadata": {"total_size": 68}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(
        index if isinstance(index, str) else json.dumps(index)
    )


def test_parts_of_safetensors_are_read_as_one(tmp_path):
    write_shards(tmp_path)
    source = sources.find(tmp_path / "model.safetensors.index.json")
    found = sources.read(source.path)
    assert found.keys() == ARRAYS.keys() and all(
        (found[name] == array).all() for name, array in ARRAYS.items()
    )
    assert source.format == shards.FORMAT and len(source.files) == 3
    before = source.sha256()
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    assert source.sha256() != before  # of all parts


def test_what_is_left_aside_may_stand_in_an_index(tmp_path, monkeypatch):
    """Counters of PyTorch's are in its shards, and in no network."""
    monkeypatch.setitem(ARRAYS, "bn.num_batches_tracked", np.array(7, np.int64))
    write_shards(tmp_path)
    found = sources.read(tmp_path / "model.safetensors.index.json")
    assert found.keys() == ARRAYS.keys() - {"bn.num_batches_tracked"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda index: "{", ["no index of safetensors"]),
        (lambda index: "[]", ["no index of safetensors"]),
        (lambda index: {"weight_map": {}}, ["no table of names"]),
        (lambda index: {"weight_map": {"a": 3}}, ["no table of names"]),
        (
            lambda index: {"weight_map": {"a": "../x.safetensors"}},
            ["'../x.safetensors'", "beside it"],
        ),
        (lambda index: {"weight_map": {"a": "/etc/passwd"}}, ["beside it"]),
        (
            lambda index: {"weight_map": {"a": "gone.safetensors"}},
            ["gone.safetensors", "not beside it"],
        ),
        (
            lambda index: {"weight_map": index["weight_map"] | {"vgg_16/fc7/biases": FIRST}},
            ["is not where"],
        ),
        (lambda index: "[" * 100_000, ["no index of safetensors"]),
    ],
)
def test_an_index_that_lies_is_told(tmp_path, change, words):
    write_shards(tmp_path, change)
    refusal(lambda: sources.read(tmp_path / "model.safetensors.index.json"), *words)


def test_parts_share_the_limit(tmp_path):
    write_shards(tmp_path)
    refusal(
        lambda: sources.read(tmp_path / "model.safetensors.index.json", limit=50), "larger than"
    )


MODEL = "inception_v4"


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "timm_model.", "_orig_mod.module.", "net.backbone.model."]
)
def test_a_prefix_of_all_names_is_left_aside(prefix):
    names = {
        f"{prefix}{layer}.{part}": 1
        for row in torch_state.ROWS[MODEL]()[:9]
        for layer in (row.layer,)
        for part in ("weight",)
    }
    names |= {"n_averaged": 1, f"{prefix}features.0.bn.num_batches_tracked": 2}
    found = torch_state.without_prefix(names, MODEL)
    assert list(found) == [
        name.removeprefix(prefix)
        for name in names
        if name.startswith(f"{prefix}features") and "num_" not in name
    ]


def test_a_prefix_of_names_that_do_not_fit_is_named(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(
        writers.safetensors(
            {f"encoder.body.conv{n}.weight": np.zeros((2, 2), np.float32) for n in (1, 2)}
        )
    )
    network = registry.network(MODEL, zoo="imagenet")
    refusal(
        lambda: sources.parameters(path, network),
        "all 2 names begin with 'encoder.body.'",
        "with it or without",
    )


def test_scopes_of_tensorflow_are_prefixes_too():
    network = registry.network("vgg_16", zoo="imagenet")
    for prefix in ("import/", "tower_0/model/"):
        found = prefixes.without(
            {f"{prefix}{name}": array for name, array in ARRAYS.items()}, network.spec.weight_map
        )
        assert found.keys() == ARRAYS.keys()
    same = prefixes.without(
        {f"vgg_19/fc{number}/biases": 0 for number in (6, 7)}, network.spec.weight_map
    )
    assert list(same) == [
        "vgg_19/fc6/biases",
        "vgg_19/fc7/biases",
    ]  # `assemble` says that they are another network's


@pytest.mark.few("resnet.embedder.embedder.convolution.weight")
@pytest.mark.parametrize(
    "name",
    [
        "resnet.embedder.embedder.convolution.weight",
        "mobilenet_v1.layer.3.convolution.weight",
        "vit.embeddings.patch_embeddings.projection.weight",
        "encoder.layer.0.attention.output.dense.weight",
    ],
)
def test_names_of_transformers_are_told_from_timms(tmp_path, name):
    path = tmp_path / "model.safetensors"
    path.write_bytes(writers.safetensors({name: np.zeros((2, 2), np.float32)}))
    for model in (MODEL, "mobilenet_v1_100", "resnet_v2_50"):
        network = registry.network(model, zoo="imagenet")
        refusal(
            lambda network=network: sources.parameters(path, network),
            "Hugging Face's transformers",
            name,
            "timm's",
        )


def test_no_own_name_looks_like_transformers(tmp_path):
    for model, verdicts in same_function.VERDICTS.items():
        if verdicts["torch"] == same_function.SAME:
            torch_state.refuse_transformers(
                tmp_path, [f"{row.layer}.weight" for row in torch_state.ROWS[model]()]
            )


def test_a_keras_archive_without_h5py_or_damaged(tmp_path, monkeypatch):
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(99))
    assert sources.find(path).format == "Keras archive"
    refusal(lambda: sources.read(path), "net.keras")
    refusal(lambda: sources.read(path, limit=-(2**24)), "model.weights.h5 is larger")
