"""Damaged and hostile versions of a file: bits, lengths, cuts, and pieces of other files."""

import random
import re
from collections.abc import Callable, Sequence

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
LARGE = (2**40, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
"""Lengths that programs trip over."""
TEXTS = (
    *("0", "-1", "1.5", "NaN", "1e999", "-0", "99999999999", "1099511627776", "9" * 30, "9" * 5000),
    *("null", "true", '""', "[]", "{}", "\\ud800", "\0", "\u00e9", "'", '"', "\n", "," * 300),
)
"""What stands in place of a number or a word of a text."""
_DIGITS, _WORD = re.compile(rb"\d+"), re.compile(rb"[A-Za-z_]{2,}")

Change = Callable[[bytearray, Sequence[bytes], random.Random], None]


def mutated(seed: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Another version of a file.

    Args:
        seed: the file.
        others: of its kind, from which pieces are taken.
        chance: the same gives the same again.
    """
    content = bytearray(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        chance.choice(CHANGES)(content, others, chance)
    return bytes(content)


def _place(content: bytearray, chance: random.Random) -> int:
    """Anywhere, but more often where headers are."""
    if chance.random() < 0.4:
        edge = chance.randrange(min(64, len(content) or 1))
        return edge if chance.random() < 0.5 else max(0, len(content) - 1 - edge)
    return chance.randrange(len(content) or 1)


def _flip(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8))):
        if content:
            content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _set(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    if content:
        content[_place(content, chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x5B, 0x2D))


def _length(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    """A number of 1, 2, 4 or 8 bytes."""
    size = chance.choice((1, 2, 4, 4, 8))
    number = chance.choice(NUMBERS + (LARGE if size == 8 else ()) + (len(content),))
    at = _place(content, chance)
    number = (number + chance.choice((-1, 0, 0, 1))) % 256**size
    content[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))


def _cut(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    del content[_place(content, chance) :]


def _remove(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 2, 4, 16, 100, 1000))]


def _repeat(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at = _place(content, chance)
    piece = bytes(content[at : at + chance.choice((1, 4, 30, 300))])
    content[at:at] = piece * chance.choice((1, 2, 10, 10, 4000 // (len(piece) or 1)))


def _zeros(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    """As a crash leaves it."""
    at = _place(content, chance)
    end = chance.choice((len(content), min(len(content), at + 512)))
    content[at:end] = bytes(end - at)


def _splice(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others) if others else b""
    begin = chance.randrange(len(other) or 1)
    piece = other[begin : begin + chance.choice((4, 30, 300, 10**6))]
    at = _place(content, chance)
    content[at : at + chance.choice((0, len(piece)))] = piece


def _number(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    """In a text."""
    _replace(_DIGITS, content, chance)


def _word(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    _replace(_WORD, content, chance)


def _replace(pattern: re.Pattern[bytes], content: bytearray, chance: random.Random) -> None:
    start = _place(content, chance)
    found = pattern.search(content, start) or pattern.search(content)
    if found:
        content[found.start() : found.end()] = chance.choice(TEXTS).encode()


def _nest(content: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    """Brackets, more than a parser follows."""
    at = _place(content, chance) if chance.random() < 0.5 else 0
    depth = chance.choice((50, 600, 990, 1500, 3000, 100_000))
    content[at:at] = chance.choice((b"[", b'{"a":', b"(", b"\x0a\x02")) * depth


CHANGES: tuple[Change, ...] = (
    *(_flip, _flip, _set, _length, _length, _cut, _remove, _repeat, _zeros, _splice),
    *(_number, _number, _word, _nest),
)
