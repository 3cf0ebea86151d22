"""A graph of `torch.export`, read into steps.

The graph is functional: its operators change nothing in place. Operators that
`jaxadv.foreign.operators` has are
kept whole, all others are taken apart into PyTorch's core operators.
"""

import math
import operator as python
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxadv.foreign import operators
from jaxadv.foreign.layout import Value, is_array, plain
from jaxadv.foreign.operators import types
from jaxadv.foreign.operators.convolution import conv, convolution, kernel_last
from jaxadv.foreign.operators.elementwise import detached
from jaxadv.foreign.steps import Ref, Step, Steps, Type, needed
from model_ports.errors import InputError

_NUMBERS: dict[str, Callable[..., Any]] = {
    "sym_float": float,
    "sym_int": int,
    "sym_max": max,
    "sym_min": min,
    "sym_not": python.not_,
    "sym_sum": sum,
    "sym_sqrt": math.sqrt,
    "_sym_sqrt": math.sqrt,
    "sym_ite": lambda condition, yes, no: yes if condition else no,
}
"""Functions of torch for lengths."""
_CHECKS = (
    "_assert_async",
    "_assert_scalar",
    "_assert_tensor_metadata",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
    "_check",
)
"""Operators that only check."""


_ROUNDED = ("arange", "linspace", "logspace")
"""Operators whose numbers torch and JAX round in another order."""


def size_of(self: Value, dim: int | None = None) -> Any:
    return tuple(self.shape) if dim is None else self.shape[dim]


def read(
    graph: Any, result: Any, inputs: list[str], name: str, orders: Mapping[str, tuple]
) -> Steps:
    """Steps from a functional graph.

    Args:
        graph: `torch.fx.GraphModule`.
        result: nodes of the graph: the logits, or a list.
        inputs: names of the placeholders that are no parameters.
        name: of the network, for messages.
        orders: see `Steps`.

    Raises:
        InputError: an operator is not known, or draws random numbers; the line has its name and
        its module.
    """
    steps = []
    for node in graph.graph.nodes:
        if node.op == "call_function" and not _is_check(node.target):
            function = _function(node, graph, name)
            arguments, keywords = _arguments(node)
            steps.append(Step(node.name, function, arguments, keywords, place(node, name)))
    result = _argument(result)
    return _known(Steps(needed(steps, result), inputs, result, dict(orders)))


def _known(steps: Steps) -> Steps:
    """The same; raises InputError for what stands in the place of functions that are not known."""
    for step in steps.steps:
        if isinstance(step.function, Unknown):
            raise InputError(step.function.message)
    return steps


class Unknown:
    """Stands for an operator that is not known, which matters only if the result needs it."""

    def __init__(self, message: str):
        self.message = message

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        raise InputError(self.message)


def names(target: Any) -> tuple[str, str, str]:
    """Namespace, name and overload of an operator of torch, such as ("aten", "max", "dim")."""
    space, _, name = target._schema.name.partition("::")
    return space, name, target._overloadname


def is_known(target: Any) -> bool:
    """Whether an operator of torch has a function in JAX."""
    space, name, overload = names(target)
    return space == "aten" and operators.operator(name, overload) is not None


def is_read(target: Any) -> bool:
    """The same, also of one that changes an array in place, or that is about lengths."""
    space, name, overload = names(target)
    if (name, overload) in (("sym_size", "int"), ("size", "int")):
        return True
    return space == "aten" and operators.operator(name.removesuffix("_"), overload) is not None


def place(node: Any, name: str) -> str:
    """The operator of a node and the module it stands in, for messages."""
    target = getattr(node.target, "_schema", None)
    what = (
        ".".join(filter(None, names(node.target)[:2])) if target is not None else str(node.target)
    )
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    path = path.removeprefix("inner").removeprefix(".")
    kind = kind if isinstance(kind, str) else kind.__name__
    where = f" in module {path!r} ({kind.rpartition('.')[2]})" if path else ""
    return f"{name}: operator {what}{where}"


def _is_check(target: Any) -> bool:
    if hasattr(target, "_schema"):
        return names(target)[1] in _CHECKS
    return getattr(target, "__name__", "") in _CHECKS


def _function(node: Any, graph: Any, name: str) -> Callable[..., Any]:
    """What a node calls, in JAX."""
    import torch

    target = node.target
    if isinstance(target, torch._ops.HigherOrderOperator):
        return _region(node, graph, name)
    if not hasattr(target, "_schema"):
        if target.__module__ in ("_operator", "math", "builtins"):
            return target
        known = _NUMBERS.get(target.__name__)
        return known or Unknown(
            f"{place(node, name)} is not read; give the network as a function of JAX"
        )
    if torch.Tag.nondeterministic_seeded in target.tags and not is_known(target):
        return Unknown(
            f"{place(node, name)} draws random numbers, so that no two calls agree; "
            "call eval(), or take the randomness out of the module"
        )
    space, operator, overload = names(target)
    if operator == "sym_size" or (operator, overload) == ("size", "int"):
        return size_of
    if operator in ("numel", "sym_numel"):
        return lambda self: math.prod(self.shape)
    if operator in ("_local_scalar_dense", "item"):
        return _number
    if space == "prims" and operator == "convert_element_type":
        return operators.elementwise.prims_convert
    if operator in _ROUNDED and not node.all_input_nodes:
        return _constant(node)
    function = operators.operator(operator, overload) if space == "aten" else None
    return function or Unknown(
        f"{place(node, name)} is not read into JAX; write the module without it, "
        "or give the network as a function of JAX"
    )


def _constant(node: Any) -> Callable[..., Any]:
    """Gives what torch makes of numbers alone, which rounds otherwise than JAX."""
    made = node.target(*node.args, **node.kwargs).numpy()
    return lambda *arguments, **keywords: jnp.asarray(made, types.canonical(made.dtype))


def _arguments(node: Any) -> tuple[tuple, dict[str, Any]]:
    """Those of a node, by place where the operator takes them by place: names differ between torch
    and us."""
    given, keywords = (
        list(map(_argument, node.args)),
        {key: _argument(value) for key, value in node.kwargs.items()},
    )
    if hasattr(node.target, "_schema"):
        by_place = [each for each in node.target._schema.arguments if not each.kwarg_only]
        last = max((i for i, each in enumerate(by_place) if each.name in keywords), default=-1)
        for each in by_place[len(given) : last + 1]:
            given.append(keywords.pop(each.name, each.default_value))
    return tuple(given), keywords


def _number(self: Value) -> Any:
    """An array without axes as a length; only for one that does not depend on the image."""
    import jax

    value = plain(self)
    if isinstance(value, jax.core.Tracer):
        raise InputError(
            "a number of an array steers the network; only arrays may depend on the image"
        )
    return value.item()


class Region:
    """A part of the graph under a switch of torch, as one step with several results."""

    def __init__(self, steps: Steps, skipped: int, has_gradient: bool):
        self.steps, self.skipped, self.has_gradient = steps, skipped, has_gradient

    def __call__(self, *arguments: Any) -> tuple:
        results = self.steps({}, *arguments[self.skipped :])
        return tuple(r if self.has_gradient or not is_array(r) else detached(r) for r in results)


def _region(node: Any, graph: Any, name: str) -> Callable[..., Any]:
    """A part of the graph without gradients, or with autocast off."""
    kind = str(node.target)
    if kind == "wrap_with_set_grad_enabled":
        has_gradient, inner, *_ = node.args
    elif kind == "wrap_with_autocast":
        has_gradient, inner = True, node.args[4]
        if node.args[2]:
            return Unknown(
                f"{place(node, name)} computes in lower precision; take torch.autocast out of the "
                "module"
            )
    else:
        return Unknown(
            f"{place(node, name)}, which steers by data, is not read; give the network without it"
        )
    module = getattr(graph, inner.target)
    given = [each.name for each in module.graph.nodes if each.op == "placeholder"]
    [output] = [each for each in module.graph.nodes if each.op == "output"]
    steps = read(module, list(output.args[0]), given, name, {})
    return Region(steps, list(node.args).index(inner) + 1, has_gradient)


def _argument(value: Any) -> Any:
    """An argument of a node without anything of torch."""
    import torch

    if isinstance(value, torch.fx.Node):
        return None if value.op == "get_attr" else Ref(value.name)
    if isinstance(value, torch.dtype):
        return Type(numpy_type(value))
    if isinstance(value, (torch.device, torch.layout, torch.memory_format)):
        return None
    if isinstance(value, (list, tuple)):
        return (
            type(value)(map(_argument, value))
            if type(value) in (list, tuple)
            else list(map(_argument, value))
        )
    return value


def numpy_type(dtype: Any) -> np.dtype:
    """NumPy's type for torch's."""
    import ml_dtypes
    import torch

    if dtype == torch.bfloat16:
        return np.dtype(ml_dtypes.bfloat16)
    return torch.empty(0, dtype=dtype).numpy().dtype


def kernel_orders(graph: Any) -> dict[str, tuple[int, ...]]:
    """The order in which to store each placeholder that is only ever the kernel of ordinary
    convolutions."""
    orders = {}
    for node in graph.graph.nodes:
        if (
            node.op == "placeholder"
            and node.users
            and all(_is_kernel(node, user) for user in node.users)
        ):
            rank = node.meta["val"].ndim
            orders[node.name] = kernel_last(rank)
    return orders


def _is_kernel(node: Any, user: Any) -> bool:
    if (
        not hasattr(user.target, "_schema")
        or len(user.args) < 2
        or user.args[1] is not node
        or user.args[0] is node
    ):
        return False
    function = operators.operator(*names(user.target)[1:])
    transposed = function is convolution and len(user.args) > 6 and user.args[6]
    return function in (conv, convolution) and not transposed
