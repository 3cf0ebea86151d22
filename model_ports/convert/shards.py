"""Reads safetensors in several files: an index in JSON, and the parts beside it.

Hugging Face's libraries split large networks in this way.
"""

import json
import re
from pathlib import Path

import numpy as np

from model_ports.convert import safetensors
from model_ports.convert.arrays import LEFT_ASIDE, LIMIT
from model_ports.errors import InputError, said

FORMAT = "sharded .safetensors"
ENDING = ".safetensors.index.json"
_MOST = 2**26  # the largest index, in bytes
_SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})\.safetensors")


def files(index: Path) -> list[Path]:
    """The index and its parts, sorted by name.

    Raises:
        InputError: if the index cannot be used.
    """
    return [index, *sorted({index.parent / shard for shard in _places(index).values()})]


def read(index: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the arrays of all parts.

    Args:
        index: the index.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by name.

    Raises:
        InputError: if a file is missing or cannot be used.
    """
    places = _places(index)
    merged: dict[str, np.ndarray] = {}
    for path in files(index)[1:]:
        if not path.is_file():
            raise InputError(
                f"{index} names {path.name}, which is not beside it; put all its parts there"
            )
        arrays = safetensors.read(path, limit)
        limit -= sum(array.nbytes for array in arrays.values())
        expected = [
            name
            for name, file in places.items()
            if file == path.name and not LEFT_ASIDE.fullmatch(name)
        ]
        wrong = next(iter(arrays.keys() ^ set(expected)), None)
        if wrong is not None:
            raise InputError(
                f"{path}: {wrong[:80]!r} is not where {index.name} says; give parts and index of "
                "one model"
            )
        merged |= arrays
    return merged


def check_is_whole(path: Path) -> None:
    """Check that a file is not one part of several.

    Raises:
        InputError: if it is.
    """
    match = _SHARD.fullmatch(path.name)
    if match:
        raise InputError(
            f"{path} is one of {int(match[2])} parts; give their index, {match[1]}{ENDING}, with "
            "all parts beside it"
        )


def _places(index: Path) -> dict[str, str]:
    """The file name of each array's part, without folders."""
    try:
        if index.stat().st_size > _MOST:
            raise ValueError("it is too long")
        places = json.loads(index.read_bytes())["weight_map"]
        if not places or not all(isinstance(text, str) for pair in places.items() for text in pair):
            raise ValueError("its weight_map is no table of names")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = said(error)
        raise InputError(
            f"{index} is no index of safetensors, or it is damaged ({reason}); copy it again"
        ) from None
    odd = next(
        (name for name in places.values() if not re.fullmatch(r"[^/\\\0]+\.safetensors", name)),
        None,
    )
    if odd is not None:
        raise InputError(
            f"{index} names {odd[:80]!r}; its parts must be .safetensors files beside it"
        )
    return places
