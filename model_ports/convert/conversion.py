"""Converts a file of the original network to a checkpoint of a port."""

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
"""The four steps that ``advance`` of `convert` counts."""


def convert(
    network: registry.Network,
    path: str | Path,
    weights_dir: str | Path,
    *,
    version: str = "",
    facts: Mapping[str, Any] = MappingProxyType({}),
    advance: Callable[[int], None] = lambda _: None,
) -> str:
    """Read the file, check it, compute the checksum of the logits, and write the checkpoint.

    This takes the memory of the parameters twice, and that of their compression. A mapped file also
    adds pages to the system's cache.

    Args:
        network: a network of the zoo "imagenet".
        path: the original's file.
        weights_dir: the folder for the checkpoint's folder. An existing checkpoint is replaced once
            the new one is complete.
        version: the version of the converting program, which the checkpoint records.
        facts: further facts that the checkpoint records, as JSON values.
        advance: called with 1 after each of the four steps.

    Returns:
        A line about the checkpoint.

    Raises:
        InputError: if the file does not fit the network, or if the folder cannot be written.
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
            f"{target} cannot be written ({error.strerror or error}); free the disk, or give "
            "another folder (--weights_dir; fetch: --to)"
        ) from None
    advance(1)
    written = checkpoint.read_meta(target)
    return (
        f"{target}: {name} from {source.path.name} ({source.format}), {written['num_arrays']} "
        f"arrays; logits of the test picture: norm {logits['norm']:.6g}, largest "
        f"{logits['largest']}"
    )


def end_to_end(params: dict) -> dict:
    """Copy float32 arrays into one vector, in the tree's order. A checkpoint writes it without a
    copy.

    Returns:
        The same tree, whose arrays are parts of the vector.
    """
    leaves, structure = jax.tree.flatten(params)
    vector = np.concatenate([leaf.reshape(-1) for leaf in leaves])
    parts = np.split(vector, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        structure, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    )


def check_target(target: Path) -> None:
    """Check that a folder is missing, empty or a checkpoint, so that it may be replaced.

    Raises:
        InputError: if it has something else.
    """
    if (
        target.exists()
        and not (target / checkpoint.META).is_file()
        and not (target.is_dir() and not any(target.iterdir()))
    ):
        raise InputError(
            f"{target} exists and is not a checkpoint; give another --weights_dir or remove it"
        )
