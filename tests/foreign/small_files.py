"""Small networks of random weights as files: `python small_files.py keras FILE.keras`, or onnx
FILE.onnx. Images have 16 pixels, and there are 10 classes."""

import json
import sys
from pathlib import Path

import numpy as np

SIZE, CLASSES = 16, 10


def write_keras(path: Path) -> None:
    """With a softmax at its end."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [
        keras.Input((SIZE, SIZE, 3)),
        layers.Conv2D(8, 3, strides=2),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(CLASSES, activation="softmax"),
    ]
    keras.Sequential(parts).save(path)


def write_onnx(path: Path) -> None:
    """With its normalisation in a .json beside it."""
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    arrays = {
        "k": random.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "w": random.normal(size=(8, CLASSES)).astype(np.float32),
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
        for name, shape in (("x", ("N", 3, SIZE, SIZE)), ("y", ("N", CLASSES)))
    ]
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", *described, stored)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    path.with_suffix(".json").write_text(json.dumps({"mean": [0.5] * 3, "std": [0.25] * 3}))


if __name__ == "__main__":
    {"keras": write_keras, "onnx": write_onnx}[sys.argv[1]](Path(sys.argv[2]))
