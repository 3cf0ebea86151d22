"""Reads the values of flags: names, numbers and pairs. Each error is one line."""

import difflib
from collections.abc import Iterable, Sequence
from fractions import Fraction

from model_ports.errors import InputError, unknown


def chosen(name: str, values: Sequence[str] | None, allowed: Sequence[str]) -> list[str]:
    """Read names from a list-valued flag.

    Args:
        name: the flag.
        values: its entries.
        allowed: the known names.

    Returns:
        The names without repeats, in order.

    Raises:
        InputError: if there is no name, or an unknown one.
    """
    names = list(dict.fromkeys(value.strip() for value in values or [] if value.strip()))
    if not names:
        raise InputError(f"--{name} is empty; give some of {', '.join(allowed)}")
    for value in names:
        if value not in allowed:
            raise unknown(name.rstrip("s").replace("_", " "), value, allowed)
    return names


def near(name: str, flags: Iterable[str]) -> str:
    """The end of a message: the flag that is most like an unknown one. Empty if none is alike."""
    alike = difflib.get_close_matches(name, flags, 1, 0.8)
    return f", or give --{alike[0]}" if alike else ""


def models(values: Sequence[str], known: Sequence[str], others: Sequence[str] = ()) -> list[str]:
    """Read the networks that --models names. "all" stands for every known one.

    Args:
        values: the values of the flag.
        known: the networks of the zoo.
        others: forms of names that are allowed too, such as "timm:NAME".

    Raises:
        InputError: if there is no name, or an unknown one.
    """
    if list(values) == ["all"]:
        return list(known)
    libraries = tuple(form.partition(":")[0] + ":" for form in others)
    names = [value.strip() for value in values]
    foreign = [name for name in names if libraries and name.startswith(libraries)]
    return chosen("models", values, [*known, *(foreign or others)])


def number(text: str) -> float:
    """Read a number, or a fraction such as 8/255.

    Raises:
        ValueError: for anything else.
    """
    if "/" in text:
        try:
            return float(Fraction(text.strip()))
        except ZeroDivisionError:
            raise ValueError(text) from None
    return float(text)


def written(value: object) -> str:
    """A value as a flag takes it: six digits of a number, or a fraction where those are not enough.

    >>> [written(value) for value in (0.1, 8 / 255, 3, "linf")]
    ['0.1', '8/255', '3', 'linf']
    """
    if not isinstance(value, float):
        return str(value)
    short, fraction = f"{value:g}", Fraction(value).limit_denominator(1000)
    if float(short) == value:
        return short
    return f"{fraction}" if float(fraction) == value else repr(value)


def numbers(name: str, values: Sequence[str], kind: type = float) -> list:
    """Read numbers from a list-valued flag.

    Args:
        name: the flag.
        values: its entries.
        kind: float, which allows fractions such as 8/255, or int.

    Returns:
        The numbers in order.

    Raises:
        InputError: for an entry that is not a number, or if there is none.
    """
    try:
        parsed = [number(value) if kind is float else kind(value) for value in values]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(
            f"--{name} is {','.join(values)!r}; {what} separated by commas are needed"
        ) from None
    if not parsed:
        raise InputError(f"--{name} is empty; give at least one number")
    return parsed


def ensembles(values: Sequence[str] | None) -> list[list[str]]:
    """Read the members of each ensemble: ["a+b"] gives [["a", "b"]].

    Raises:
        InputError: if an ensemble has fewer than two different members.
    """
    members = [[member.strip() for member in value.split("+")] for value in values or []]
    for value, names in zip(values or [], members, strict=True):
        if len(set(names)) < max(2, len(names)) or not all(names):
            raise InputError(
                f"--ensembles has {value!r}; two or more different networks joined by '+' are "
                "needed, such as vgg_16+alexnet"
            )
    return members


def input_sizes(values: Sequence[str] | None) -> dict[str, int]:
    """Read input sizes in pixels by network, from ["mobilenet_v1_025=128"].

    Raises:
        InputError: for an entry that is not NAME=PIXELS.
    """
    pairs = [value.partition("=") for value in values or []]
    if not all(name and size for name, _, size in pairs):
        raise InputError(
            f"--input_size is {','.join(values or [])!r}; NAME=PIXELS of networks of the zoo are "
            "needed, separated by commas"
        )
    return {name: _pixels([size]) for name, _, size in pairs}


def input_size(values: Sequence[str] | None) -> int | None:
    """Read the input size in pixels for the one network of predict or validate, from ["128"].

    Raises:
        InputError: unless there is exactly one whole number of at least 1.
    """
    return None if values is None else _pixels(values)


def _pixels(values: Sequence[str]) -> int:
    sizes = numbers("input_size", values, int)
    if len(sizes) > 1:
        raise InputError(
            f"--input_size is {','.join(values)!r}; one number of pixels is needed, for --model"
        )
    if sizes[0] < 1:
        raise InputError(f"input_size is {sizes[0]}; it must be a whole number of at least 1")
    return sizes[0]
