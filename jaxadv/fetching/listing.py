"""Lists the networks of a zoo: size, input, accuracy, where the weights are, and what brings them.

This imports JAX only if a folder of weights is given.
"""

import json
from pathlib import Path

import model_ports
from jaxadv.fetching.addresses import SINGLE, STUDY
from model_ports import facts
from model_ports.errors import InputError

EMBEDDED = Path(model_ports.__file__).parent / "digits"


def lines(zoo: str, weights_dir: str | None) -> list[str]:
    """Format the networks of a zoo as a table.

    Args:
        zoo: "digits" or "imagenet".
        weights_dir: a folder that may have converted weights, or None.

    Returns:
        A heading, and a line for each network.
    """
    accuracy = "accuracy %" if zoo == "digits" else "published top-1 / top-5 %"
    head = ("model", "family", "pixels", "parameters", accuracy, "weights")
    rows = [head + ("can be had by",) * (zoo == "imagenet")]
    rows += [_row(known, zoo, weights_dir) for known in facts.FACTS]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(row).rstrip() for row in aligned]


def _row(known: facts.Facts, zoo: str, weights_dir: str | None) -> tuple[str, ...]:
    if zoo == "digits":
        meta = json.loads((EMBEDDED / known.name / "meta.json").read_text())
        accuracy = f"{100 * meta['test_accuracy']:.1f}"
        parameters = meta["num_parameters"]
        size = known.digits_input_size
    else:
        accuracy = "-" if known.top1 is None else f"{known.top1} / {known.top5}"
        parameters = known.parameters
        size = known.input_size
    row = (
        known.name,
        known.family,
        str(size),
        f"{parameters:,}",
        accuracy,
        _weights(known.name, zoo, weights_dir),
    )
    return row + (_had_by(known.name),) * (zoo == "imagenet")


def _had_by(name: str) -> str:
    """The commands that bring the weights, and whether the archive's SHA-256 is known."""
    archives = {"fetch study": STUDY["weights"]}
    if name in SINGLE:
        archives[f"fetch {name}"] = SINGLE[name]
    return "; ".join(
        f"{command} (hash {'known' if archive.sha256 else 'unknown'})"
        for command, archive in archives.items()
    )


def _weights(name: str, zoo: str, weights_dir: str | None) -> str:
    """The path of the weights, "embedded" or "absent"."""
    if weights_dir is None:
        return "embedded" if zoo == "digits" else "absent"
    from model_ports import registry, weights

    try:
        return str(weights.find(registry.network(name, zoo=zoo), weights_dir))
    except InputError:
        return "absent"
