"""PyTorch's modules as classifiers: `from_torch`."""

import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core.classifier import Classifier
from jaxadv.foreign import trust
from jaxadv.foreign.layout import from_image_last, plain
from jaxadv.foreign.operators import types
from jaxadv.foreign.steps import Steps
from jaxadv.support import checks
from model_ports import checkpoint
from model_ports.errors import InputError

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and standard deviations of the channels, in pixels of [0, 1]."""


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
        A `Classifier`, whose ``facts`` have "source", "sha256" and, in "proof", how far it is from the original.

    Raises:
        InputError: no input size is known; the module is scripted, quantised, in training mode,
        random, changes
            itself or has an operator that is not read; or the proof fails. The message is one line.
    """
    from jaxadv.foreign import torch_export

    known = getattr(module, "pretrained_cfg", None) or {}
    name = name or plain_name(known.get("architecture") or type(module).__name__)
    torch_export.check(module, name)
    input_size = _input_size(input_size, known, name)
    mean, std = normalisation(_first(mean, known.get("mean")), _first(std, known.get("std")))
    exported = torch_export.export(module, (3, input_size, input_size), name)
    apply = applied(exported.steps, (mean, std), exported.one_by_one)
    outputs = _outputs(apply, exported.params, input_size)
    proof = None
    if prove:

        def second() -> tuple[trust.Apply, dict[str, np.ndarray]]:
            double = torch_export.export(
                copy.deepcopy(module).double(), (3, input_size, input_size), name
            )
            return applied(
                double.steps, (mean, std), double.one_by_one, working=np.float32
            ), double.params

        original = _original(module, (mean, std))
        proof = trust.prove(
            name,
            apply,
            exported.params,
            original,
            input_size=input_size,
            outputs=outputs,
            second=second,
        )
    import torch

    kept = {
        "source": f"torch: {type(module).__module__}.{type(module).__qualname__}",
        "framework": f"torch {torch.__version__}",
        "preprocessing": {"mean": list(mean), "std": list(std)},
        "sha256": fingerprint(exported.steps, exported.params, (mean, std)),
        "proof": proof,
    }
    return Classifier(
        apply,
        jax.device_put(exported.params),
        input_size=input_size,
        num_classes=outputs - label_offset if num_classes is None else num_classes,
        name=name,
        label_offset=label_offset,
        facts=kept | (facts or {}),
        outputs=outputs,
    )


def _first(given: Any, known: Any) -> Any:
    return known if given is None else given


def plain_name(name: str) -> str:
    """A name of letters, digits, "_" and ".", as rows and files need it."""
    return re.sub(r"[^\w.]+", "_", name, flags=re.ASCII).strip("_.") or "network"


def _input_size(given: int | None, known: dict[str, Any], name: str) -> int:
    size = given if given is not None else (known.get("input_size") or (None,))[-1]
    if size is None:
        raise InputError(
            f"input_size is not given, and {name} does not tell its own; give its pixels, such as 224"
        )
    checks.count("input_size", size)
    return size


def normalisation(mean: Sequence[float] | None, std: Sequence[float] | None) -> Normalisation:
    """Three numbers each; one is for all channels. Raises InputError."""
    found = []
    for what, value, default in (("mean", mean, 0.0), ("std", std, 1.0)):
        values = np.asarray(default if value is None else value, np.float64)
        if (
            values.shape not in ((), (1,), (3,))
            or not np.isfinite(values).all()
            or (what == "std" and (values <= 0).any())
        ):
            allowed = "positive numbers" if what == "std" else "numbers"
            raise InputError(
                f"{what} is {value!r}; three {allowed} are needed, for channels of [0, 1]"
            )
        found.append(tuple(float(v) for v in np.broadcast_to(values, (3,))))
    return found[0], found[1]


def applied(
    steps: Steps, normal: Normalisation, one_by_one: bool = False, working: Any = None
) -> trust.Apply:
    """``apply(params, images)`` of images (N, S, S, 3) in [0, 1].

    Args:
        steps: of images (N, C, H, W).
        normal: see `Normalisation`.
        one_by_one: whether the steps are for a batch of one image.
        working: the type that stands for single precision; None: that of the images.
    """

    def logits(params: Any, pixels: jax.Array) -> jax.Array:
        return plain(steps(params, from_image_last(pixels)))

    def apply(params: Any, images: jax.Array) -> jax.Array:
        mean, std = (jnp.asarray(numbers, images.dtype) for numbers in normal)
        pixels = (images - mean.reshape(1, 1, 1, 3)) / std.reshape(1, 1, 1, 3)
        with types.working(images.dtype if working is None else working):
            if one_by_one:
                return jax.vmap(lambda image: logits(params, image[None])[0])(pixels)
            return logits(params, pixels)

    return apply


def _outputs(apply: trust.Apply, params: dict[str, np.ndarray], size: int) -> int:
    one = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    return jax.eval_shape(apply, params, one).shape[1]


def _original(module: Any, normal: Normalisation) -> trust.Original:
    """The module in PyTorch, on the CPU, in the precision that it is asked in."""
    import torch

    copies: dict[Any, Callable] = {}

    def original(images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kind = torch.from_numpy(images[:0]).dtype
        if kind not in copies:
            copies[kind] = copy.deepcopy(module).cpu().to(kind)
        asked = torch.from_numpy(images).requires_grad_()
        mean, std = (torch.tensor(numbers, dtype=kind) for numbers in normal)
        with torch.enable_grad():
            out = copies[kind](((asked - mean) / std).permute(0, 3, 1, 2).contiguous())
            out = out["logits"] if isinstance(out, dict) else getattr(out, "logits", out)
            [gradient] = torch.autograd.grad((out * torch.from_numpy(weights)).sum(), asked)
        return out.detach().numpy(), gradient.numpy()

    return original


def fingerprint(steps: Steps, params: dict[str, np.ndarray], normal: Normalisation) -> str:
    """sha256 over the parameters, the steps and the normalisation."""
    program = repr([described(steps), normal])
    return hashlib.sha256(f"{checkpoint.fingerprint(params)}\n{program}".encode()).hexdigest()


def described(steps: Steps) -> list[Any]:
    """All that the result of steps depends on, but for the parameters and the code of the
    operators."""
    lines = []
    for step in steps.steps:
        inner = getattr(step.function, "steps", None)
        within = described(inner) if isinstance(inner, Steps) else None
        lines.append((step.name, step.place, step.arguments, step.keywords, within))
    return [lines, steps.inputs, steps.result, sorted(steps.orders.items())]
