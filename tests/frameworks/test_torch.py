"""timm's networks with random weights, their state dicts saved by PyTorch and converted: the same logits from the same picture."""

import json
import pickle
import struct
import sys
import types

import jax
import numpy as np
import pytest
import torch

from model_ports import registry
from model_ports.convert import sources, torch_state
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks

SIZE = 139


class Anything(type):
    """A class whose every attribute is another such class."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class Stand(types.ModuleType):
    """A module of such classes."""

    __path__: list = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Anything(name, (), {}))
        return getattr(self, name)


@pytest.fixture(scope="module")
def timm():
    """timm with a stand-in for torchvision, of which it wants transforms and data sets, and these networks nothing.

    So any build of PyTorch will do, where torchvision must be of the very same.
    """
    parts = ("ops", "ops.misc", "models", "models.feature_extraction", "transforms", "transforms.functional", "datasets", "utils")
    names = ["torchvision", *(f"torchvision.{part}" for part in parts)]
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setitem(sys.modules, name, Stand(name))
            if "." in name:
                above, _, last = name.rpartition(".")
                setattr(sys.modules[above], last, sys.modules[name])
        import timm

        yield timm


def original(timm, model: str):
    """The network with random weights that keep the size of what passes; gammas too, which the original has not."""
    torch.manual_seed(1)
    net = timm.create_model(model, pretrained=False).eval()
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.2)
                part.running_var.uniform_(0.6, 1.4)
                part.weight.uniform_(0.6, 1.4)
                part.bias.normal_(0, 0.2)
            elif isinstance(part, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(part.weight)
    return net


def safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at := at + array.nbytes]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values())


@pytest.mark.parametrize("model", torch_state.ROWS)
def test_the_same_function(timm, tmp_path, model):
    net = original(timm, model)
    network = registry.network(model, zoo="imagenet", input_size=SIZE)
    images = np.random.default_rng(2).uniform(size=(1, SIZE, SIZE, 3)).astype(np.float32)
    mean, std = (torch.tensor(net.default_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = net((torch.from_numpy(images).permute(0, 3, 1, 2) - mean) / std).numpy()
    state = net.state_dict()
    torch.save(state, tmp_path / "net.pth")
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "parallel.pth")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    arrays = {name: value.numpy() for name, value in state.items() if not name.endswith("num_batches_tracked")}
    (tmp_path / "net.safetensors").write_bytes(safetensors(arrays))
    params = sources.parameters(tmp_path / "net.pth", network)
    with jax.default_matmul_precision("highest"):
        logits = np.asarray(jax.jit(network.apply)(params, images))
    assert np.linalg.norm(logits[:, 1:] - expected) < 1e-5 * np.linalg.norm(expected)
    np.testing.assert_allclose(logits[:, 0], expected.mean(1), atol=1e-5 * np.abs(expected).max())
    for name in ("parallel.pth", "old.pt", "net.safetensors"):
        jax.tree.map(np.testing.assert_array_equal, params, sources.parameters(tmp_path / name, network))


def refusal(path, *words: str, limit: int = 2**24) -> None:
    with pytest.raises(InputError) as caught:
        sources.read(path, limit=limit)
    line = str(caught.value)
    assert path.name in line and "\n" not in line and all(word in line for word in words), line


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.parametrize("new", [True, False])
def test_what_would_run_code_is_not_loaded(tmp_path, new):
    path, target = tmp_path / "m.pth", tmp_path / "made"
    torch.save({"a.weight": torch.ones(3), "b": Bomb(target)}, path, _use_new_zipfile_serialization=new)
    refusal(path, "not loaded", "run code")
    path.write_bytes(pickle.dumps(Bomb(target)))
    refusal(path, "not loaded", "run code")
    torch.save(torch.nn.Linear(2, 3), path)  # a whole model, which its own class would have to be called for
    refusal(path, "not loaded", "state_dict()")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(3)], ["no state dict"]),
        ({}, ["no weights"]),
        ({"a.weight": 3}, ["no plain tensor"]),
        ({"a.weight": torch.ones(3).to_sparse()}, ["no plain tensor"]),
        ({"a.weight": torch.ones(3, device="meta")}, ["m.pth"]),
        ({"a.weight": torch.ones(1).expand(2**40)}, ["larger than"]),
        ({"a.weight": torch.ones(3, dtype=torch.float16)}, ["half precision"]),
        ({"a.weight": torch.ones(3, dtype=torch.bfloat16)}, ["bfloat16"]),
        ({"a.weight": torch.ones(3, dtype=torch.int8)}, ["int8"]),
        ({"a.weight": torch.tensor([1.0, torch.nan])}, ["NaN"]),
    ],
)
def test_what_is_no_state_dict(tmp_path, content, words):
    torch.save(content, tmp_path / "m.pth")
    refusal(tmp_path / "m.pth", *words)


def test_cut_short_and_too_large(tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"a.weight": torch.ones(9999)}, path)
    path.write_bytes(path.read_bytes()[:-1000])
    refusal(path, "damaged")
    torch.save({"a.weight": torch.ones(2**23)}, path)
    refusal(path, "larger than", limit=2**20)
