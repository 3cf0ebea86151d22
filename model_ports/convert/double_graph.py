"""A GraphDef of single precision made one of double: the same arithmetic, so that rounding no longer hides a difference.

TensorFlow has no fused batch normalisation and no local response normalisation in double precision. Both are written out in
elementary operations, of which the last bears the name of the one that they stand for.
"""

import numpy as np

from model_ports.errors import InputError


def widened(graph):
    """A copy of a frozen GraphDef with every float32 a float64. Raises InputError for what cannot be in double precision."""
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
            f"{node.name} normalises by the batch, or has channels first; give a graph frozen for inference, NHWC"
        )
    x, scale, offset, mean, variance = node.input[:5]
    add = _Steps(node.name)
    shifted = add("AddV2", variance, add.constant(_decimal(node.attr["epsilon"].f)))
    factor = add("Mul", add("Rsqrt", shifted), scale)
    shift = add("Sub", offset, add("Mul", mean, factor))
    return add.ending("AddV2", add("Mul", x, factor), shift)


def _response_normalisation(node) -> list:
    """x / (bias + alpha * sum of the squares of the channels within the radius)^beta, the window cut off at the ends."""
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
        masks = {
            "begin_mask": 7,
            "end_mask": 7 if start < 2 * radius else 15,
        }  # all images, rows and columns
        shifted.append(
            add("StridedSlice", squares, begin, end, add.constant(np.ones(4, np.int32)), **masks)
        )
    total = add("AddN", *shifted, N=len(shifted))
    sized = add("AddV2", add("Mul", total, add.constant(alpha)), add.constant(bias))
    return add.ending("Mul", node.input[0], add("Pow", sized, add.constant(-beta)))


def _decimal(number: float) -> float:
    """The decimal number that was meant by one of single precision."""
    return float(f"{number:.7g}")


class _Steps:
    """Nodes in double precision that stand for the node `name`, made one after another; each call gives the new node's name."""

    def __init__(self, name: str):
        self.name, self.nodes = name, []

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
        """All nodes, the last one under the name that they stand for."""
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
