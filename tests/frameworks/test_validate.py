"""validate: the port and a frozen graph that TensorFlow executes are the same function, or the first difference is named."""

import json
import os
import subprocess
import sys
from pathlib import Path

import golden_weights as golden
import graphs
import numpy as np
import pytest

from model_ports import checkpoint, registry
from model_ports.convert import sources

pytestmark = pytest.mark.frameworks

ROOT = Path(__file__).parents[2]


def validate(source: Path, *arguments: str, model: str = "mobilenet_v1_025") -> subprocess.CompletedProcess:
    """In a process of its own, so that TensorFlow and precision are those of the command."""
    command = [sys.executable, str(ROOT / "run.py"), "validate", f"--model={model}", f"--source={source}", *arguments]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, cwd=source.parent, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "frozen.pb"
    graphs.mobilenet(path)
    return path


def test_the_port_is_the_original(frozen, tmp_path):
    """In single precision, at the size that the graph asks for, on the test images; the JSON holds what was printed."""
    done = validate(frozen, f"--save={tmp_path / 'report.json'}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same function within tolerance" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["input_size"], report["input"], report["logits"]) == (128, "input:0", "MobilenetV1/Logits/SpatialSqueeze:0")
    assert report["tolerances"] == {"logits": 5e-5, "gradient": 0.25}
    assert report["overall"]["top1_agrees"] == report["overall"]["top5_agreement"] == 1
    assert len(report["images"]) == 2 and report["passed"]


@pytest.mark.parametrize("unrolled", [False, True])
def test_double_precision_leaves_nothing_but_rounding(tmp_path, unrolled):
    graphs.mobilenet(tmp_path / "frozen.pb", unrolled=unrolled)
    done = validate(tmp_path / "frozen.pb", "--float64", "--save=report.json")
    assert done.returncode == 0, done.stdout + done.stderr
    overall = json.loads((tmp_path / "report.json").read_text())["overall"]
    # Unrolled, the epsilons are constants of single precision.
    assert overall["relative_logit_difference"] < (1e-8 if unrolled else 1e-12)
    assert overall["relative_gradient_difference"] < (1e-7 if unrolled else 1e-11)


@pytest.mark.parametrize(
    ("change", "layer", "before"),
    [
        ({"epsilon": 1e-5}, "layers/depthwise_5/norm", "layers/depthwise_5/convolution"),
        ({"epsilon": 1e-5, "unrolled": True}, "layers/depthwise_5/norm", "layers/depthwise_5/convolution"),
        ({"capped": False}, "logits", "layers/pointwise_13/norm"),
    ],
)
def test_the_first_layer_that_differs_is_named(tmp_path, change, layer, before):
    graphs.mobilenet(tmp_path / "frozen.pb", **change)
    done = validate(tmp_path / "frozen.pb", "--save=report.md")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"first layer that differs: {layer}, node " in done.stdout
    assert f"; {before} before it agrees" in done.stdout
    assert "NOT the same function" in (tmp_path / "report.md").read_text()


def test_converted_weights_are_held_against_the_source(frozen, tmp_path):
    """One number of a converted checkpoint is wrong: --weights_dir tells."""
    network = registry.network("mobilenet_v1_025", zoo="imagenet", input_size=128)
    params = sources.parameters(frozen, network)
    checkpoint.save(tmp_path / "mobilenet_v1_025", params, {"model": "mobilenet_v1_025", "zoo": "imagenet"})
    assert validate(frozen, f"--weights_dir={tmp_path}").returncode == 0
    kernel = params["layers"]["pointwise_3"]["convolution"]["kernel"] = params["layers"]["pointwise_3"]["convolution"]["kernel"].copy()
    kernel[0, 0, 0, 0] += 1
    checkpoint.save(tmp_path / "mobilenet_v1_025", params, {"model": "mobilenet_v1_025", "zoo": "imagenet"})
    done = validate(frozen, f"--weights_dir={tmp_path}")
    assert done.returncode == 1 and "differs: layers/pointwise_3/convolution, node " in done.stdout


def test_own_images_at_a_size_that_the_graph_leaves_open(tmp_path):
    graphs.mobilenet(tmp_path / "frozen.pb", size=None)
    np.save(tmp_path / "x.npy", golden.images("smooth", 160) + 0.5)
    done = validate(tmp_path / "frozen.pb", "--images=x.npy", "--input_size=160", "--gradient=1,2", "--save=table.csv")
    assert done.returncode == 0 and "160 pixels; gradient of logit 1 minus logit 2" in done.stdout, done.stdout + done.stderr
    head, *rows = (tmp_path / "table.csv").read_text().splitlines()
    assert head.startswith("image,largest_logit_difference,") and len(rows) == 3 and rows[-1].startswith("overall,")


@pytest.mark.parametrize(("pool_first", "flags"), [(False, []), (False, ["--float64"]), (True, [])])
def test_alexnet_with_groups_and_normalisation(tmp_path, pool_first, flags):
    """A batch of one is fixed in the graph. Another LRN shows at the next convolution."""
    graphs.alexnet(tmp_path / "frozen.pb", alpha=2e-5, pool_first=pool_first)
    done = validate(tmp_path / "frozen.pb", *flags, model="alexnet")
    if not pool_first:
        assert done.returncode == 0 and "Placeholder:0 -> fc8/fc8:0" in done.stdout, done.stdout + done.stderr
    else:
        assert done.returncode == 1 and "first layer that differs: conv2, node BiasAdd_1" in done.stdout, done.stdout + done.stderr


def test_a_graph_that_reads_files_is_not_executed(frozen, tmp_path):
    graphs.mobilenet(tmp_path / "hostile.pb", file_name=str(tmp_path / "secret"))
    done = validate(tmp_path / "hostile.pb", "--save=report.json")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "ReadFile" in line and "nothing was executed" in line
    assert not (tmp_path / "report.json").exists()


def test_input_that_cannot_be_validated(frozen, tmp_path):
    for arguments, model, words in [
        (["--input_size=96"], "mobilenet_v1_025", "takes 128 pixels"),
        ([], "vgg_16", "no operation that makes logits"),
        (["--save=report.txt"], "mobilenet_v1_025", ".csv, .md, .json"),
        (["--gradient=1,2000"], "mobilenet_v1_025", "0..1000"),
    ]:
        done = validate(frozen, *arguments, model=model)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2 and words in line, done.stderr
    np.savez(tmp_path / "weights.npz", a=np.zeros(3, np.float32))
    done = validate(tmp_path / "weights.npz")
    assert done.returncode == 2 and "no graph to execute" in done.stderr
