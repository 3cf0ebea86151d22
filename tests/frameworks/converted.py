"""A converted checkpoint that is wrong at one place."""

from pathlib import Path

from model_ports import checkpoint, registry
from model_ports.weight_map import flatten, unflatten


def spoil(folder: Path, path: str) -> None:
    """Make one array a tenth larger; folder: the checkpoint's, called as the model is."""
    network = registry.network(folder.name, zoo="imagenet")
    params, _ = checkpoint.load(folder, network.abstract(), model=folder.name, zoo="imagenet")
    flat = flatten(params)
    flat[path] = 1.1 * flat[path]
    checkpoint.save(folder, unflatten(flat), {"model": folder.name, "zoo": "imagenet"})
