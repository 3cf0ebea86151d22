"""What the pages show of PyTorch runs; a module stands beside the zoo's in one run."""

import enum
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from absl.testing import flagsaver

import jaxadv
from jaxadv.commands import cli
from jaxadv.data import digits
from jaxadv.evaluation import networks, own_models
from jaxadv.foreign import trust
from model_ports.errors import InputError

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "docs"))
pytestmark = pytest.mark.frameworks


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch.onnx.export itself
def test_blocks_of_the_pages_that_need_a_framework_run(tmp_path, monkeypatch):
    from test_documentation import ALL

    monkeypatch.chdir(tmp_path)
    names: dict = {"jaxadv": jaxadv, "np": np}
    found = [block for block in ALL if block.mark == "needs: frameworks"]
    for block in found:
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    assert found and names["classifier"].name == "mine_in_torch"
    assert names["from_file"].facts["proof"]


def test_the_example_of_onnx_knows_most_digits():
    place = f"{ROOT / 'flags/own_models/onnx_file.py'}:perceptron"
    ((classifier, facts),) = own_models.load([place], reserved=()).values()
    data = digits.load("test", classifier.input_size)
    assert (classifier.predict(data.images) == data.labels).mean() > 0.8
    assert facts["proof"]["double"]["logits"] <= trust.DOUBLE


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("3", ["own.py:5", "int", "torch.nn.Module"]),
        ("(network, {'size': 3})", ["'size'", "input_size, mean"]),
        ("network", ["own.py:5", "input_size is not given"]),
        ("network.train()", ["own.py:5", "training mode"]),
    ],
)
def test_a_function_that_gives_no_fit_module_is_one_line(tmp_path, made, words):
    body = "import torch\n\nnetwork = torch.nn.Flatten().eval()\n\n"
    (tmp_path / "own.py").write_text(f"{body}def make():\n    return {made}\n")
    with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
        networks.choose([f"torch:{tmp_path / 'own.py'}:make"], networks.Zoo())
    assert all(word in str(error.value) for word in words), error.value


def test_networks_that_a_library_does_not_know_or_cannot_fetch(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for full, words in (
        ("timm:resnet81", ["'timm:resnet81'", "did you mean", "timm.list_models()"]),
        ("timm:test_resnet.nowhere", ["timm:test_resnet.nowhere", "--nopretrained"]),
    ):
        with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
            networks.choose([full], networks.Zoo())
        assert all(word in str(error.value) for word in words), error.value


class Threat(enum.Enum):
    """As RobustBench names data sets and threats."""

    CIFAR = "cifar10"
    LINF = "Linf"


def test_a_network_of_robustbench(monkeypatch):
    """Made here in the form of that package, which wants an old timm: its own would fetch
    weights.
    """
    asked = {}

    def load_model(**given):
        asked.update(given)
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))

    zoo = types.SimpleNamespace(model_dicts={Threat.CIFAR: {Threat.LINF: {"Some2020Net": {}}}})
    for name, module in (
        ("robustbench", types.ModuleType("robustbench")),
        ("robustbench.model_zoo", types.ModuleType("robustbench.model_zoo")),
        ("robustbench.model_zoo.models", zoo),
        ("robustbench.utils", types.SimpleNamespace(load_model=load_model)),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    entries = networks.choose(["robustbench:Some2020Net"], networks.Zoo())
    entry = entries["robustbench.Some2020Net"]
    assert (entry.input_size, entry.num_classes) == (32, 10)
    assert asked == {"model_name": "Some2020Net", "dataset": "cifar10", "threat_model": "Linf"}
    for full, pretrained, words in (
        ("robustbench:Some2021Net", True, "did you mean some2020net"),
        ("robustbench:cifar11/Linf/Some2020Net", True, "did you mean 'cifar10/Linf'"),
        ("robustbench:Some2020Net", False, "leave --nopretrained out"),
    ):
        with pytest.raises(InputError, match=words):
            networks.choose([full], networks.Zoo(pretrained=pretrained))


def test_fresh_weights_are_the_same_in_every_process_and_fit_the_data():
    zoo = networks.Zoo(pretrained=False, input_sizes={"timm:test_resnet": 32})
    first, second = (
        networks.choose(["timm:test_resnet"], zoo, num_classes=7)["timm.test_resnet"]
        for _ in range(2)
    )
    assert first.facts["sha256"] == second.facts["sha256"]
    assert (first.num_classes, first.input_size) == (7, 32)
    assert first.facts["pictures"]["interpolation"] and "published" not in first.facts


def test_a_module_of_torch_beside_the_zoo_and_again(tmp_path, capsys):
    """Continued with the same command, nothing is left to do."""
    module = ROOT / "flags/own_models/torch_module.py"
    flags = [f"--models=mobilenet_v1_025,torch:{module}:module", "--num_images=20"]
    flags += [f"--model_module={module}:convolutional", "--lanes=4", "--attacked_images=2"]
    flags += [
        "--parts=attacks,transfer,report",
        "--attacks=fgsm",
        "--eps=0.1",
        "--targets=untargeted",
    ]
    flags += ["--figures=none", "--noprogress", f"--out={tmp_path / 'run'}"]
    for _ in range(2):
        with flagsaver.flagsaver():
            cli.main(cli.parse(["run.py", "evaluate", *flags]))
    assert "nothing is left to do" in capsys.readouterr().out
    rows = pd.read_parquet(tmp_path / "run" / "transfer")
    assert set(rows.source) | set(rows.model) == {
        "mobilenet_v1_025",
        "torch.module",
        "own_torch",
    }
