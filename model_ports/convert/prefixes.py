"""Prefixes that wrappers put before all names of a file: "module.", "timm_model.model.", "import/", "tower_0/"."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from model_ports.errors import InputError
from model_ports.weight_map import IGNORED, Row

Value = TypeVar("Value")


def common(names: Iterable[str], separator: str) -> list[str]:
    """The prefixes that all names have, from none to the longest.

    >>> common(["module.net.a.weight", "module.net.a.bias"], ".")
    ['', 'module.', 'module.net.', 'module.net.a.']
    """
    split = [name.split(separator)[:-1] for name in names]
    if not split:
        return [""]
    found, prefix = [""], ""
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        prefix += parts[0] + separator
        found.append(prefix)
    return found


def stripped(
    values: Mapping[str, Value], separator: str, fits: Callable[[str], bool]
) -> dict[str, Value]:
    """The values without the prefix of all names, if more of the names fit without it.

    Args:
        values: by name.
        separator: between the parts of a name.
        fits: whether a name is one of the network's.

    Raises:
        InputError: names the prefix if no name fits, with it or without.
    """
    prefixes = common(values, separator)
    counts = [sum(fits(name.removeprefix(prefix)) for name in values) for prefix in prefixes]
    best = prefixes[counts.index(max(counts))]  # the shortest of equals
    if len(prefixes) > 1 and not max(counts):
        raise InputError(
            f"all {len(values)} names begin with {prefixes[-1]!r}, and do not fit the network with it or without; "
            "give the file of this very model"
        )
    return {name.removeprefix(best): value for name, value in values.items()}


def without(arrays: Mapping[str, Value], weight_map: Iterable[Row]) -> dict[str, Value]:
    """The same for TensorFlow's names: those that fit are in a port's weight map. `assemble` tells what does not fit."""
    rows = [re.compile(pattern) for pattern, _, _ in weight_map] + [
        re.compile(pattern) for pattern in IGNORED
    ]

    def fits(name: str) -> bool:
        return any(row.fullmatch(name) for row in rows)

    prefixes = common(arrays, "/")
    if not any(fits(name.removeprefix(prefix)) for prefix in prefixes for name in arrays):
        return dict(arrays)  # of another network
    return stripped(arrays, "/", fits)
