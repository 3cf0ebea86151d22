"""Reads frozen TensorFlow graphs (.pb): the constants that replaced the variables.

Nothing is executed. Freezing replaces each variable by a Const node of its name. An Identity reads
it: `<name>/read`, or `<name>/Read/ReadVariableOp` in later versions.

All other constants belong to the graph's arithmetic: shapes, axes, epsilons, and the ones that
replace a missing gamma. An unrolled batch normalisation has nodes rsqrt, mul and sub. Its beta,
gamma and moving statistics are Consts with the variables' names too. Field numbers are those of
TensorFlow's graph.proto, node_def.proto, attr_value.proto, tensor.proto, types.proto and
function.proto.
"""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_ports.convert.arrays import LIMIT, Collector
from model_ports.convert.protobuf import (
    Malformed,
    Value,
    fields,
    last,
    message,
    numbers,
    shape,
    text,
    view,
)
from model_ports.errors import InputError

_KINDS = {1: "float32", 2: "float64", 14: "bfloat16", 19: "float16"}
_TYPED_FIELD = {"float32": 5, "float64": 6}  # float_val, double_val
VARIABLES = ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable")
_OUTSIDE = re.compile(
    r".*File(?:V2)?|MatchingFiles|ShardedFile.*|LoadAndRemapMatrix|Save.*|Restore.*|MergeV2Checkpoints|.*Reader(?:V2)?|Reader.*|.*Dataset.*"
    r"|.*Py[Ff]unc(?:Stateless)?|PrintV2|.*Summary.*Writer.*|Write.*Summary|ImportEvent|Rpc|TryRpc|RemoteCall"
)
"""Operations that reach files, other machines or Python. No network's forward pass has one."""


class Node(NamedTuple):
    """A node of a graph."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: tuple[Value, ...]  # serialised map entries
    inside_function: bool  # True if it belongs to a function of the library


def read(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the weights of a frozen graph.

    Args:
        path: the file.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by variable name, as views of the file if possible.

    Raises:
        InputError: if the file is damaged, if the graph still has variables, or if it has
            operations on files or in Python.
    """
    collector = Collector(path, limit)
    try:
        constants: dict[str, Node] = {}
        read_by_identity: set[str] = set()
        for node in nodes(content(path)):
            if node.op in VARIABLES:
                raise InputError(
                    f"{path} is not frozen: it has a variable {node.name!r} but not its values; "
                    "give the frozen graph, or the checkpoint"
                )
            if _OUTSIDE.fullmatch(node.op):
                raise InputError(
                    f"{path} has an operation {node.op!r} ({node.name!r}), which reaches outside "
                    "the graph; nothing was executed: give a graph frozen for inference"
                )
            if node.inside_function:
                continue
            if node.op == "Const":
                if node.name in constants:
                    raise InputError(
                        f"{path} has two nodes called {node.name!r}: each variable once is needed"
                    )
                constants[node.name] = node
            elif node.op == "Identity" and node.inputs:
                read_by_identity.add(node.inputs[0].removesuffix(":0"))
        for node in _weights(constants, read_by_identity):
            _collect(collector, node)
    except Malformed as error:
        raise InputError(
            f"{path} is not a frozen graph, or it is cut short ({error}); give a GraphDef of "
            "variables as constants"
        ) from None
    if not collector.arrays:
        raise InputError(
            f"{path} has no weights: none of its {len(constants)} constants is an array that "
            "stands for a variable"
        )
    return collector.arrays


def content(path: Path) -> memoryview:
    """The bytes of a file, mapped into memory."""
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def nodes(graph: memoryview) -> Iterator[Node]:
    """Read all nodes of a GraphDef, and of the functions in its library.

    Raises:
        Malformed: if the graph is damaged.
    """
    for number, value in fields(graph):
        if number == 1:  # GraphDef.node
            yield _node(value, inside_function=False)
        elif number == 2:  # GraphDef.library; FunctionDefLibrary.function; FunctionDef.node_def
            for function in message(value).get(1, []):
                yield from (
                    _node(inner, inside_function=True) for inner in message(function).get(3, [])
                )


def _node(data: Value, *, inside_function: bool) -> Node:
    values = message(data)
    if not {1, 2} <= values.keys():
        raise Malformed("a node without name and operation")
    inputs = tuple(text(value) for value in values.get(3, []))
    return Node(
        text(values[1][-1]), text(values[2][-1]), inputs, tuple(values.get(5, [])), inside_function
    )


def _weights(constants: dict[str, Node], read_by_identity: set[str]) -> list[Node]:
    """The constants that were variables.

    An optimiser may have removed all Identities. Then these are the constants with a proper name.
    """
    read = [node for name, node in constants.items() if name in read_by_identity]
    return read or [
        node
        for name, node in constants.items()
        if not re.fullmatch(r"(?:.*/)?Const(?:_\d+)?", name)
    ]


def _collect(collector: Collector, node: Node) -> None:
    tensor = _tensor(node)
    kind = _KINDS.get(last(tensor, 1, 0))
    dimensions = shape(tensor[2][-1]) if 2 in tensor else ()
    if kind is None or not dimensions:  # integers and single numbers are no weights
        return
    if collector.wants(node.name, kind, dimensions):
        collector.put(node.name, _values(collector, node.name, tensor, kind, dimensions))


def _tensor(node: Node) -> dict[int, list[Value]]:
    """The TensorProto in the attribute "value" of a Const."""
    for entry in map(message, node.attributes):
        if text(last(entry, 1, memoryview(b""))) == "value":
            return message(last(message(last(entry, 2, memoryview(b""))), 8, memoryview(b"")))
    raise Malformed(f"constant {node.name} has no value")


def _values(
    collector: Collector, name: str, tensor, kind: str, dimensions: tuple[int, ...]
) -> np.ndarray:
    """The values from tensor_content, float_val or double_val.

    The last value repeats if some are missing.
    """
    size = int(np.prod(dimensions, dtype=object))
    content = view(last(tensor, 4, memoryview(b"")))
    flat = numbers([content] if len(content) else tensor.get(_TYPED_FIELD[kind], []), kind)
    if flat.size == size:
        return flat.reshape(dimensions)
    if len(content) or flat.size > size:
        raise collector.damaged(f"{name} has {flat.size} numbers for shape {dimensions}")
    if flat.size <= 1:
        return np.broadcast_to(flat[0] if flat.size else np.float32(0), dimensions)
    return np.concatenate([flat, np.broadcast_to(flat[-1], (size - flat.size,))]).reshape(
        dimensions
    )
