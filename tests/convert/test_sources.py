"""Weights come out of every format as they went in; everything else is one line that names the
file.
"""

import os
import pickle
import struct
import sys
import tracemalloc
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import writers

from model_ports import registry
from model_ports.convert import npz, sources
from model_ports.errors import InputError
from model_ports.weight_map import flatten

NETWORK = registry.network("vgg_16", zoo="digits")


def original_names(network) -> dict[str, np.ndarray]:
    """Random weights of a small VGG, named and shaped as the original's variables."""
    random = np.random.default_rng(3)
    named = {}
    for path, leaf in flatten(network.abstract()).items():
        layer, kind = path.removeprefix("layers/").split("/")
        scope = f"{layer[:5]}/{layer}" if layer.startswith("conv") else layer
        name = f"vgg_16/{scope}/{'weights' if kind == 'kernel' else 'biases'}"
        named[name] = random.normal(size=leaf.shape).astype(np.float32)
    return named


ARRAYS = original_names(NETWORK)
KERNEL = "vgg_16/conv1/conv1_1/weights"
FORMATS = ("model.npz", "model.pb", "model.safetensors", "model.ckpt")


def write(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> Path:
    """The arrays in the format of the name's ending; `.ckpt` is a TensorFlow checkpoint of version
    2.
    """
    path = folder / name
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".ckpt":
        index, data = writers.bundle(arrays)
        (folder / f"{name}.index").write_bytes(index)
        (folder / f"{name}.data-00000-of-00001").write_bytes(data)
    else:
        path.write_bytes(
            writers.frozen_graph(arrays) if path.suffix == ".pb" else writers.safetensors(arrays)
        )
    return path


def refusal(path: Path, *words: str, network=NETWORK) -> str:
    """The one line with which the file is refused."""
    with pytest.raises(InputError) as caught:
        sources.parameters(path, network)
    line = str(caught.value)
    assert path.name in line and "\n" not in line and line.isprintable(), line
    assert all(word in line for word in words), line
    return line


def assert_arrays(found, expected=ARRAYS):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip(tmp_path, name):
    path = write(tmp_path, name, ARRAYS)
    assert_arrays(sources.read(path))
    params = flatten(sources.parameters(path, NETWORK))
    np.testing.assert_array_equal(params["layers/conv1_1/kernel"], ARRAYS[KERNEL])
    assert len(params) == len(ARRAYS)


@pytest.mark.parametrize("name", FORMATS)
def test_double_precision_is_rounded_to_single(tmp_path, name):
    path = write(
        tmp_path, name, {key: array.astype(np.float64) + 1e-12 for key, array in ARRAYS.items()}
    )
    assert_arrays(
        sources.read(path),
        {
            key: (array.astype(np.float64) + 1e-12).astype(np.float32)
            for key, array in ARRAYS.items()
        },
    )


@pytest.mark.parametrize("name", FORMATS)
def test_what_only_training_needs_is_left_aside(tmp_path, name):
    extra = {
        "global_step": np.array(7, np.int64),
        f"{KERNEL}/RMSProp_1": np.full((2,), np.nan, np.float32),
        f"{KERNEL}/ExponentialMovingAverage": np.ones_like(ARRAYS[KERNEL]),
        "vgg_16/AuxLogits/Conv/weights": np.ones((2, 2), np.float32),
        "aux_11/aux_logits/FC/biases": np.ones((2,), np.float32),
    }
    path = write(tmp_path, name, ARRAYS | extra)
    assert_arrays(sources.read(path))


def test_names_may_bear_the_number_of_their_output(tmp_path):
    assert_arrays(
        sources.read(
            write(tmp_path, "model.npz", {f"{name}:0": array for name, array in ARRAYS.items()})
        )
    )


@pytest.mark.parametrize("layout", ["fortran", "big-endian", "compressed"])
def test_npz_in_other_layouts(tmp_path, layout):
    change = {
        "fortran": np.asfortranarray,
        "big-endian": lambda a: a.astype(">f4"),
        "compressed": np.asarray,
    }[layout]
    save = np.savez_compressed if layout == "compressed" else np.savez
    save(tmp_path / "model.npz", **{name: change(array) for name, array in ARRAYS.items()})
    assert_arrays(sources.read(tmp_path / "model.npz"))


@pytest.mark.parametrize("name", FORMATS)
class TestRefusals:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, tmp_path, name, value):
        bad = ARRAYS[KERNEL].copy()
        bad[0, 1, 2, 3] = value
        refusal(
            write(tmp_path, name, ARRAYS | {KERNEL: bad}), KERNEL, "1 values", "NaN or infinite"
        )

    def test_too_large_for_single_precision(self, tmp_path, name):
        refusal(
            write(tmp_path, name, ARRAYS | {KERNEL: np.full(ARRAYS[KERNEL].shape, 1e300)}),
            KERNEL,
            "infinite",
        )

    def test_half_precision(self, tmp_path, name):
        refusal(
            write(tmp_path, name, ARRAYS | {KERNEL: ARRAYS[KERNEL].astype(np.float16)}),
            KERNEL,
            "float16",
            "float32",
        )

    def test_wrong_shape(self, tmp_path, name):
        refusal(
            write(tmp_path, name, ARRAYS | {KERNEL: ARRAYS[KERNEL][..., :5]}),
            KERNEL,
            "(3, 3, 3, 5)",
            "(3, 3, 3, 8)",
        )

    def test_renamed(self, tmp_path, name):
        changed = {
            ("vgg_16/first" if key == KERNEL else key): array for key, array in ARRAYS.items()
        }
        refusal(
            write(tmp_path, name, changed),
            "vgg_16/first matches no row",
            "layers/conv1_1/kernel is filled by nothing",
        )

    def test_doubly_named(self, tmp_path, name):
        doubled = ARRAYS | {KERNEL.replace("vgg_16", "vgg_19"): ARRAYS[KERNEL]}
        refusal(
            write(tmp_path, name, doubled),
            "layers/conv1_1/kernel is filled by vgg_16",
            "and vgg_19",
        )

    def test_another_network(self, tmp_path, name):
        refusal(
            write(tmp_path, name, {"conv1/weights": np.ones((5, 5, 3, 4), np.float32)}),
            "conv1/weights matches no row",
        )

    def test_cut_short(self, tmp_path, name):
        path = write(tmp_path, name, ARRAYS)
        for file in sources.find(path).files:
            whole = file.read_bytes()
            for size in {
                0,
                1,
                7,
                8,
                9,
                60,
                len(whole) // 3,
                len(whole) // 2,
                len(whole) - 47,
                len(whole) - 1,
            }:
                file.write_bytes(whole[:size])
                if name == "model.pb" and size > len(whole) - 4:
                    continue  # the last field of the graph holds no weights
                refusal(path)
            file.write_bytes(whole)

    def test_noise(self, tmp_path, name):
        """Bytes changed anywhere: other numbers, or one line; never another error."""
        few = {name: ARRAYS[name][:9] for name in ("vgg_16/fc8/biases", "vgg_16/fc7/biases")}
        path = write(tmp_path, name, few)
        random = np.random.default_rng(5)
        for file in sources.find(path).files:
            whole = file.read_bytes()
            for _ in range(150):
                changed = bytearray(whole)
                for place in random.integers(len(whole), size=random.integers(1, 4)):
                    changed[place] = random.integers(256)
                file.write_bytes(changed)
                refusal(path)
            file.write_bytes(whole)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.pb", b"", ["is empty"]),
        ("one.pb", b"\x0a", ["not a frozen graph"]),
        ("pickle.pb", b"\x80\x04N.", ["pickle", "not loaded"]),
        ("text.pb", b"node {\n  name: 'a'\n}\n" * 9, ["not a frozen graph"]),
        (
            "saved_model.pb",
            writers.field(1, 1) + writers.field(2, b"x"),
            ["is a SavedModel", "checkpoint or frozen graph"],
        ),
        ("noise.pb", bytes(range(256)) * 9, ["not a frozen graph"]),
        ("text.npz", b"hello, world", ["is not an .npz"]),
        ("text.bin", b"hello, world", ["no known format"]),
        ("keras.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), ["HDF5", ".npz"]),
        ("single.npy", writers.npy(np.ones(3)), ["single NumPy array", "numpy.savez"]),
        ("header.safetensors", struct.pack("<Q", 2**62) + b"{}", ["longer than the file"]),
        ("deep.safetensors", struct.pack("<Q", 90_000) + b"[" * 90_000, ["header"]),
        ("list.safetensors", struct.pack("<Q", 2) + b"[]", ["header"]),
        (
            "v1.ckpt",
            bytes(99) + 0xDB4775248B80FB57.to_bytes(8, "little"),
            ["version 1", "pip install 'jaxadv[tf]'"],
        ),
    ],
)
def test_foreign_files(tmp_path, monkeypatch, name, content, words):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as where it is not installed
    path = tmp_path / name
    path.write_bytes(content)
    refusal(path, *words)


def test_missing_files_and_folders(tmp_path):
    refusal(tmp_path / "none.pb", "no file")
    refusal(tmp_path, "is a folder")
    path = write(tmp_path, "model.ckpt", ARRAYS)
    (tmp_path / "model.ckpt.data-00000-of-00001").unlink()
    refusal(path, "no file", "model.ckpt.data-00000-of-00001")


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_a_checkpoint_may_be_called_by_any_of_its_files(tmp_path, ending):
    path = write(tmp_path, "model.ckpt", ARRAYS)
    source = sources.find(path.with_name(path.name + ending))
    assert (source.path, len(source.files)) == (path, 2)


class Bomb:
    """Unpickling this makes the file that it names."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize(
    "kind",
    [
        "object array",
        "pickle for an array",
        "torch zip",
        "torch legacy",
        "bare pickle",
        "torch zip called npz",
    ],
)
def test_pickles_are_never_loaded(tmp_path, kind):
    target = tmp_path / "executed"
    code = pickle.dumps(Bomb(target), protocol=2)
    path = tmp_path / {"torch zip": "m.pth", "torch legacy": "m.pt", "bare pickle": "m.ckpt"}.get(
        kind, "m.npz"
    )
    match kind:
        case "object array":
            np.savez(path, **{KERNEL: np.array([Bomb(target)], object)})
        case "pickle for an array":
            path.write_bytes(writers.npz({"weights.npy": code}))
        case "torch zip" | "torch zip called npz":
            path.write_bytes(writers.npz({"archive/data.pkl": code, "archive/data/0": b"\0" * 16}))
        case _:
            path.write_bytes(code)
    line = refusal(path)
    assert kind == "pickle for an array" or "pickle" in line
    assert not target.exists()


def test_npz_names_are_only_names(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = folder / "model.npz"
    members = {f"{name}.npy": array for name, array in ARRAYS.items()}
    absolute = tmp_path / "absolute"
    extra = np.ones(3, np.float32)
    path.write_bytes(writers.npz(members | {"../../escaped.npy": extra, f"{absolute}.npy": extra}))
    refusal(path, "../../escaped matches no row", "absolute matches no row")
    assert [file.name for file in tmp_path.rglob("*")] == ["a", "b", "model.npz"]
    path.write_bytes(writers.npz({"../../escaped.py": b"print()"}))
    refusal(path, "'../../escaped.py'")


def test_names_that_would_garble_a_terminal(tmp_path):
    refusal(write(tmp_path, "model.safetensors", {"\x1b[2J": np.ones(3, np.float32)}), "damaged")
    refusal(write(tmp_path, "model.npz", {"a\nb": np.ones(3, np.float32)}), "damaged")


def test_zip_bombs_cost_no_memory(tmp_path):
    """Zeros in few bytes: in one array, in many, in a header that lies."""
    path = tmp_path / "model.npz"
    zeros = np.zeros((1024, 1024), np.float32)
    path.write_bytes(
        writers.npz(
            {"a.npy": writers.npy_header((8, 1024, 1024)) + zeros.tobytes() * 8},
            compression=zipfile.ZIP_DEFLATED,
        )
    )
    assert path.stat().st_size < 2**16
    tracemalloc.start()
    try:
        refusal(path, "larger than")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    path.write_bytes(
        writers.npz({f"{i}.npy": zeros for i in range(6)}, compression=zipfile.ZIP_DEFLATED)
    )
    refusal(path, "larger than")
    for shape, words in (
        ((2**40, 2**40), "larger than"),
        ((10,), "size of its shape"),
        ((-1, 3), "damaged"),
    ):
        path.write_bytes(writers.npz({"a.npy": writers.npy_header(shape) + bytes(12)}))
        refusal(path, words)


def test_npz_with_a_name_twice(tmp_path):
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(tmp_path / "model.npz", "w") as archive,
    ):
        for _ in range(2):
            archive.writestr("a.npy", writers.npy(np.ones(3, np.float32)))
    refusal(tmp_path / "model.npz", "two arrays called 'a'")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_npz_with_a_compression_that_numpy_does_not_write(tmp_path, compression):
    (tmp_path / "model.npz").write_bytes(
        writers.npz({"a.npy": np.ones(3, np.float32)}, compression=compression)
    )
    refusal(tmp_path / "model.npz", "compressed")


def test_npz_with_a_wrong_checksum(tmp_path):
    whole = writers.npz({"a.npy": np.ones(300, np.float32)})
    place = whole.index(struct.pack("<f", 1.0) * 3) + 100
    (tmp_path / "model.npz").write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    refusal(tmp_path / "model.npz", "CRC")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"data_offsets": [0,', '"data_offsets": [4,', ["overlap or leave holes"]),
        ('"F32"', '"F64"', ["bytes for shape"]),
        ('"F32"', '"BF16"', ["bfloat16"]),
        ('"F32"', '"I8"', ["I8"]),
        ('"F32"', "7", ["header"]),
        ('"shape": [3,', '"shape": [-3,', ["header"]),
        ('"shape": [3,', '"shape": [true,', ["header"]),
        (
            '"__metadata__": {"format": "tf"}',
            '"b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}',
            ["overlap"],
        ),
    ],
)
def test_safetensors_headers_that_lie(tmp_path, old, new, words):
    arrays = {KERNEL: ARRAYS[KERNEL]}
    path = tmp_path / "model.safetensors"
    path.write_bytes(writers.safetensors(arrays, change=lambda header: header.replace(old, new)))
    refusal(path, *words)


def test_safetensors_with_a_name_twice(tmp_path):
    path = tmp_path / "model.safetensors"
    arrays = {"a": np.ones(3, np.float32), "b": np.ones(3, np.float32)}
    path.write_bytes(
        writers.safetensors(arrays, change=lambda header: header.replace('"b"', '"a"'))
    )
    refusal(path, "two entries called 'a'")


def test_a_checkpoint_named_by_objects(tmp_path):
    key = "_CHECKPOINTABLE_OBJECT_GRAPH"
    refusal(
        write(tmp_path, "model.ckpt", {key: np.ones(3, np.float32)}),
        "names its arrays by objects",
        "Saver",
    )


def test_an_ordinary_file_may_hold_a_limit_of_bytes(tmp_path):
    path = write(tmp_path, "model.npz", ARRAYS)
    total = sum(array.nbytes for array in ARRAYS.values())
    assert_arrays(sources.read(path, limit=total))
    with pytest.raises(InputError, match=f"larger than {total - 1} bytes"):
        sources.read(path, limit=total - 1)


def test_depthwise_kernels_and_batch_normalisation(tmp_path):
    """A MobileNet, in whose file the kernels have another layout than in the port."""
    network = registry.network("mobilenet_v1_025", zoo="digits")
    kinds = {
        "kernel": "weights",
        "bias": "beta",
        "scale": "gamma",
        "mean": "moving_mean",
        "var": "moving_variance",
    }
    random, named, expected = np.random.default_rng(4), {}, {}
    for path, leaf in flatten(network.abstract()).items():
        value = expected[path] = random.uniform(0.5, 1, leaf.shape).astype(np.float32)
        kind = kinds[path.rsplit("/", 1)[-1]]
        if path.startswith("logits"):
            named[
                f"MobilenetV1/Logits/Conv2d_1c_1x1/{'weights' if kind == 'weights' else 'biases'}"
            ] = value
            continue
        layer, number = path.split("/")[1].split("_")
        scope = (
            "MobilenetV1/Conv2d_0" if layer == "conv" else f"MobilenetV1/Conv2d_{number}_{layer}"
        )
        if kind != "weights":
            named[f"{scope}/BatchNorm/{kind}"] = value
        elif layer == "depthwise":
            named[f"{scope}/depthwise_weights"] = value.swapaxes(2, 3)
        else:
            named[f"{scope}/weights"] = value
    for name in FORMATS:
        params = sources.parameters(write(tmp_path, name, named), network)
        jax.tree.map(np.testing.assert_array_equal, flatten(params), expected)


def test_every_problem_of_a_file_stands_in_one_line(tmp_path):
    changed = {**ARRAYS, "x": np.ones(1, np.float32), KERNEL: np.ones((1, 2), np.float32)}
    refusal(
        write(tmp_path, "model.npz", changed),
        "x matches no row",
        f"{KERNEL} has shape (1, 2)",
        "2 of 21 arrays",
    )


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_no_bit_of_an_archives_list_hides_an_array(tmp_path, step):
    """The list of members has no checksum. Dates and rights may change: nobody reads them."""
    arrays = {f"net/{name}": np.full(3, number, np.float32) for number, name in enumerate("abc")}
    content = writers.npz({f"{name}.npy": array for name, array in arrays.items()})
    path, told = tmp_path / "net.npz", 0
    for bit in range(8 * content.index(b"PK\1\2"), 8 * len(content), step):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            found = npz.read(path)
        except InputError:
            told += 1
        else:
            assert found.keys() == arrays.keys(), bit
            assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert told > 500 / step
