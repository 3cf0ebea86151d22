"""Which graphs are opened for execution: refusals come before TensorFlow is asked for, and without
it there is one line.
"""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from writers import bundle, field, node, variable

from jaxadv.validation.validate import open_original
from model_ports.convert import frameworks
from model_ports.convert.originals import Original
from model_ports.errors import InputError
from model_ports.weight_map import layer_rows

SPEC = SimpleNamespace(weight_map=layer_rows("fc8", "fc8"))


def graph(*between: bytes, reads: str = "input") -> bytes:
    """A placeholder, whatever comes between, and a last layer that reads `reads`."""
    last = [
        variable("fc8/weights", np.ones((3, 2), np.float32)),
        node("logits", "MatMul", reads, "fc8/weights/read"),
    ]
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
def test_operations_that_reach_outside_are_refused_wherever_they_stand(
    tmp_path, monkeypatch, operation
):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    refusal(tmp_path, graph(node("stranger", operation)), repr(operation), "nothing was executed")


@pytest.mark.parametrize("operation", ["StatefulPartitionedCall", "Print", "MyOp"])
def test_what_the_logits_need_is_arithmetic_alone(tmp_path, monkeypatch, operation):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    refusal(
        tmp_path,
        graph(node("stranger", operation, "input"), reads="stranger"),
        repr(operation),
        "nothing was executed",
    )
    refusal(
        tmp_path,
        graph(
            node("same", "Identity", "input", "^stranger"),
            node("stranger", operation),
            reads="same",
        ),
        repr(operation),
    )


def test_one_placeholder_for_the_images(tmp_path):
    refusal(tmp_path, graph(reads="other"), "0 placeholders")
    more = [node("a", "Placeholder"), node("b", "Placeholder"), node("sum", "Add", "a", "b")]
    refusal(tmp_path, graph(*more, reads="sum"), "2 placeholders", "'a', 'b'")


def test_weights_alone_cannot_be_executed(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.ones(3, np.float32))
    with pytest.raises(InputError, match=r"\.npz\) has weights but no graph"):
        open_original(tmp_path / "weights.npz", SPEC, size=None, double=False)


class TestCheckpoints:
    """A checkpoint's graph is that of its .meta, with our reader's arrays in place of variables."""

    @pytest.fixture
    def prefix(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        index, data = bundle({"fc8/weights": np.ones((3, 2), np.float32)})
        (tmp_path / "model.ckpt.index").write_bytes(index)
        (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(data)
        return tmp_path / "model.ckpt"

    def refusal(self, prefix, meta: bytes | None, *words: str) -> None:
        if meta is not None:
            prefix.with_name("model.ckpt.meta").write_bytes(meta)
        with pytest.raises(InputError) as caught:
            open_original(prefix, SPEC, size=None, double=False)
        line = str(caught.value)
        assert "\n" not in line and all(word in line for word in words), line

    def test_without_a_graph(self, prefix):
        self.refusal(prefix, None, "model.ckpt", "put its .meta beside it")
        self.refusal(prefix, field(1, b""), "model.ckpt.meta has no graph")
        self.refusal(prefix, b"\x0a\xff", "model.ckpt.meta cannot be read")
        self.refusal(prefix, field(2, b"\x0a\xff"), "cut short")

    @pytest.mark.parametrize(
        ("variable", "reading"), [("VariableV2", "Identity"), ("VarHandleOp", "ReadVariableOp")]
    )
    def test_variables_of_both_kinds_are_found(self, prefix, variable, reading):
        """What saves and restores is no hindrance, nor is what only training needs, unless the
        logits need it.
        """
        for reads, words in (("input", "not installed"), ("file", "'ReadFile'")):
            parts = [
                node("input", "Placeholder"),
                node("fc8/weights", variable),
                node("fc8/weights/read", reading, "fc8/weights"),
            ]
            parts += [
                node("logits", "MatMul", reads, "fc8/weights/read"),
                node("file", "ReadFile"),
                node("save/RestoreV2", "RestoreV2"),
            ]
            self.refusal(prefix, field(2, b"".join(parts)), words)


@pytest.mark.parametrize(
    ("framework", "load", "extra"),
    [
        ("tensorflow", frameworks.keras, "jaxadv[tf]"),
        ("torch", frameworks.timm, "jaxadv[torch]"),
    ],
)
def test_a_missing_framework_names_its_extra(monkeypatch, framework, load, extra):
    monkeypatch.setitem(sys.modules, framework, None)
    with pytest.raises(InputError) as caught:
        load()
    assert "not installed" in str(caught.value) and extra in str(caught.value)
