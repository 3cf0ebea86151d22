"""Removes prefixes that wrappers put before all names of a file, such as "module." or "import/"."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from model_ports.errors import InputError
from model_ports.weight_map import IGNORED, Row

Value = TypeVar("Value")


def common(names: Iterable[str], separator: str) -> list[str]:
    """The prefixes that all names share, from the empty one to the longest.

    Args:
        names: the names.
        separator: what separates the parts of a name.

    >>> common(["module.net.a.weight", "module.net.a.bias"], ".")
    ['', 'module.', 'module.net.', 'module.net.a.']
    """
    split = [name.split(separator)[:-1] for name in names]
    if not split:
        return [""]
    prefixes = [""]
    prefix = ""
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        prefix += parts[0] + separator
        prefixes.append(prefix)
    return prefixes


def stripped(
    values: Mapping[str, Value], separator: str, fits: Callable[[str], bool]
) -> dict[str, Value]:
    """Remove the common prefix of all names, if more of the names fit without it.

    Args:
        values: the values by name.
        separator: what separates the parts of a name.
        fits: returns True for a name that the network has.

    Raises:
        InputError: if no name fits, with the prefix or without. The error names the prefix.
    """
    prefixes = common(values, separator)
    counts = [sum(fits(name.removeprefix(prefix)) for name in values) for prefix in prefixes]
    best = prefixes[counts.index(max(counts))]  # the shortest, if several fit equally well
    if len(prefixes) > 1 and not max(counts):
        raise InputError(
            f"all {len(values)} names begin with {prefixes[-1]!r}, and do not fit the network with "
            "it or without; give the file of this very model"
        )
    return {name.removeprefix(best): value for name, value in values.items()}


def without(arrays: Mapping[str, Value], weight_map: Iterable[Row]) -> dict[str, Value]:
    """Remove the common prefix of TensorFlow's names, if they then fit a port's weight map.

    If no name fits, the arrays stay as they are, and `assemble` reports the problem.

    Args:
        arrays: the values by name.
        weight_map: the port's weight map.
    """
    rows = [re.compile(pattern) for pattern, _, _ in weight_map] + [
        re.compile(pattern) for pattern in IGNORED
    ]

    def fits(name: str) -> bool:
        return any(row.fullmatch(name) for row in rows)

    prefixes = common(arrays, "/")
    if not any(fits(name.removeprefix(prefix)) for prefix in prefixes for name in arrays):
        return dict(arrays)  # they are of another network
    return stripped(arrays, "/", fits)
