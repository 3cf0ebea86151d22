"""Turns a GraphDef of single precision into one of double precision.

The arithmetic is the same, so rounding no longer hides a difference. TensorFlow has no fused batch
normalisation and no local response normalisation in double precision. Both are replaced by
elementary operations. The last of these keeps the name of the replaced node.
"""

import numpy as np

from model_ports.errors import InputError


def widened(graph):
    """Copy a frozen GraphDef, with float64 in place of float32.

    Raises:
        InputError: for an operation that is not possible in double precision.
    """
    from tensorflow.core.framework.types_pb2 import DT_DOUBLE, DT_FLOAT

    result = type(graph)(versions=graph.versions)
    for node in graph.node:
        if node.op == "LRN":
            result.node.extend(_response_normalisation(node))
            continue
        if node.op.startswith("FusedBatchNorm"):
            result.node.extend(_batch_normalisation(node))
            continue
        copy = result.node.add()
        copy.CopyFrom(node)
        for value in copy.attr.values():
            if value.HasField("tensor") and value.tensor.dtype == DT_FLOAT:
                _widen(value.tensor)
            elif value.HasField("type") and value.type == DT_FLOAT:
                value.type = DT_DOUBLE
    return result


def _widen(tensor) -> None:
    import tensorflow as tf

    tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(tensor).astype(np.float64)))


def _batch_normalisation(node) -> list:
    """x * a + (offset - mean * a), where a = scale / sqrt(variance + epsilon)."""
    if node.attr["is_training"].b or node.attr["data_format"].s not in (b"", b"NHWC"):
        raise InputError(
            f"{node.name} normalises by the batch, or has channels first; give a graph frozen for "
            "inference, NHWC"
        )
    x, scale, offset, mean, variance = node.input[:5]
    add = _Steps(node.name)
    shifted = add("AddV2", variance, add.constant(_decimal(node.attr["epsilon"].f)))
    factor = add("Mul", add("Rsqrt", shifted), scale)
    shift = add("Sub", offset, add("Mul", mean, factor))
    return add.ending("AddV2", add("Mul", x, factor), shift)


def _response_normalisation(node) -> list:
    """x / (bias + alpha * sum of squares of the channels within the radius)^beta.

    The window ends at the first and the last channel.
    """
    bias, alpha, beta = (_decimal(node.attr[name].f) for name in ("bias", "alpha", "beta"))
    radius = node.attr["depth_radius"].i
    add = _Steps(node.name)
    squares = add(
        "Pad",
        add("Square", node.input[0]),
        add.constant(np.array([[0, 0]] * 3 + [[radius, radius]], np.int32)),
    )
    shifted = []
    for start in range(2 * radius + 1):
        begin, end = (
            add.constant(np.array([0, 0, 0, position], np.int32))
            for position in (start, start - 2 * radius)
        )
        # Bits 0 to 2 select all images, rows and columns.
        masks = {"begin_mask": 7, "end_mask": 7 if start < 2 * radius else 15}
        shifted.append(
            add("StridedSlice", squares, begin, end, add.constant(np.ones(4, np.int32)), **masks)
        )
    total = add("AddN", *shifted, N=len(shifted))
    sized = add("AddV2", add("Mul", total, add.constant(alpha)), add.constant(bias))
    return add.ending("Mul", node.input[0], add("Pow", sized, add.constant(-beta)))


def _decimal(number: float) -> float:
    """The decimal number that a number of single precision stands for."""
    return float(f"{number:.7g}")


class _Steps:
    """Makes nodes in double precision that replace the node ``name``.

    Each call adds a node, and returns its name.
    """

    def __init__(self, name: str):
        self.name = name
        self.nodes = []

    def __call__(self, operation: str, *inputs: str, **whole_numbers: int) -> str:
        return self._add(f"{self.name}/double/{len(self.nodes)}", operation, inputs, whole_numbers)

    def constant(self, value) -> str:
        import tensorflow as tf

        value = np.asarray(value)
        name = f"{self.name}/double/{len(self.nodes)}"
        node = tf.compat.v1.NodeDef(name=name, op="Const")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        self.nodes.append(node)
        return name

    def ending(self, operation: str, *inputs: str) -> list:
        """Add the last node, with the name of the replaced node. Returns all nodes."""
        self._add(self.name, operation, inputs, {})
        return self.nodes

    def _add(
        self, name: str, operation: str, inputs: tuple[str, ...], whole_numbers: dict[str, int]
    ) -> str:
        import tensorflow as tf

        node = tf.compat.v1.NodeDef(name=name, op=operation, input=inputs)
        node.attr["T"].type = tf.float64.as_datatype_enum
        if operation in ("Pad", "StridedSlice"):
            node.attr[
                "Tpaddings" if operation == "Pad" else "Index"
            ].type = tf.int32.as_datatype_enum
        for key, number in whole_numbers.items():
            node.attr[key].i = number
        self.nodes.append(node)
        return name
