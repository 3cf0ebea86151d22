"""The one error a user is meant to read: a single line that names the value, what is allowed, and the remedy."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The command line prints it as one line and exits with status 2."""


def unknown(kind: str, value: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a list, with the nearest one that is.

    >>> str(unknown("model", "vgg61", ["vgg_16", "alexnet"]))
    "unknown model 'vgg61'; did you mean 'vgg_16'? known: vgg_16, alexnet"
    """
    known = list(known)
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {value!r}; {hint}known: {', '.join(known)}")
