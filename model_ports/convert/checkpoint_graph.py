"""The graph of a TensorFlow checkpoint, from the `.meta` beside it, as a frozen one. Nothing of it is executed.

A constant replaces each variable: the checkpoint's array of that name, as our own reader reads it. An Identity replaces
each reading of a variable. `.meta` is a MetaGraphDef; its field 2 is the graph (TensorFlow's meta_graph.proto).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from model_ports.convert.frozen_graph import VARIABLES, Node
from model_ports.convert.protobuf import Malformed, last, message
from model_ports.errors import InputError

_READ = "ReadVariableOp"


def graph(prefix: Path) -> memoryview:
    """The GraphDef of a checkpoint, as bytes. Raises InputError where there is none."""
    path = prefix.with_name(f"{prefix.name}.meta")
    if not path.is_file():
        raise InputError(
            f"{prefix} is a checkpoint without {path.name}: it has weights but no graph to execute; put its .meta beside it,"
            " or give the frozen graph (.pb)"
        )
    try:
        found = last(message(memoryview(path.read_bytes())), 2, memoryview(b""))
    except (OSError, Malformed) as error:
        raise InputError(f"{path} cannot be read ({error}); copy it again") from None
    if not found:
        raise InputError(f"{path} has no graph; copy it again, or give the frozen graph (.pb)")
    return found


def frozen(node: Node) -> Node:
    """A node as freezing leaves it, without its values."""
    op = "Const" if node.op in VARIABLES else "Identity" if node.op == _READ else node.op
    return node._replace(op=op)


def freeze(node, values: Mapping[str, np.ndarray]) -> None:
    """Make of a NodeDef what freezing makes of it; values: the checkpoint's. Raises InputError for a variable that is not there."""
    import tensorflow as tf

    if node.op == _READ:
        kind = node.attr["dtype"].type
        node.op = "Identity"
        node.attr.clear()
        node.attr["T"].type = kind
    elif node.op in VARIABLES:
        if node.name not in values:
            raise InputError(
                f"the checkpoint has no array for the variable {node.name!r} of its graph; give a .meta saved with it"
            )
        node.op = "Const"
        node.attr.clear()
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(
            tf.make_tensor_proto(np.asarray(values[node.name], np.float32))
        )
