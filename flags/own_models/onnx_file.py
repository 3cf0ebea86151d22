"""A classifier of your own in an ONNX file (``pip install 'jaxadv[onnx]'``): here a small one that is written first.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/onnx_file.py:perceptron --out=results/mine

A file needs no function: ``--models=onnx:mine.onnx``. See pure_jax.py for what a classifier is.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from fitted_to_digits import last_layer
from onnx import helper, numpy_helper

import jaxadv

SIZE, HIDDEN = 16, 400


def written(path):
    """What another program would have written: images (N, 3, S, S) to logits, by one hidden layer."""
    inner = np.random.default_rng(0).normal(scale=0.05, size=(3 * SIZE**2, HIDDEN))
    inner = inner.astype(np.float32)

    def hidden(images):
        flat = (images / 0.5).transpose(0, 3, 1, 2).reshape(len(images), -1)
        return jax.nn.relu(jnp.asarray(flat) @ inner)

    weights, bias = last_layer(hidden, SIZE)
    arrays = {"inner": inner, "weights": np.asarray(weights), "bias": np.asarray(bias)}
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "inner"], ["product"]),
        helper.make_node("Relu", ["product"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "weights", "bias"], ["logits"]),
    ]
    number = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("images", number, ("N", 3, SIZE, SIZE))],
        [helper.make_tensor_value_info("logits", number, ("N", 10))],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def perceptron():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.onnx"
        written(path)
        return jaxadv.from_onnx(path, std=0.5, name="own_onnx")
