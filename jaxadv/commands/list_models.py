"""list: the networks of a zoo, their size, input, accuracy, and whether their weights are here."""

import math
from types import SimpleNamespace

from model_ports import registry, weights
from model_ports.errors import InputError, unknown


def main(flags: SimpleNamespace) -> None:
    """Print a row for each network of --zoo. Raises InputError."""
    import jax

    if flags.zoo not in registry.ZOOS:
        raise unknown("zoo", flags.zoo, registry.ZOOS)
    rows = [("model", "family", "pixels", "parameters", "published top-1 / top-5 %", "weights")]
    for spec in registry.MODELS:
        network = registry.network(spec.name, zoo=flags.zoo)
        parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(network.abstract()))
        published = "-" if spec.top1 is None else f"{spec.top1} / {spec.top5}"
        rows.append(
            (spec.name, spec.family, str(network.input_size), f"{parameters:,}", published, _present(network, flags.weights_dir))
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _present(network: registry.Network, weights_dir: str | None) -> str:
    if weights_dir is None:
        return "embedded" if network.zoo == "digits" and (weights.EMBEDDED / network.spec.name).exists() else "absent"
    try:
        return str(weights.find(network, weights_dir))
    except InputError:
        return "absent"
