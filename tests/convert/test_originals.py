"""Which graphs are opened for execution: refusals come before TensorFlow is asked for, and without it there is one line."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from writers import node, variable

from model_ports.convert.originals import Original
from model_ports.convert.weight_map import layer_rows
from model_ports.errors import InputError

SPEC = SimpleNamespace(weight_map=layer_rows("fc8", "fc8"))


def graph(*between: bytes, reads: str = "input") -> bytes:
    """A placeholder, whatever comes between, and a last layer that reads `reads`."""
    last = [variable("fc8/weights", np.ones((3, 2), np.float32)), node("logits", "MatMul", reads, "fc8/weights/read")]
    return b"".join([node("input", "Placeholder"), *between, *last])


def refusal(tmp_path, content: bytes, *words: str) -> None:
    (tmp_path / "graph.pb").write_bytes(content)
    with pytest.raises(InputError) as caught:
        Original(tmp_path / "graph.pb", SPEC)
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in words), line


def test_without_tensorflow_one_line_tells_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    refusal(tmp_path, graph(), "not installed", "pip install 'jaxadv[tf]'")


@pytest.mark.parametrize("operation", ["ReadFile", "EagerPyFunc", "SaveV2", "WriteFile"])
def test_operations_that_reach_outside_are_refused_wherever_they_stand(tmp_path, monkeypatch, operation):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    refusal(tmp_path, graph(node("stranger", operation)), repr(operation), "nothing was executed")


@pytest.mark.parametrize("operation", ["StatefulPartitionedCall", "Print", "MyOp"])
def test_what_the_logits_need_is_arithmetic_alone(tmp_path, monkeypatch, operation):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    refusal(tmp_path, graph(node("stranger", operation, "input"), reads="stranger"), repr(operation), "nothing was executed")
    refusal(tmp_path, graph(node("same", "Identity", "input", "^stranger"), node("stranger", operation), reads="same"), repr(operation))


def test_one_placeholder_for_the_images(tmp_path):
    refusal(tmp_path, graph(reads="other"), "0 placeholders")
    more = [node("a", "Placeholder"), node("b", "Placeholder"), node("sum", "Add", "a", "b")]
    refusal(tmp_path, graph(*more, reads="sum"), "2 placeholders", "'a', 'b'")


def test_weights_alone_cannot_be_executed(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.ones(3, np.float32))
    with pytest.raises(InputError, match=r"\.npz\) has weights but no graph"):
        Original(tmp_path / "weights.npz", SPEC)
