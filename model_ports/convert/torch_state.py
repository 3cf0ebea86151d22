"""Reads state dicts of PyTorch: `.pth`, `.pt`, and `.safetensors` with the same names.

They fit the networks that timm took over from TensorFlow. A `.pth` is a pickle. It is read by
`torch.load(weights_only=True)`, which builds tensors and containers, and calls nothing else. A file
that asks for more is refused.
"""

import os
import pickletools
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from model_ports.convert import prefixes, slim_layers
from model_ports.convert.arrays import LIMIT, Collector, is_zip
from model_ports.convert.foreign import Row, originals
from model_ports.errors import InputError

FORMAT = "PyTorch state dict"

_PARTS = {"running_mean": "mean", "running_var": "variance", "bias": "bias", "weight": "kernel"}
UNUSED = re.compile(r"(?:.*\.)?num_batches_tracked|(?:.*\.)?AuxLogits\..*|n_averaged")
_WEIGHTS = (
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "net",
    "network",
    "weights",
    "params",
)
_AVERAGED = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "params_ema",
    "model_ema_state_dict",
)
"""Entries of a training program's file that hold the arrays. Averages are read only if nothing else
is there."""
_NAME = 1000
"""Characters of the longest name of a function in a pickle that PyTorch gets. It searches its own
error message with a pattern whose time grows with the square of the name's length."""
_PICKLES = 5
"""The pickles in a file of PyTorch before 1.6, before the arrays."""
_TRANSFORMERS = re.compile(
    r"(?:\w+\.)?(?:embedder|embeddings|encoder\.(?:layers?|stages))\..+"
    r"|(?:\w+\.)?(?:conv_stem|layer\.\d+)\.(?:convolution|normalization)\..+"
)


def recognises(names: Iterable[str]) -> bool:
    """True if the names are those of PyTorch's modules, joined by dots, and not TensorFlow's
    scopes.
    """
    names = list(names)
    return not any("/" in name for name in names) and any(
        name.endswith(".weight") for name in names
    )


def read(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the arrays of a state dict.

    Args:
        path: the file.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by name, in PyTorch's layouts.

    Raises:
        InputError: if the file cannot be used, or if PyTorch is not installed.
    """
    if os.path.getsize(path) > limit + 2**24 or (is_zip(path) and _unpacked(path) > limit + 2**24):
        raise InputError(
            f"{path} is larger than {limit} bytes, more than the network can use; give the state "
            "dict of this very model"
        )
    try:
        import torch
    except ImportError:
        raise InputError(
            f"{path} is a pickle of PyTorch's, which was not loaded: reading it without running "
            "it takes PyTorch: pip install 'jaxadv[torch]', or save its arrays as .safetensors"
        ) from None
    collector = Collector(path, limit)
    try:
        if _has_long_name(path):
            raise ValueError("no function has such a name")
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # many kinds, whose texts advise unsafe loading
        raise InputError(
            f"{path} is a pickle of more than tensors, or it is damaged; it was not loaded, as it "
            "could run code: save model.state_dict() alone, or .safetensors"
        ) from None
    for _ in range(2):  # the file of a training program may contain another one's
        inside = [
            key
            for key in (*_WEIGHTS, *_AVERAGED)
            if isinstance(stored, dict) and isinstance(stored.get(key), dict)
        ]
        stored = stored[inside[0]] if inside else stored
    if not isinstance(stored, dict) or not all(isinstance(name, str) for name in stored):
        raise InputError(
            f"{path} holds no state dict: names and tensors are needed; save model.state_dict()"
        )
    for name, tensor in stored.items():
        if (
            not isinstance(tensor, torch.Tensor)
            or tensor.layout != torch.strided
            or tensor.is_quantized
            or tensor.device.type != "cpu"
        ):
            raise InputError(
                f"{path}: {name[:80]!r} is no plain tensor; save model.state_dict() alone"
            )
        if not UNUSED.fullmatch(name) and collector.wants(
            name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
        ):
            collector.put(name, tensor.detach().numpy())
    if not collector.arrays:
        raise InputError(f"{path} has no weights; save model.state_dict()")
    return collector.arrays


def _has_long_name(path: Path) -> bool:
    """Whether a pickle in a file names a function by more than `_NAME` characters."""
    if not is_zip(path):
        with path.open("rb") as file:
            return any(_longest_name(file) > _NAME for _ in range(_PICKLES))
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith(".pkl")]
        return any(_longest_name(archive.open(name)) > _NAME for name in pickles)


def _longest_name(file: IO[bytes]) -> int:
    """The length of the longest name of a function in the next pickle of a file."""
    longest = 0
    try:
        for operation, argument, _ in pickletools.genops(file):
            if operation.name == "GLOBAL":
                longest = max(longest, len(str(argument)))
    except UnicodeDecodeError as error:
        return len(error.object)
    except (ValueError, ArithmeticError, MemoryError, IndexError):
        pass  # torch.load reports the damage
    return longest


def _unpacked(path: Path) -> int:
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return 0  # torch.load reports the damage


# --- names -------------------------------------------------------------------


def refuse_transformers(path: Path, names: Iterable[str]) -> None:
    """Refuse names of Hugging Face's transformers, which differ from those of timm and torchvision.

    Raises:
        InputError: if there is such a name.
    """
    odd = next((name for name in names if _TRANSFORMERS.fullmatch(name)), None)
    if odd is not None:
        raise InputError(
            f"{path} has names of Hugging Face's transformers ({odd[:80]!r}), whose layers are "
            "others than timm's and torchvision's; give timm's file of this very network, or the "
            "original's"
        )


def without_prefix(arrays: Mapping[str, np.ndarray], model: str) -> dict[str, np.ndarray]:
    """Remove a prefix such as "module." or "timm_model.model.", and arrays that inference does not
    use.

    Wrappers put such a prefix before all names. It is removed if more names then fit.

    Args:
        arrays: the arrays by name.
        model: a network of `ROWS`.

    Raises:
        InputError: if no name fits, with the prefix or without. The error names the prefix.
    """
    used = {name: array for name, array in arrays.items() if not UNUSED.fullmatch(name)}
    layers = {layer for row in ROWS[model]() for layer in (row.layer, row.norm)}
    return prefixes.stripped(used, ".", lambda name: name.rpartition(".")[0] in layers)


def translate(arrays: dict[str, np.ndarray], network) -> dict[str, np.ndarray]:
    """Give arrays of PyTorch their original names.

    Args:
        arrays: the arrays by name.
        network: a `registry.Network` whose name is in `ROWS`.

    Raises:
        InputError: if arrays are missing or unexpected.
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in without_prefix(arrays, network.spec.name).items():
        layer, _, part = name.rpartition(".")
        layers.setdefault(layer, {})[_PARTS.get(part, part)] = array
    return originals(
        {name: _in_tensorflows_layout(parts) for name, parts in layers.items()},
        ROWS[network.spec.name](),
        network=network,
    )


def _in_tensorflows_layout(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if "mean" in parts:
        named = {"kernel": "gamma", "bias": "beta"}
        return {named.get(part, part): array for part, array in parts.items()}
    kernel = parts.get("kernel")
    if kernel is None or kernel.ndim not in (2, 4):
        return parts
    # PyTorch's layouts are (out, in, height, width) and (out, in).
    return parts | {"kernel": kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T}


def _normalised(layers: Iterable[str], net: str, scopes: Iterable[str]) -> list[Row]:
    """The rows for timm's ConvNormAct, which has <layer>.conv and <layer>.bn."""
    return [
        Row(f"{layer}.conv", f"{net}/{scope}", norm=f"{layer}.bn")
        for layer, scope in zip(layers, scopes, strict=True)
    ]


def _branches(block: str, lengths: Iterable[int]) -> list[str]:
    """The layers of a block, from the length of each branch.

    0 stands for a single layer without a number, -1 for one after a pool.
    """
    layers = []
    for number, length in enumerate(lengths):
        places = {0: [""], -1: [".1"]}.get(length, [f".{place}" for place in range(length)])
        layers += [f"{block}.branch{number}{place}" for place in places]
    return layers


def _inception_v4() -> list[Row]:
    """The rows for timm's inception_v4.

    Its sequence ``features`` has all layers but the classifier.
    """
    layers = [
        "features.0",
        "features.1",
        "features.2",
        "features.3.conv",
        *_branches("features.4", (2, 4)),
        "features.5.conv",
    ]
    for number in range(6, 10):
        layers += _branches(f"features.{number}", (0, 2, 3, -1))
    layers += _branches("features.10", (0, 3))
    for number in range(11, 18):
        layers += _branches(f"features.{number}", (0, 3, 5, -1))
    layers += _branches("features.18", (2, 4))
    forks = ["branch0", "branch1_0", "branch1_1a", "branch1_1b"]
    forks += ["branch2_0", "branch2_1", "branch2_2", "branch2_3a", "branch2_3b", "branch3.1"]
    layers += [f"features.{number}.{layer}" for number in range(19, 22) for layer in forks]
    return [
        *_normalised(layers, "InceptionV4", slim_layers.inception_v4()),
        Row("last_linear", "InceptionV4/Logits/Logits", "logits"),
    ]


def _inception_resnet_v2() -> list[Row]:
    """The rows for timm's inception_resnet_v2."""
    net = "InceptionResnetV2"
    blocks = [
        *(
            f"repeat{at}.{number}"
            for at, count in (("", 10), ("_1", 20), ("_2", 9))
            for number in range(count)
        ),
        "block8",
    ]
    layers = [f"conv2d_{place}" for place in ("1a", "2a", "2b", "3b", "4a")] + _branches(
        "mixed_5b", (0, 2, 3, -1)
    )
    for block in blocks:
        layers += {
            "repeat_1.0": _branches("mixed_6a", (0, 3)),
            "repeat_2.0": _branches("mixed_7a", (2, 2, 3)),
        }.get(block, [])
        layers += _branches(block, (0, 2, 3) if block.startswith("repeat.") else (0, 3))
    rows = _normalised([*layers, "conv2d_7b"], net, slim_layers.inception_resnet_v2())
    ups = zip(blocks, slim_layers.residual_blocks(), strict=True)
    rows += [Row(f"{block}.conv2d", f"{net}/{scope}/Conv2d_1x1") for block, scope in ups]
    return [*rows, Row("classif", f"{net}/Logits/Logits", "logits")]


ROWS = {"inception_v4": _inception_v4, "inception_resnet_v2": _inception_resnet_v2}
