"""Frozen graphs: constants are read in every way that TensorFlow writes them, and nothing else of a
graph is.
"""

import struct
import time

import numpy as np
import pytest
import writers
from writers import DOUBLE, FLOAT, constant, field, frozen_graph, node, shape, tensor, variable

from model_ports.convert import frozen_graph as reader
from model_ports.errors import InputError


def read(tmp_path, graph: bytes, **options) -> dict[str, np.ndarray]:
    path = tmp_path / "graph.pb"
    path.write_bytes(graph)
    return reader.read(path, **options)


def values(code: int, dimensions, payload: bytes) -> bytes:
    """A variable "w" whose TensorProto ends in these bytes."""
    return constant("w", field(1, code) + field(2, shape(dimensions)) + payload) + node(
        "w/read", "Identity", "w"
    )


def unpacked(number: int, wire: int, form: str, numbers) -> bytes:
    return b"".join(
        writers.varint(number << 3 | wire) + struct.pack(form, value) for value in numbers
    )


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (
            values(FLOAT, (2, 3), field(5, struct.pack("<6f", *range(6)))),
            np.arange(6).reshape(2, 3),
        ),
        (values(FLOAT, (2, 3), unpacked(5, 5, "<f", range(6))), np.arange(6).reshape(2, 3)),
        (values(DOUBLE, (3,), field(6, struct.pack("<3d", 1, 2, 3))), [1, 2, 3]),
        (values(DOUBLE, (2,), unpacked(6, 1, "<d", (1.5, 2))), [1.5, 2]),
        (values(FLOAT, (2, 3), field(5, struct.pack("<f", 7))), np.full((2, 3), 7)),
        (values(FLOAT, (4,), field(5, struct.pack("<2f", 1, 2))), [1, 2, 2, 2]),
        (values(FLOAT, (3,), b""), [0, 0, 0]),
        (values(FLOAT, (0, 3), b""), np.zeros((0, 3))),
        (values(FLOAT, (2,), field(4, struct.pack("<2f", 1, 2))), [1, 2]),
    ],
)
def test_every_way_to_write_numbers(tmp_path, graph, expected):
    found = read(tmp_path, graph)["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.asarray(expected, np.float32))


def test_arithmetic_constants_are_no_weights(tmp_path):
    """Epsilons, shapes, and the ones in place of a missing gamma; the unrolled batch normalisation
    keeps its variables.
    """
    arrays = {
        f"net/BatchNorm/{name}": np.full(4, 2, np.float32)
        for name in ("beta", "gamma", "moving_mean", "moving_variance")
    }
    assert read(tmp_path, frozen_graph(arrays)).keys() == arrays.keys()


def test_variables_read_as_later_versions_do(tmp_path):
    ones = tensor(np.ones(3, np.float32))
    graph = (
        constant("w", ones) + node("conv/ReadVariableOp", "Identity", "w:0") + constant("k", ones)
    )
    assert read(tmp_path, graph).keys() == {"w"}


def test_without_identities_the_named_constants_count(tmp_path):
    ones = tensor(np.ones(3, np.float32))
    axis = constant("axis", tensor(np.ones(1, np.int32)))
    graph = constant("w", ones) + constant("net/Const", ones) + constant("net/Const_1", ones) + axis
    assert read(tmp_path, graph).keys() == {"w"}


@pytest.mark.parametrize(
    "op",
    ["ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "SaveV2", "RestoreV2", "WholeFileReaderV2",
     "TextLineDataset", "InitializeTableFromTextFileV2", "CreateSummaryFileWriter", "PrintV2"],
)  # fmt: skip
@pytest.mark.parametrize("inside_function", [False, True])
def test_operations_on_files_or_in_python_are_refused(tmp_path, op, inside_function):
    target = tmp_path / "made_by_the_graph"
    bad = node("evil", op, "w", filename=field(2, str(target)))
    # A GraphDef's node is field 1, a FunctionDef's field 3 with the same content.
    hidden = field(2, field(1, field(1, b"") + b"\x1a" + bad[1:])) if inside_function else bad
    with pytest.raises(
        InputError, match=rf"graph.pb has an operation '{op}' \('evil'\).*nothing was executed"
    ) as caught:
        read(tmp_path, variable("w", np.ones(3, np.float32)) + hidden)
    assert "\n" not in str(caught.value) and not target.exists()


@pytest.mark.parametrize(
    "op", ["Merge", "Switch", "FusedBatchNorm", "DecodeJpeg", "Softmax", "NoOp", "Placeholder"]
)
def test_ordinary_operations_are_not(tmp_path, op):
    assert read(tmp_path, variable("w", np.ones(3, np.float32)) + node("x", op)).keys() == {"w"}


@pytest.mark.parametrize("op", ["Variable", "VariableV2", "VarHandleOp"])
def test_a_graph_that_is_not_frozen(tmp_path, op):
    with pytest.raises(InputError, match="graph.pb is not frozen: it has a variable 'v'"):
        read(tmp_path, node("v", op) + node("save", "SaveV2"))


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (values(FLOAT, (3,), field(4, b"\0" * 8)), r"w has 2 numbers for shape \(3,\)"),
        (values(FLOAT, (3,), field(4, b"\0" * 10)), "not 4 bytes wide"),
        (values(FLOAT, (1,), field(5, struct.pack("<2f", 1, 2))), "w has 2 numbers"),
        (values(FLOAT, (2,), field(5, 7)), "a number where bytes"),
        (values(FLOAT, (-1, 3), b""), r"w has shape \(-1, 3\)"),
        (values(FLOAT, (2**31, 2**31), b""), "larger than"),
        (values(FLOAT, (2**62, 2**62), field(5, struct.pack("<f", 1))), "larger than"),
        (values(19, (3,), b""), "float16"),
        (values(14, (3,), b""), "bfloat16"),
        (variable("w", np.ones(3, np.float32)) * 2, "two nodes called 'w'"),
        (node("w", "Const") + node("w/read", "Identity", "w"), "no value"),
        (field(1, field(1, "w")), "without name and operation"),
        (node("input", "Placeholder"), "has no weights"),
        (b"\x0b" + b"\0" * 9, "field type 3"),
        (b"\x0a" + b"\xff" * 12, "does not end"),
    ],
)
def test_malformed_graphs(tmp_path, graph, words):
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path, graph)
    assert "graph.pb" in str(caught.value) and "\n" not in str(caught.value)


def test_one_value_for_a_large_array_costs_no_memory(tmp_path):
    """The limit is on what is declared, but within it a constant array is one number."""
    found = read(tmp_path, values(FLOAT, (2**10, 2**14), field(5, struct.pack("<f", 3))))["w"]
    assert found.shape == (2**10, 2**14) and found.strides == (0, 0)


def test_arrays_are_views_of_the_file(tmp_path):
    array = np.arange(1000, dtype=np.float32)
    found = read(tmp_path, variable("w", array))["w"]
    assert not found.flags.owndata and not found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_a_graph_of_ten_thousand_nodes_takes_moments(tmp_path):
    graph = b"".join(
        variable(f"net/layer_{i}/weights", np.ones((3, 3), np.float32)) + node(f"relu_{i}", "Relu")
        for i in range(3300)
    )
    began = time.perf_counter()
    assert len(read(tmp_path, graph)) == 3300
    assert time.perf_counter() - began < 5  # a third of a second alone
