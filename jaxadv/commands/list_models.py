"""list: the networks of a zoo, their size, input, accuracy, whether their weights are here, and what brings them."""

import json
from pathlib import Path
from types import SimpleNamespace

import model_ports
from jaxadv.fetching.addresses import SINGLE, STUDY
from jaxadv.support import values
from model_ports import facts
from model_ports.errors import InputError

EMBEDDED = Path(model_ports.__file__).parent / "digits"


def main(flags: SimpleNamespace) -> None:
    """Print a row for each network of --zoo. Raises InputError."""
    values.chosen("zoo", [flags.zoo], facts.ZOOS)
    accuracy = "accuracy %" if flags.zoo == "digits" else "published top-1 / top-5 %"
    head = ("model", "family", "pixels", "parameters", accuracy, "weights")
    rows = [head + ("can be had by",) * (flags.zoo == "imagenet")]
    rows += [_row(known, flags) for known in facts.FACTS]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _row(known: facts.Facts, flags: SimpleNamespace) -> tuple[str, ...]:
    if flags.zoo == "digits":
        meta = json.loads((EMBEDDED / known.name / "meta.json").read_text())
        accuracy, parameters, size = (
            f"{100 * meta['test_accuracy']:.1f}",
            meta["num_parameters"],
            known.digits_input_size,
        )
    else:
        accuracy = "-" if known.top1 is None else f"{known.top1} / {known.top5}"
        parameters, size = known.parameters, known.input_size
    row = (
        known.name,
        known.family,
        str(size),
        f"{parameters:,}",
        accuracy,
        _weights(known.name, flags),
    )
    return row + (_had_by(known.name),) * (flags.zoo == "imagenet")


def _had_by(name: str) -> str:
    """The commands that bring the weights, and whether the SHA-256 of what they bring is recorded."""
    archives = {"fetch study": STUDY["weights"]}
    if name in SINGLE:
        archives[f"fetch {name}"] = SINGLE[name]
    return "; ".join(
        f"{command} (hash {'known' if archive.sha256 else 'unknown'})"
        for command, archive in archives.items()
    )


def _weights(name: str, flags: SimpleNamespace) -> str:
    """Where the weights are, or "absent"."""
    if flags.weights_dir is None:
        return "embedded" if flags.zoo == "digits" else "absent"
    from model_ports import registry, weights

    try:
        return str(weights.find(registry.network(name, zoo=flags.zoo), flags.weights_dir))
    except InputError:
        return "absent"
