"""convert and validate with graphs that TensorFlow executes: the same function, or the first
difference is named.
"""

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
from model_ports.convert.double_graph import widened

pytestmark = pytest.mark.frameworks

ROOT = Path(__file__).parents[2]
MODEL = "--model=mobilenet_v1_025"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "frozen.pb"
    graphs.mobilenet(path)
    return path


def test_the_port_is_the_original(frozen, tmp_path):
    """Runs in a separate process, in single precision, at the graph's size.

    The JSON has what was printed.
    """
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "validate",
        MODEL,
        f"--source={frozen}",
        f"--save={tmp_path / 'report.json'}",
    ]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same function within tolerance" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["input_size"], report["input"], report["logits"]) == (
        128,
        "input:0",
        "MobilenetV1/Logits/SpatialSqueeze:0",
    )
    assert report["tolerances"] == {"logits": 5e-5, "gradient": 0.25}
    assert report["overall"]["top1_agrees"] == report["overall"]["top5_agreement"] == 1
    assert len(report["images"]) == 2 and report["passed"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("frozen.pb", {}),
        ("unrolled.pb", {"unrolled": True}),
        ("first.ckpt", {"version": "V1"}),
        ("second.ckpt", {"version": "V2", "resource": True}),
    ],
)
def test_converted_it_is_the_same_function_in_double_precision(tmp_path, command, name, settings):
    """Frozen, and as checkpoints of both versions, with variables of both kinds, executed from the
    graph beside them.
    """
    graphs.mobilenet(tmp_path / name, **settings)
    common = [MODEL, f"--source={name}", "--weights_dir=converted"]
    assert command("convert", *common)[0] == 0
    status, out, error = command("validate", *common, "--float64", "--save=report.json")
    assert status == 0, out + error
    overall = json.loads((tmp_path / "report.json").read_text())["overall"]
    # Unrolled, the epsilons are constants of single precision.
    assert overall["relative_logit_difference"] < (1e-8 if "unrolled" in settings else 1e-12)
    assert overall["relative_gradient_difference"] < (1e-7 if "unrolled" in settings else 1e-11)


@pytest.mark.parametrize(
    ("name", "change", "layer", "before"),
    [
        (
            "frozen.pb",
            {"epsilon": 1e-5},
            "layers/depthwise_5/norm",
            "layers/depthwise_5/convolution",
        ),
        (
            "frozen.pb",
            {"epsilon": 1e-5, "unrolled": True},
            "layers/depthwise_5/norm",
            "layers/depthwise_5/convolution",
        ),
        ("model.ckpt", {"capped": False}, "logits", "layers/pointwise_13/norm"),
    ],
)
def test_the_first_layer_that_differs_is_named(tmp_path, command, name, change, layer, before):
    graphs.mobilenet(tmp_path / name, **change)
    status, out, error = command("validate", MODEL, f"--source={name}", "--save=report.md")
    assert status == 1, out + error
    assert f"first layer that differs: {layer}, node " in out
    assert f"; {before} before it agrees" in out
    assert "NOT the same function" in (tmp_path / "report.md").read_text()


def test_converted_weights_are_held_against_the_source(frozen, tmp_path, command):
    """One number of a converted checkpoint is wrong: --weights_dir tells."""
    network = registry.network("mobilenet_v1_025", zoo="imagenet", input_size=128)
    params = sources.parameters(frozen, network)
    kernel = params["layers"]["pointwise_3"]["convolution"]["kernel"] = params["layers"][
        "pointwise_3"
    ]["convolution"]["kernel"].copy()
    kernel[0, 0, 0, 0] += 1
    checkpoint.save(
        tmp_path / "mobilenet_v1_025", params, {"model": "mobilenet_v1_025", "zoo": "imagenet"}
    )
    status, out, _ = command("validate", MODEL, f"--source={frozen}", f"--weights_dir={tmp_path}")
    assert status == 1 and "differs: layers/pointwise_3/convolution, node " in out


def test_own_images_at_a_size_that_the_graph_leaves_open(tmp_path, command):
    graphs.mobilenet(tmp_path / "frozen.pb", size=None)
    np.save(tmp_path / "x.npy", golden.images("smooth", 160) + 0.5)
    settings = ["--images=x.npy", "--input_size=160", "--gradient=1,2", "--save=table.csv"]
    status, out, error = command("validate", MODEL, "--source=frozen.pb", *settings)
    assert status == 0 and "160 pixels; gradient of logit 1 minus logit 2" in out, out + error
    head, *rows = (tmp_path / "table.csv").read_text().splitlines()
    assert (
        head.startswith("image,largest_logit_difference,")
        and len(rows) == 3
        and rows[-1].startswith("overall,")
    )


def test_alexnet_with_groups_and_normalisation(tmp_path, command):
    """A batch of one is fixed in the graph.

    It pools first, as until 2017-08, which shows at the next convolution.
    """
    graphs.alexnet(tmp_path / "frozen.pb", alpha=2e-5, pool_first=True)
    status, out, error = command(
        "validate", "--model=alexnet", "--source=frozen.pb", "--alexnet_lrn=2017-08"
    )
    assert status == 0 and "Placeholder:0 -> fc8/fc8:0" in out, out + error
    status, out, error = command("validate", "--model=alexnet", "--source=frozen.pb")
    assert status == 1 and "first layer that differs: conv2, node BiasAdd_1" in out, out + error
    (tmp_path / "frozen.pb").unlink()  # a quarter of a gigabyte


def test_local_response_normalisation_in_double_precision():
    """TensorFlow has none: the one that is written out is the same, and exact."""
    import tensorflow

    tf = tensorflow.compat.v1
    x = np.random.default_rng(3).uniform(-9, 9, (2, 4, 4, 7))
    with tf.Graph().as_default() as graph:
        tf.nn.lrn(tf.placeholder(tf.float32, x.shape, "x"), 2, 1.0, 2e-3, 0.75, name="normalised")
    found = {}
    for kind, definition in (
        ("float32", graph.as_graph_def()),
        ("float64", widened(graph.as_graph_def())),
    ):
        with tf.Graph().as_default() as copy, tf.Session() as session:
            tf.import_graph_def(definition, name="")
            output = copy.get_tensor_by_name("normalised:0")
            [gradient] = tf.gradients(output, copy.get_tensor_by_name("x:0"))
            found[kind] = session.run([output, gradient], {"x:0": x})
    for single, double in zip(found["float32"], found["float64"], strict=True):
        assert double.dtype == np.float64
        np.testing.assert_allclose(
            single, double, rtol=1e-4, atol=1e-5
        )  # TensorFlow's own is of single precision
    padded = np.pad(x**2, [(0, 0)] * 3 + [(2, 2)])
    window = sum(padded[..., start : start + 7] for start in range(5))
    np.testing.assert_allclose(found["float64"][0], x / (1 + 2e-3 * window) ** 0.75, rtol=1e-13)


def test_a_graph_that_reads_files_is_not_executed(tmp_path, command):
    for name in ("hostile.pb", "hostile.ckpt"):
        graphs.mobilenet(tmp_path / name, file_name=str(tmp_path / "secret"))
        status, _, error = command("validate", MODEL, f"--source={name}", "--save=report.json")
        (line,) = error.splitlines()
        assert (
            status == 2
            and ("ReadFile" in line or "StringToNumber" in line)
            and "nothing was executed" in line
        )
        assert not (tmp_path / "report.json").exists()


def test_a_checkpoint_that_cannot_be_executed(tmp_path, command):
    """Without its graph, with the graph of a training, and with a graph of other variables."""
    graphs.mobilenet(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.meta").rename(tmp_path / "away.meta")
    graphs.mobilenet(tmp_path / "trained.ckpt", training=True)
    for name, words in (
        ("model.ckpt", "put its .meta beside it"),
        ("trained.ckpt", "normalises by the batch"),
    ):
        status, _, error = command("validate", MODEL, f"--source={name}")
        (line,) = error.splitlines()
        assert status == 2 and words in line, line
    (tmp_path / "model.ckpt.meta").write_bytes(
        (tmp_path / "away.meta").read_bytes().replace(b"Conv2d_0/weights", b"Conv2d_0/weightz")
    )
    status, _, error = command("validate", MODEL, "--source=model.ckpt")
    (line,) = error.splitlines()
    assert status == 2 and "weightz" in line, line


def test_input_that_cannot_be_validated(frozen, tmp_path, command):
    np.savez(tmp_path / "weights.npz", a=np.zeros(3, np.float32))
    for arguments, words in [
        ([MODEL, f"--source={frozen}", "--input_size=96"], "takes 128 pixels"),
        (["--model=vgg_16", f"--source={frozen}"], "no operation that makes logits"),
        ([MODEL, f"--source={frozen}", "--save=report.txt"], ".csv, .md, .json"),
        ([MODEL, f"--source={frozen}", "--gradient=1,2000"], "0..1000"),
        ([MODEL, f"--source={frozen}", "--alexnet_lrn=2017-08"], "no variant of mobilenet_v1_025"),
        ([MODEL, "--source=weights.npz"], "no graph to execute"),
    ]:
        status, _, error = command("validate", *arguments)
        (line,) = error.splitlines()
        assert status == 2 and words in line, error
