"""The layers of a port in a graph made by hand: found by their weights, in every way that
convolutions and norms are exported.
"""

import numpy as np
import pytest
from writers import node, variable

from model_ports.convert import frozen_graph, graph_layers
from model_ports.errors import InputError
from model_ports.weight_map import batch_norm_rows, layer_rows

MAP = (*layer_rows(r"(conv\d|fc8)", r"\1"), *batch_norm_rows(r"(conv\d)/BatchNorm", r"\1/norm"))
ONES = np.ones(4, np.float32)


def layers(tmp_path, *parts: bytes) -> graph_layers.Layers:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"".join(parts))
    return graph_layers.find(frozen_graph.nodes(frozen_graph.content(path)), MAP, "graph.pb")


def last(reads: str) -> list[bytes]:
    """A last layer without bias, squeezed, with a softmax behind it."""
    return [
        variable("fc8/weights", ONES),
        node("product", "MatMul", reads, "fc8/weights/read"),
        node("squeezed", "Squeeze", "product"),
        node("softmax", "Softmax", "squeezed"),
    ]


def test_logits_are_squeezed_but_not_made_probabilities(tmp_path):
    found = layers(
        tmp_path, node("input", "Placeholder"), *last("input"), node("unused", "Relu", "input")
    )
    assert found.logits == "squeezed" and found.of_port == {"fc8": "product"}
    assert found.order.index("input") < found.order.index("product") and not {
        "unused",
        "softmax",
    } & {*found.order}


def test_a_convolution_ends_with_its_bias(tmp_path):
    parts = [
        variable("conv1/weights", ONES),
        variable("conv1/biases", ONES),
        node("input", "Placeholder"),
    ]
    parts += [
        node("a", "Conv2D", "input", "conv1/weights/read"),
        node("b", "BiasAdd", "a", "conv1/biases/read"),
    ]
    assert layers(tmp_path, *parts, *last("b")).of_port == {"conv1": "b", "fc8": "product"}


def test_a_convolution_in_groups_is_found_joined(tmp_path):
    parts = [
        variable("conv2/weights", ONES),
        variable("conv2/biases", ONES),
        node("input", "Placeholder"),
    ]
    parts += [
        node("kernels", "Split", "axis", "conv2/weights/read"),
        node("images", "Split", "axis", "input"),
    ]
    parts += [
        node("a", "Conv2D", "images", "kernels"),
        node("b", "Conv2D", "images:1", "kernels:1"),
    ]
    parts += [
        node("c", "ConcatV2", "a", "b", "axis"),
        node("d", "BiasAdd", "c", "conv2/biases/read"),
    ]
    assert layers(tmp_path, *parts, *last("d")).of_port == {"conv2": "d", "fc8": "product"}


@pytest.mark.parametrize("gamma", [True, False])
def test_a_normalisation_unrolled_is_found_at_its_end(tmp_path, gamma):
    scope = "conv1/BatchNorm"
    names = ["beta", "moving_mean", "moving_variance", *["gamma"] * gamma]
    parts = [node("input", "Placeholder"), *(variable(f"{scope}/{name}", ONES) for name in names)]
    parts += [
        node("add", "Add", f"{scope}/moving_variance/read", "epsilon"),
        node("root", "Rsqrt", "add"),
    ]
    parts += [node("mul", "Mul", "root", f"{scope}/gamma/read")] * gamma
    factor = "mul" if gamma else "root"
    parts += [
        node("scaled", "Mul", "input", factor),
        node("moved", "Mul", f"{scope}/moving_mean/read", factor),
    ]
    parts += [
        node("shift", "Sub", f"{scope}/beta/read", "moved"),
        node("end", "Add", "scaled", "shift"),
    ]
    assert layers(tmp_path, *parts, *last("end")).of_port == {"conv1/norm": "end", "fc8": "product"}


def test_a_normalisation_in_one_is_found(tmp_path):
    inputs = [
        "input",
        *(
            f"conv1/BatchNorm/{name}/read"
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        ),
    ]
    parts = [
        node("input", "Placeholder"),
        *(variable(name.removesuffix("/read"), ONES) for name in inputs[1:]),
    ]
    parts += [node("norm", "FusedBatchNorm", *inputs)]
    assert layers(tmp_path, *parts, *last("norm")).of_port == {
        "conv1/norm": "norm",
        "fc8": "product",
    }


def test_a_graph_without_the_last_layer_is_refused(tmp_path):
    with pytest.raises(InputError, match="graph.pb has no operation that makes logits"):
        layers(tmp_path, node("input", "Placeholder"), variable("other/weights", ONES))
