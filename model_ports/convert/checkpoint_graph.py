"""Reads the graph of a TensorFlow checkpoint from its `.meta` file, as a frozen graph.

Nothing in it is executed. A constant replaces each variable: the array of that name in the
checkpoint. An Identity replaces each reading of a variable. `.meta` is a MetaGraphDef, whose field
2 is the graph (TensorFlow's meta_graph.proto).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from model_ports.convert.frozen_graph import VARIABLES, Node
from model_ports.convert.protobuf import Malformed, last, message
from model_ports.errors import InputError

_READ = "ReadVariableOp"


def graph(prefix: Path) -> memoryview:
    """Read the GraphDef of a checkpoint.

    Args:
        prefix: the checkpoint's prefix.

    Returns:
        The serialised graph.

    Raises:
        InputError: if there is no .meta file, or if it cannot be read.
    """
    path = prefix.with_name(f"{prefix.name}.meta")
    if not path.is_file():
        raise InputError(
            f"{prefix} is a checkpoint without {path.name}: it has weights but no graph to "
            "execute; put its .meta beside it, or give the frozen graph (.pb)"
        )
    try:
        content = last(message(memoryview(path.read_bytes())), 2, memoryview(b""))
    except (OSError, Malformed) as error:
        raise InputError(f"{path} cannot be read ({error}); copy it again") from None
    if not content:
        raise InputError(f"{path} has no graph; copy it again, or give the frozen graph (.pb)")
    return content


def frozen(node: Node) -> Node:
    """The node as freezing leaves it, without values."""
    op = "Const" if node.op in VARIABLES else "Identity" if node.op == _READ else node.op
    return node._replace(op=op)


def freeze(node, values: Mapping[str, np.ndarray]) -> None:
    """Freeze a NodeDef in place.

    Args:
        node: the NodeDef.
        values: the checkpoint's arrays by variable name.

    Raises:
        InputError: if a variable has no array.
    """
    import tensorflow as tf

    if node.op == _READ:
        kind = node.attr["dtype"].type
        node.op = "Identity"
        node.attr.clear()
        node.attr["T"].type = kind
    elif node.op in VARIABLES:
        if node.name not in values:
            raise InputError(
                f"the checkpoint has no array for the variable {node.name!r} of its graph; give a "
                ".meta saved with it"
            )
        node.op = "Const"
        node.attr.clear()
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(
            tf.make_tensor_proto(np.asarray(values[node.name], np.float32))
        )
