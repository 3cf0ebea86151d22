"""A bit of a file changes: it is told, or mended, or harmless. Never silent, and the next command
is never stuck.

``pytest -m long tests/store/test_bits.py --bits=2000 -n 0`` takes so many bits of every kind of
file, and prints what became of them.
"""

import json
import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from damaged_kinds import AGAIN, MAKERS, Kind

from model_ports.errors import InputError

FEW, MANY = 50, 300
"""Bits of each kind: of the quick suite, and of the slow one."""
QUIET = ("list of files", "log")
"""The manifest has a copy of the one. Of the other the first line alone is looked at."""


def is_same(found, expected) -> bool:
    """To the bit."""
    if isinstance(expected, pd.DataFrame):
        return isinstance(found, pd.DataFrame) and found.equals(expected)
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(is_same(found[name], value) for name, value in expected.items())
        )
    if isinstance(expected, np.ndarray):
        return isinstance(found, np.ndarray) and found.tobytes() == expected.tobytes()
    return type(found) is type(expected) and found == expected


def became(kind: Kind, expected, said) -> str:
    """What a command makes of a damaged file: in a word."""
    try:
        found = kind.look()
    except InputError as error:
        line = str(error)
        assert line and "\n" not in line and len(line) < 1000
        return "told"
    line = said()
    if is_same(found, expected):
        return "mended" if line else "harmless"
    return "mended" if isinstance(found, str) and found == AGAIN else "silent"


def flip(kind: Kind, count: int, said) -> Counter[str]:
    """Changes a bit, again and again, and counts what became of it."""
    wholes = [path.read_bytes() for path in kind.files]
    sizes, chance, counts = [len(whole) for whole in wholes], random.Random(count), Counter[str]()
    expected = kind.look()
    said()
    for _ in range(count):
        # Files in turn as often as they are large, or small: the small ones say what the large ones
        # are.
        (at,) = chance.choices(range(len(sizes)), sizes if chance.random() < 0.5 else None)
        place = chance.randrange(8 * sizes[at])
        changed = bytearray(wholes[at])
        changed[place // 8] ^= 1 << place % 8
        kind.files[at].write_bytes(changed)
        word = became(kind, expected, said)
        counts[word] += 1
        where = f"bit {place % 8} of byte {place // 8} of {kind.files[at]}"
        assert word != "silent", where
        if kind.again is None:
            kind.files[at].write_bytes(wholes[at])
        else:
            kind.again()
        assert is_same(kind.look(), expected), f"{where}: what was done then did not help"
        said()
        for path, whole in zip(kind.files, wholes, strict=True):
            path.write_bytes(whole)
    return counts


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", MAKERS)
def test_no_bit_changes_without_a_word(tmp_path, capsys, pytestconfig, name, count):
    def said() -> str:
        return capsys.readouterr().err

    if count == MANY:
        count = pytestconfig.getoption("bits") or MANY
    counts = flip(MAKERS[name](tmp_path), count, said)
    with capsys.disabled():
        if pytestconfig.getoption("bits"):
            print(f"\n{name}: {json.dumps(counts)}")
    assert counts.total() == count and not counts["silent"]
    assert name in QUIET or counts["told"] + counts["mended"] > count // 4
