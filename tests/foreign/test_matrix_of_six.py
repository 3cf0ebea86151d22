"""Two networks of the zoo, two of timm, one of Keras and one of ONNX in one transfer matrix, by two
processes, and continued."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import helper, numpy_helper

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.frameworks, pytest.mark.long]
KERAS = """
import sys, keras
keras.utils.set_random_seed(0)
layers = keras.layers
keras.Sequential([
    keras.Input((16, 16, 3)), layers.Conv2D(8, 3, strides=2), layers.BatchNormalization(), layers.ReLU(),
    layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax"),
]).save(sys.argv[1])
"""
FULL = {
    "alexnet": "alexnet",
    "mobilenet_v1_025": "mobilenet_v1_025",
    "timm.test_resnet": "timm:test_resnet",
    "timm.test_vit": "timm:test_vit",
    "keras.mine": "keras:mine.keras",
    "onnx.mine": "onnx:mine.onnx",
}


def environment() -> dict[str, str]:
    variables = os.environ | {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax"}
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return variables


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "jaxadv", "evaluate", *arguments, "--noprogress"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=pipe, stderr=pipe, text=True
    )


def ended(process: subprocess.Popen) -> str:
    out, error = process.communicate()
    assert process.returncode == 0, error[-3000:]
    return out


def write_onnx(path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "k": random.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "w": random.normal(size=(8, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    described = [
        [helper.make_tensor_value_info(name, 1, shape)]
        for name, shape in (("x", ("N", 3, 16, 16)), ("y", ("N", 10)))
    ]
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", *described, stored)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    path.with_suffix(".json").write_text(json.dumps({"mean": [0.5] * 3, "std": [0.25] * 3}))


def test_a_transfer_matrix_of_six(tmp_path):
    made = [sys.executable, "-c", KERAS, str(tmp_path / "mine.keras")]
    subprocess.run(made, env=environment(), check=True, capture_output=True)
    write_onnx(tmp_path / "mine.onnx")
    job = [f"--models={','.join(FULL.values())}", "--nopretrained", "--out=run", "--lanes=4"]
    job += [
        "--input_size=timm:test_resnet=32,timm:test_vit=32",
        "--ensembles=alexnet+timm:test_vit",
    ]
    job += ["--num_images=60", "--attacked_images=2", "--attacks=fgsm", "--targets=untargeted"]
    job += ["--eps=0.1", "--figures=none"]
    for process in [start(tmp_path, *job, "--parts=attacks", "--join") for _ in range(2)]:
        ended(process)
    names = [*FULL, "ensemble.alexnet.timm.test_vit"]
    run = tmp_path / "run"
    assert set(pd.read_parquet(run / "examples").model) == set(names)
    assert not (run / "transfer").exists()
    assert "report:" in ended(start(tmp_path, *job, "--parts=attacks,transfer,report"))
    rows = pd.read_parquet(run / "transfer")
    pairs = set(zip(rows.source, rows.model, strict=True))
    assert pairs >= set(itertools.permutations(FULL, 2))
    told = json.loads((run / "manifest.json").read_text())["weights"]
    for name, full in list(FULL.items())[2:]:
        assert told[name]["full_name"] == full and len(told[name]["sha256"]) == 64
        assert told[name]["proof"]["double"]["logits"] <= 1e-8, told[name]
    assert told["onnx.mine"]["preprocessing"] == {"mean": [0.5] * 3, "std": [0.25] * 3}
    page = (run / "report.html").read_text()
    assert "timm.test_resnet = timm:test_resnet" in page and "made for others" in page
    # another network behind the same name is refused
    (tmp_path / "mine.json").write_text(json.dumps({"mean": 0.4}))
    process = start(tmp_path, *job, "--parts=attacks,transfer,report")
    _, error = process.communicate()
    assert process.returncode == 2 and "weights of onnx.mine" in error, error
