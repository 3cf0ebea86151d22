"""A checkpoint of a port's parameters from a file of the original network."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from model_ports import checkpoint, registry
from model_ports.convert import sources
from model_ports.convert.checksum import logit_checksum
from model_ports.errors import InputError

STEPS = "steps (read, hash, run, write)"
"""What ``advance`` of `convert` counts; there are four."""


def convert(
    network: registry.Network,
    path: str | Path,
    weights_dir: str | Path,
    *,
    version: str = "",
    facts: Mapping[str, Any] = MappingProxyType({}),
    advance: Callable[[int], None] = lambda _: None,
) -> str:
    """Read, check, compute the checksum, write.

    Memory: the parameters twice, and what their compression takes; a source that is mapped adds its pages in the cache.

    Args:
        network: of the zoo "imagenet".
        path: the original's file.
        weights_dir: where the checkpoint's folder goes; what is there is replaced when all is done.
        version: of the converting program, for the checkpoint's facts.
        facts: what else the checkpoint shall say of itself; JSON values.
        advance: called with 1 after each of the four steps.

    Returns:
        A line about what was written.

    Raises:
        InputError: for a file that is not this network's, or a folder that cannot be written.
    """
    name = network.spec.name
    target = Path(weights_dir) / name
    source = sources.find(path)
    check_target(target)
    params = end_to_end(sources.parameters(path, network))
    advance(1)
    sha256 = source.sha256()
    advance(1)
    logits = logit_checksum(network, params)
    advance(1)
    variants = network.spec.variants.items()
    meta = {
        "model": name,
        "zoo": network.zoo,
        "variant": next(
            (variant for variant, config in variants if config == network.spec.config), None
        ),
        "source": source.path.name,
        "source_format": source.format,
        "source_files": [file.name for file in source.files],
        "source_sha256": sha256,
        "converter": sources.VERSION,
        "jaxadv": version,
        **facts,
        "logit_checksum": logits,
    }
    try:
        checkpoint.save(target, params, meta)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written ({error.strerror or error}); free the disk, or give another folder (--weights_dir; fetch: --to)"
        ) from None
    advance(1)
    written = checkpoint.read_meta(target)
    return (
        f"{target}: {name} from {source.path.name} ({source.format}), {written['num_arrays']} arrays;"
        f" logits of the test picture: norm {logits['norm']:.6g}, largest {logits['largest']}"
    )


def end_to_end(params: dict) -> dict:
    """The same tree of float32 arrays, now parts of one vector in the tree's order, which a checkpoint writes uncopied."""
    leaves, structure = jax.tree.flatten(params)
    vector = np.concatenate([leaf.reshape(-1) for leaf in leaves])
    parts = np.split(vector, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        structure, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    )


def check_target(target: Path) -> None:
    """Before anything is read: only a checkpoint, or nothing, may be replaced."""
    if (
        target.exists()
        and not (target / checkpoint.META).is_file()
        and not (target.is_dir() and not any(target.iterdir()))
    ):
        raise InputError(
            f"{target} exists and is not a checkpoint; give another --weights_dir or remove it"
        )
