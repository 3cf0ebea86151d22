"""Operators of torch that change an array in place, replaced by those that give a new one.

torch does the same for every graph, but takes longer for that than for the export. Here only the
usual cases are replaced: activations and sums on arrays that nothing else shares.
"""

from typing import Any

FRESH = {
    *("conv1d", "conv2d", "conv3d", "linear", "matmul", "addmm", "cat"),
    *("batch_norm", "layer_norm", "group_norm", "add", "sub", "mul", "div"),
    *("relu", "relu6", "silu", "gelu", "elu", "hardswish", "hardsigmoid", "hardtanh", "sigmoid"),
    *("leaky_relu", "mish", "tanh", "clamp", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"),
    *("sym_size", "mean", "sum"),
}
"""Operators whose results are new arrays, whatever they are given."""


def replaced(graph: Any) -> bool:
    """Replace them in a `torch.fx.Graph`, which computes the same then. False where one is left,
    because it is not a usual case.

    An array that an operator changes must be the result of one of `FRESH`, and used before only by
    such: then no other array shares its memory. Whatever uses it later gets the new array.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if not getattr(getattr(node.target, "_schema", None), "is_mutable", False):
            continue
        new = _functional(node)
        changed = node.args[0]
        before = [user for user in changed.users if order[user] < order[node]]
        if new is None or any(_name(each) not in FRESH for each in (changed, *before)):
            return False
        node.target = new
        changed.replace_all_uses_with(node, lambda user, node=node: order[user] > order[node])
    return True


def _functional(node: Any) -> Any:
    """The operator that gives a new array of the same type; None where there is none in `FRESH`."""
    import torch

    name = _name(node)
    arrays = [each.meta["val"] for each in node.all_input_nodes if "val" in each.meta]
    types = {each.dtype for each in arrays if isinstance(each, torch.Tensor)}
    if name not in FRESH or node.target._schema.name != f"aten::{name}_" or len(types) != 1:
        return None
    new = getattr(getattr(torch.ops.aten, name, None), node.target._overloadname, None)
    return None if new is None or new._schema.is_mutable else new


def _name(node: Any) -> str:
    """Of an operator, without the underscore of one that changes in place; "" of all else."""
    schema = getattr(node.target, "_schema", None)
    space, _, name = schema.name.partition("::") if schema is not None else ("", "", "")
    return name.removesuffix("_") if space == "aten" else ""
