"""ONNX files as classifiers: networks as PyTorch exports them and in the form of tf2onnx, attacked
and proven, and one line for what is not read."""

import numpy as np
import onnx
import pytest
import torch
from exported import export
from onnx import helper, numpy_helper
from small_network import small
from torch import nn

import jaxadv
from jaxadv.foreign import trust
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks
SIZE = 16


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(count, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize(("opset", "new"), [(11, False), (13, False), (17, False), (18, True)])
def test_a_network_that_pytorch_exports_is_proven_and_attacked(tmp_path, opset, new, capfd):
    module, path = small(), tmp_path / "my-net.onnx"
    export(module, path, SIZE, opset=opset, new=new)
    classifier = jaxadv.from_onnx(path, mean=0.5, std=0.25)
    proof = classifier.facts["proof"]
    assert classifier.name == "my_net" and classifier.input_size == SIZE
    assert proof["double"]["logits"] < trust.DOUBLE and proof["single"]["logits"] < trust.SINGLE
    pixels = torch.from_numpy(images()).requires_grad_()
    logits = module(((pixels - 0.5) / 0.25).permute(0, 3, 1, 2))
    [gradient] = torch.autograd.grad(logits[:, 3].sum(), pixels)
    answer = classifier.logits_and_gradient(images(), np.tile(np.eye(10)[3], (3, 1)))
    np.testing.assert_allclose(answer.logits, logits.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer.gradient, gradient, rtol=1e-3, atol=1e-5)
    labels = classifier.predict(images())
    result = jaxadv.run_attack(classifier, jaxadv.FGSM(eps=0.1), images(), labels, lanes=2)
    assert result.success.any()


def test_a_fixed_batch_of_one_is_run_one_by_one(tmp_path, capfd):
    class Fixed(nn.Module):
        def forward(self, pixels):
            return pixels.reshape(1, 3, -1).mean(2)

    export(Fixed(), tmp_path / "one.onnx", SIZE, opset=17, new=False, any_batch=False)
    classifier = jaxadv.from_onnx(tmp_path / "one.onnx")
    np.testing.assert_allclose(classifier.logits(images()), images().mean((1, 2)), rtol=1e-5)


# --- files that are written here ---------------------------------------------


def write(path, nodes, arrays=(), *, shape=("N", 3, SIZE, SIZE), opset=17, outputs=("y",), kind=1):
    """A file of these nodes from "x" to "y"."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, ("N", "K")) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(arrays).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def node(kind, *names, **attributes):
    *inputs, output = names
    return helper.make_node(kind, inputs, [output], **attributes)


def test_channels_last_with_a_softmax_as_tf2onnx_writes_it(tmp_path):
    """Images (N, S, S, 3), transposed for each convolution and back, padded as TensorFlow does."""
    random = np.random.default_rng(0)
    arrays = {
        "kernel": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "matrix": random.normal(size=(4, 5)).astype(np.float32),
        "axes": np.array([1, 2], np.int64),
    }
    nodes = [
        node("Transpose", "x", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first", "kernel", "conv", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Transpose", "conv", "last", perm=[0, 2, 3, 1]),
        node("Clip", "last", "", "", "open"),
        node("Relu", "open", "relu"),
        node("ReduceMean", "relu", "pooled", axes=[1, 2], keepdims=0),
        node("MatMul", "pooled", "matrix", "logits"),
        node("Softmax", "logits", "y"),
    ]
    path = write(tmp_path / "tf.onnx", nodes, arrays, shape=("N", SIZE, SIZE, 3), opset=13)
    classifier = jaxadv.from_onnx(path)
    assert classifier.facts["without_softmax"]
    proof = classifier.facts["proof"]
    assert proof["double"]["logits"] < trust.DOUBLE and proof["single"]["logits"] < trust.SINGLE
    assert float(np.abs(np.asarray(classifier.logits(images())).sum(1) - 1).min()) > 1e-3


def test_what_is_single_within_is_proven_in_double(tmp_path):
    """Normalisation that has its own type within, and constants of a function of the file."""
    third = helper.make_function(
        "own",
        "Third",
        ["a"],
        ["b"],
        [
            helper.make_node("Constant", [], ["c"], value_float=1 / 3),
            helper.make_node("Mul", ["a", "c"], ["d"]),
            helper.make_node("Cast", ["d"], ["b"], to=onnx.TensorProto.FLOAT),
        ],
        [helper.make_opsetid("", 21)],
    )
    ones = np.ones(3, np.float32)
    nodes = [
        node("GroupNormalization", "x", "s", "s", "n", num_groups=3, epsilon=0.1),
        helper.make_node("Third", ["n"], ["t"], domain="own"),
        node("Mul", "t", "x", "p"),
        node("GlobalAveragePool", "p", "a"),
        node("Flatten", "a", "y"),
    ]
    path = write(tmp_path / "mine.onnx", nodes, {"s": ones}, opset=21)
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(third)
    onnx.save(model, path)
    assert jaxadv.from_onnx(path).facts["proof"]["double"]["logits"] < 1e-12


def test_the_fingerprint_follows_weights_constants_and_normalisation(tmp_path):
    def sha256(factor=2.0, scale=1.0, **settings):
        arrays = {
            "f": np.float32(factor),
            "w": scale * np.ones((3, 4), np.float32),
        }
        nodes = [
            node("GlobalAveragePool", "x", "a"),
            node("Flatten", "a", "b"),
            node("Mul", "b", "f", "c"),
            node("MatMul", "c", "w", "y"),
        ]
        path = write(tmp_path / "a.onnx", nodes, arrays)
        return jaxadv.from_onnx(path, prove=False, **settings).facts["sha256"]

    assert sha256() == sha256()
    assert len({sha256(), sha256(factor=3.0), sha256(scale=2.0), sha256(mean=0.5)}) == 4


MEANS = [node("GlobalAveragePool", "x", "a"), node("Flatten", "a", "y")]
REFUSED = {
    "unknown": ([node("Hardmax", "x", "a"), *MEANS[1:]], {}, ["operator Hardmax", "is not read"]),
    "random": (
        [node("RandomNormalLike", "x", "a"), *MEANS[1:]],
        {},
        ["RandomNormalLike", "random"],
    ),
    "quantised": (
        [node("QuantizeLinear", "x", "s", "q"), node("DequantizeLinear", "q", "s", "y")],
        {"arrays": {"s": np.float32(0.1)}},
        ["quantised"],
    ),
    "batch": (MEANS, {"shape": (4, 3, SIZE, SIZE)}, ["4 images at once"]),
    "grey": (MEANS, {"shape": ("N", 1, SIZE, SIZE)}, ["(?, 1, 16, 16)"]),
    "oblong": (MEANS, {"shape": ("N", 3, SIZE, 20)}, ["square"]),
    "half": (MEANS, {"kind": onnx.TensorProto.FLOAT16}, ["float32"]),
    "size": (MEANS, {"shape": ("N", 3, "h", "w")}, ["input_size is not given"]),
    "two": ([*MEANS, node("Relu", "y", "z")], {"outputs": ("y", "z")}, ["2 arrays (y, z)"]),
    "rank": (MEANS[:1], {"outputs": ("a",)}, ["shape (2, 3, 1, 1)"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_read_is_one_line(tmp_path, what):
    nodes, settings, words = REFUSED[what]
    path = write(tmp_path / "mine.onnx", nodes, **settings)
    with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
        jaxadv.from_onnx(path)
    assert all(word in str(error.value) for word in ["mine", *words]), error.value


def test_training_mode_and_files_that_are_none(tmp_path):
    arrays = {"r": np.float32(0.5), "t": np.array(True)}
    nodes = [
        helper.make_node("Dropout", ["x", "r", "t"], ["d"]),
        node("GlobalAveragePool", "d", "a"),
        node("Flatten", "a", "y"),
    ]
    path = write(tmp_path / "mine.onnx", nodes, arrays)
    with pytest.raises(InputError, match="operator Dropout .* training mode"):
        jaxadv.from_onnx(path)
    with pytest.raises(InputError, match="there is no file"):
        jaxadv.from_onnx(tmp_path / "no.onnx")
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match="is no ONNX file that can be read"):
        jaxadv.from_onnx(path)
    write(path, MEANS)
    with pytest.raises(InputError, match="input_size is 20, and mine takes 16 pixels"):
        jaxadv.from_onnx(path, input_size=20)
