"""timm's networks with random weights, their state dicts saved by PyTorch and converted: the same
logits from the same picture.
"""

import json
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from converted import spoil

from model_ports import registry
from model_ports.convert import frameworks, same_function, sources, torch_state
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks

SIZE = 139
# A layer, and the one before it.
WRONG = {
    "inception_v4": (
        "layers/mixed_6g/branch_2/conv_0d/convolution",
        "layers/mixed_6g/branch_2/conv_0c/norm",
    )
}


def original(model: str):
    """The network with random weights that keep the size of what passes; gammas too, which the
    original has not.
    """
    torch.manual_seed(1)
    net = frameworks.timm().create_model(model, pretrained=False).eval()
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
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [at, at := at + array.nbytes],
        }
    text = json.dumps(header).encode()
    return (
        struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values())
    )


def test_all_that_are_said_to_be_the_same_are_run():
    same = {
        model
        for model, verdicts in same_function.VERDICTS.items()
        if verdicts["torch"] == same_function.SAME
    }
    assert torch_state.ROWS.keys() == same


@pytest.mark.few(slow=())
@pytest.mark.parametrize("model", torch_state.ROWS)
def test_converted_it_is_the_same_function(tmp_path, command, model):
    """Logits of the 1000 classes to 1e-5, and the input gradient, each with its own preprocessing;
    then a layer of one is wrong.
    """
    torch.save(original(model).state_dict(), tmp_path / "net.pth")
    common = [f"--model={model}", "--source=net.pth", "--weights_dir=converted"]
    status, out, error = command("convert", *common)
    assert status == 0 and f"{model} from net.pth (PyTorch state dict)" in out, error
    common += [f"--input_size={SIZE}", "--save=report.json"]
    status, out, error = command("validate", *common)
    assert status == 0 and "the same function within tolerance" in out, out + error
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["input"] == f"timm's {model}" and report["overall"]["gradient_cosine"] > 0.999

    if model in WRONG:
        path, before = WRONG[model]
        spoil(tmp_path / "converted" / model, f"{path}/kernel")
        status, out, _ = command("validate", *common)
        assert (
            status == 1
            and f"first layer that differs: {path}, node " in out
            and f"; {before} before it agrees" in out
        ), out


def test_double_precision_leaves_nothing_but_rounding(tmp_path, command):
    arrays = {
        name: value.numpy()
        for name, value in original("inception_v4").state_dict().items()
        if value.ndim
    }
    (tmp_path / "net.safetensors").write_bytes(safetensors(arrays))
    status, out, error = command(
        "validate",
        "--model=inception_v4",
        "--source=net.safetensors",
        f"--input_size={SIZE}",
        "--float64",
        "--save=report.json",
    )
    assert status == 0, out + error
    overall = json.loads((tmp_path / "report.json").read_text())["overall"]
    # The port's kernels have taken the gammas of PyTorch's normalisations in single precision.
    assert (
        overall["relative_logit_difference"] < 1e-7
        and overall["relative_gradient_difference"] < 1e-6
    )


def test_every_way_of_saving_gives_the_same_arrays(tmp_path):
    state = original("inception_v4").state_dict()
    torch.save(state, tmp_path / "net.pth")
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in state.items()}},
        tmp_path / "parallel.pth",
    )
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    arrays = {
        name: value.numpy()
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    (tmp_path / "net.safetensors").write_bytes(safetensors(arrays))
    network = registry.network("inception_v4", zoo="imagenet")
    params = sources.parameters(tmp_path / "net.pth", network)
    for name in ("parallel.pth", "old.pt", "net.safetensors"):
        jax.tree.map(
            np.testing.assert_array_equal, params, sources.parameters(tmp_path / name, network)
        )


def state(prefix="", **more) -> dict:
    names = ("features.0.conv.weight", "features.0.bn.weight", "last_linear.bias")
    return {f"{prefix}{name}": torch.full((2,), float(at)) for at, name in enumerate(names)} | more


@pytest.mark.parametrize(
    "saved",
    [
        {"state_dict_ema": state(), "epoch": 3},  # timm's trainer, averages alone
        {"model_ema": state("module."), "args": None},
        {"ema": {"state_dict": state()}},
        {
            "state_dict": state("model."),
            "state_dict_ema": state("model.", extra=torch.zeros(1)),
            "lr": 0.1,
        },  # Lightning's
        state("module.", n_averaged=torch.tensor(7)),  # torch.optim.swa_utils.AveragedModel
        {"model": state("_orig_mod.")},  # torch.compile
    ],
)
def test_trainers_files_and_averages_are_read(tmp_path, saved):
    torch.save(saved, tmp_path / "net.pth")
    arrays = torch_state.without_prefix(sources.read(tmp_path / "net.pth"), "inception_v4")
    assert {name: array.tolist() for name, array in arrays.items()} == {
        name: values.tolist() for name, values in state().items()
    }


def test_a_torchvision_of_another_build_is_not_needed(tmp_path):
    """Its import fails as that of a build for GPUs does beside PyTorch's for CPUs; afterwards
    nothing of the stand-in is left.
    """
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    program = """
import sys
from model_ports.convert import frameworks
assert frameworks.timm().create_model("inception_v4", pretrained=False)
assert not [name for name in sys.modules if name.startswith("torchvision")]
"""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    }
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=600)


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
    torch.save(
        {"a.weight": torch.ones(3), "b": Bomb(target)}, path, _use_new_zipfile_serialization=new
    )
    refusal(path, "not loaded", "run code")
    path.write_bytes(pickle.dumps(Bomb(target)))
    refusal(path, "not loaded", "run code")
    torch.save(
        torch.nn.Linear(2, 3), path
    )  # a whole model, which its own class would have to be called for
    refusal(path, "not loaded", "state_dict()")
    assert not target.exists()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("letter", ["a", "ä"])
def test_a_name_without_end_takes_no_time(tmp_path, new, letter):
    """PyTorch's own message about a name of 15,000 characters takes 6 s, and ten times as long a
    name takes a hundred times as long.
    """
    path, pickled = tmp_path / "m.pth", f"c{letter * 100_000}\nname\n.".encode()
    if new:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02" + pickled)
            archive.writestr("archive/version", b"3\n")
    else:
        path.write_bytes(b"\x80\x02" + pickled)
    began = time.monotonic()
    refusal(path, "not loaded")
    assert time.monotonic() - began < 10


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
