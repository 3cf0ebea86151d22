"""PyTorch's modules as classifiers: `from_torch`."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxadv.core.classifier import Classifier
from jaxadv.foreign import network, trust
from jaxadv.foreign.network import Normalisation, applied, fingerprint, normalisation, plain_name
from jaxadv.foreign.silence import reason
from model_ports.errors import InputError


def from_torch(
    module: Any,
    *,
    input_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    label_offset: int = 0,
    prove: bool = True,
    facts: dict[str, Any] | None = None,
) -> Classifier:
    """A classifier from a module of PyTorch, in JAX: gradients, compilation and lanes as for any
    other.

    The module is exported (`torch.export`) and its operators are read into JAX. Its weights become
    parameters of the
    classifier. At conversion it is compared with the original on two images, in double and in
    single precision.

    Args:
        module: a `torch.nn.Module` in evaluation mode and single precision, images (N, 3, S, S) to
        logits (N, K).
            One that gives an object or a dictionary with "logits" is read too.
        input_size: S, pixels. None: of a network of timm, its own.
        mean, std: the module gets ``(image - mean) / std`` of images in [0, 1], a number for each
        channel. None: of a
            network of timm, its own; else the images as they are.
        num_classes: K, without background classes. None: as many as the module puts out.
        name: what tables call it. None: of a network of timm, its architecture; else the name of
        its class.
        label_offset: background columns in front of the real classes.
        prove: whether to compare with the original.
        facts: what else is to be kept with results.

    Returns:
        A `Classifier`, whose ``facts`` have "source", "sha256" and, in "proof", how far it is from
        the original.

    Raises:
        InputError: no input size is known; the module is scripted, quantised, in training mode,
        random, changes
            itself or has an operator that is not read; or the proof fails. The message is one line.
    """
    from jaxadv.foreign import torch_export

    known = getattr(module, "pretrained_cfg", None) or {}
    name = name or plain_name(known.get("architecture") or type(module).__name__)
    torch_export.check(module, name)
    import torch

    input_size = network.input_size(input_size, (known.get("input_size") or (None,))[-1], name)
    mean, std = normalisation(_first(mean, known.get("mean")), _first(std, known.get("std")))
    exported = torch_export.export(module, (3, input_size, input_size), name)
    apply = applied(exported.steps, (mean, std), exported.one_by_one)
    outputs = network.outputs(apply, exported.params, input_size)
    proof = None
    if prove:

        def second() -> tuple[trust.Apply, dict[str, np.ndarray]]:
            module_in_double = _in_precision(duplicate(module, name), torch.float64)
            shape = (3, input_size, input_size)
            double = torch_export.export(module_in_double, shape, name, double=True)
            return applied(
                double.steps, (mean, std), double.one_by_one, working=np.float32
            ), double.params

        proof = trust.prove(
            name,
            apply,
            exported.params,
            original(module, (mean, std), name),
            input_size=input_size,
            outputs=outputs,
            second=second,
        )
    kept = {
        "source": f"torch: {type(module).__module__}.{type(module).__qualname__}",
        "framework": f"torch {torch.__version__}",
        "preprocessing": {"mean": list(mean), "std": list(std)},
        "sha256": fingerprint(exported.steps, exported.params, (mean, std)),
        "proof": proof,
    }
    return network.classifier(
        apply,
        exported.params,
        name=name,
        input_size=input_size,
        outputs=outputs,
        num_classes=num_classes,
        label_offset=label_offset,
        facts=kept | (facts or {}),
    )


def _first(given: Any, known: Any) -> Any:
    return known if given is None else given


def original(module: Any, normal: Normalisation, name: str = "the module") -> trust.Original:
    """The module in PyTorch, on the CPU, in the precision that it is asked in.

    Args:
        module: of PyTorch.
        normal: see `Normalisation`.
        name: of the network, for messages.
    """
    import torch

    from jaxadv.foreign.torch_export import logits_of

    copies: dict[Any, Callable] = {}

    def answers(images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kind = torch.from_numpy(images[:0]).dtype
        if kind not in copies:
            copies[kind] = _in_precision(duplicate(module, name).cpu(), kind)
        asked = torch.from_numpy(images).requires_grad_()
        mean, std = (torch.tensor(numbers, dtype=kind) for numbers in normal)
        with torch.enable_grad(), torch.compiler.set_stance("force_eager"):
            out = copies[kind](((asked - mean) / std).permute(0, 3, 1, 2).contiguous())
            out = logits_of(out, name)
            if not out.is_floating_point():
                raise InputError(f"{name} gives logits of {out.dtype}; real numbers are needed")
            gradient = None
            if out.requires_grad:
                total = (out * torch.from_numpy(weights)).sum()
                [gradient] = torch.autograd.grad(total, asked, allow_unused=True)
        if gradient is None:
            raise InputError(
                f"{name}: no gradient of the logits reaches the images; take no_grad, detach and "
                "whole numbers out of the module"
            )
        return out.detach().numpy(), gradient.numpy()

    return answers


def duplicate(module: Any, name: str) -> Any:
    """A copy of a module, also of one that keeps arrays with a gradient, as PyTorch's older
    `weight_norm` does.

    Raises:
        InputError: it holds what cannot be copied, such as a lock.
    """
    import torch

    kept = [value for part in module.modules() for value in vars(part).values()]
    arrays = [value for value in kept if isinstance(value, torch.Tensor) and not value.is_leaf]
    try:
        return copy.deepcopy(module, {id(array): array.detach().clone() for array in arrays})
    except Exception as error:  # whatever a module holds may raise anything
        raise InputError(
            f"{name} cannot be copied for the proof ({reason(error)}); take what is no array out "
            "of the module"
        ) from error


def _in_precision(module: Any, kind: Any) -> Any:
    """The module in a precision, complex numbers too: ``to()`` takes their imaginary part away."""
    import torch

    complex_kind = torch.complex128 if kind == torch.float64 else torch.complex64
    for array in (*module.parameters(), *module.buffers()):
        if array.is_complex():
            array.data = array.data.to(complex_kind)
        elif array.is_floating_point():
            array.data = array.data.to(kind)
    return module
