"""A module of PyTorch, exported as a functional graph, or refused in one line."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxadv.foreign import torch_graph, torch_in_place
from jaxadv.foreign.silence import reason, silent
from jaxadv.foreign.steps import Steps, references
from model_ports.errors import InputError

BATCH = 2
"""Images of the example that a module is exported with."""


class Exported(NamedTuple):
    """A module as steps."""

    steps: Steps  # of images (N, C, H, W)
    params: dict[str, np.ndarray]  # by the names of the placeholders, stored as `steps.orders` say
    one_by_one: bool  # whether the steps are for one image, because the module fixes the batch


def check(module: Any, name: str) -> None:
    """Raises InputError for a module that is scripted, quantised, in training mode, or of another
    precision; or where PyTorch is missing."""
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed; run: pip install 'jaxadv[torch]'"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{name} is a {type(module).__name__}; a torch.nn.Module is needed")
    for path, part in module.named_modules():
        where = f"{name}: module {path!r}" if path else name
        kind = type(part).__name__
        if isinstance(part, torch.jit.ScriptModule):
            raise InputError(
                f"{where} is scripted or traced ({kind}); give the module that torch.jit was given"
            )
        if "quantized" in type(part).__module__ or kind in (
            "FakeQuantize",
            "QuantStub",
            "DeQuantStub",
        ):
            raise InputError(
                f"{where} is quantised ({kind}); give the network from before quantisation"
            )
        if part.training:
            raise InputError(
                f"{where} is in training mode ({kind}), where answers depend on the batch; call "
                "eval()"
            )
    arrays = [*module.named_parameters(), *module.named_buffers()]
    for path, array in arrays:
        if array.is_quantized or array.is_sparse or array.layout != torch.strided:
            raise InputError(
                f"{name}: {path} is quantised or sparse; give the network with plain arrays"
            )
        if isinstance(array, torch.nn.parameter.UninitializedTensorMixin):
            raise InputError(f"{name}: {path} has no shape yet; call the module on images once")
        if array.is_meta:
            raise InputError(f"{name}: {path} has no numbers (device 'meta'); load its weights")
        if array.is_floating_point() and array.dtype != torch.float32:
            raise InputError(
                f"{name}: {path} is in {array.dtype}; single precision is needed: call float()"
            )


def export(
    module: Any, shape: tuple[int, int, int], name: str, *, double: bool = False
) -> Exported:
    """The steps and parameters of a module that takes images (N, C, H, W).

    Args:
        module: that `check` accepts.
        shape: (C, H, W).
        name: of the network, for messages.
        double: whether it takes images in double precision.

    Raises:
        InputError: it cannot be exported, changes itself, or has an operator that is not read.
    """
    import torch

    module = _only_logits(module, name)
    kind = torch.float64 if double else torch.float32
    example = torch.rand((BATCH, *shape), generator=torch.Generator().manual_seed(0)).to(kind)
    with quiet():
        try:
            program, one_by_one = _exported(module, example)
            program = _taken_apart(program)
        except InputError:
            raise
        except Exception as error:  # torch raises anything here
            raise InputError(
                f"{name} cannot be exported by torch.export: {reason(error)}; "
                "give the network as a function of JAX"
            ) from error
    return _read(program, name, one_by_one)


def _exported(module: Any, example: Any) -> tuple[Any, bool]:
    """The exported program, and whether it is for one image."""
    import torch

    batch = torch.export.Dim("batch", min=1)
    try:
        return torch.export.export(module, (example,), dynamic_shapes=({0: batch},)), False
    except InputError:
        raise
    except Exception:  # torch raises anything here
        return torch.export.export(module, (example[:1],)), True


def logits_of(out: Any, name: str) -> Any:
    """The logits in what a module gives: an array, or an object or a dictionary with "logits", or
    a tuple of one. Raises InputError."""
    if isinstance(out, dict):
        if "logits" not in out:
            keys = ", ".join(map(repr, out)) or "nothing"
            raise InputError(f"{name} gives a dictionary with {keys}; 'logits' is needed")
        return out["logits"]
    out = getattr(out, "logits", out)
    return out[0] if isinstance(out, (tuple, list)) and len(out) == 1 else out


def _only_logits(module: Any, name: str) -> Any:
    """The module, as one that gives its logits alone."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, images):
            return logits_of(self.inner(images), name)

    logits = Logits()
    logits.training = False
    return logits


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings, log or print of torch, and no fast path that hides a module's operators."""
    import torch

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with silent():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _taken_apart(program: Any) -> Any:
    """The functional graph of operators that have a function in JAX, as far as torch can take them
    apart.

    Most of the time of reading a network would go into that, so it is left out where it changes
    nothing.
    """
    import torch

    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    if all(_is_read(node.target) for node in calls) and torch_in_place.replaced(program.graph):
        return program
    program.graph_module.recompile()
    table = torch.export.default_decompositions()
    for target in list(table.keys()):
        if torch_graph.is_known(target):
            table.pop(target)
    program = program.run_decompositions(table)
    rest = {
        node.target
        for node in program.graph.nodes
        if hasattr(node.target, "_schema") and not torch_graph.is_known(node.target)
    }
    more = torch._decomp.get_decompositions(list(rest))
    return program.run_decompositions(more) if more else program


def _is_read(target: Any) -> bool:
    """Whether an operator is read as it is, but for what it changes in place."""
    if not hasattr(target, "_schema"):
        return getattr(target, "__module__", "") == "_operator"
    return torch_graph.is_read(target)


def _read(program: Any, name: str, one_by_one: bool) -> Exported:
    signature = program.graph_signature
    changed = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    if changed:
        raise InputError(
            f"{name} changes {changed[0]!r} at each call; take the state out of the module"
        )
    where = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    where |= signature.inputs_to_lifted_tensor_constants
    orders = {
        node: order
        for node, order in torch_graph.kernel_orders(program.graph_module).items()
        if node in where
    }
    [output] = [node for node in program.graph.nodes if node.op == "output"]
    results = [
        r
        for r, spec in zip(output.args[0], signature.output_specs, strict=True)
        if _is_result(spec)
    ]
    if len(results) != 1 or results[0] is None or results[0].meta["val"].ndim != 2:
        shapes = [tuple(result.meta["val"].shape) for result in results if hasattr(result, "meta")]
        raise InputError(
            f"{name} gives arrays of shapes {shapes}; one array (N, classes) is needed"
        )
    inputs = list(signature.user_inputs)
    steps = torch_graph.read(program.graph_module, results[0], inputs, name, orders)
    used = _used(steps)
    params = {}
    for node, path in where.items():
        if node in used:
            array = _tensor(program, path).detach().cpu().numpy()
            params[node] = np.ascontiguousarray(
                array.transpose(np.argsort(orders[node])) if node in orders else array
            )
    return Exported(steps, params, one_by_one)


def _is_result(spec: Any) -> bool:
    return spec.kind.name == "USER_OUTPUT"


def _tensor(program: Any, path: str) -> Any:
    return program.state_dict[path] if path in program.state_dict else program.constants[path]


def _used(steps: Steps) -> set[str]:
    return {name for step in steps.steps for name in references([step.arguments, step.keywords])}
