"""The error that users see: a single line with the value, what is allowed, and the remedy."""

import difflib
from collections import Counter
from collections.abc import Iterable

LONGEST = 900
"""The most characters of an error. The texts of other libraries may contain whole files."""


MOST_SAID = 200
"""The most characters of another library's message within one of ours."""


class InputError(ValueError):
    """Bad input. The command line prints it as one line and exits with status 2.

    Args:
        text: the line. Several lines become one. Of a text above `LONGEST` characters, the middle is left out: the value
            stands at the beginning, and the remedy at the end.
    """

    def __init__(self, text: str = ""):
        text = " ".join(text.splitlines())
        end = LONGEST // 4
        is_long = len(text) > LONGEST
        super().__init__(f"{text[: LONGEST - end - 5]} ... {text[-end:]}" if is_long else text)


def said(error: BaseException) -> str:
    """What an error of another library says, for a message of ours.

    Returns:
        One line of at most `MOST_SAID` characters: the message may contain whole files. The error's
        kind if it says nothing.
    """
    return " ".join(str(error).split())[:MOST_SAID] or type(error).__name__


def _likeness(value: str, name: str) -> tuple[float, int]:
    """The similarity of two names: first in order, then the number of characters that both have.

    The second number helps with swapped digits.
    """
    return difflib.SequenceMatcher(None, value, name).ratio(), (
        Counter(value) & Counter(name)
    ).total()


def unknown(kind: str, value: str, known: Iterable[str]) -> InputError:
    """Make the error for a name that is not in a list. It suggests the most similar known name.

    Args:
        kind: what the name should be, such as "model".
        value: the unknown name.
        known: the known names.

    >>> str(unknown("model", "vgg61", ["vgg_16", "alexnet"]))
    "unknown model 'vgg61'; did you mean 'vgg_16'? known: vgg_16, alexnet"
    """
    known = list(known)
    asked = str(value).lower()
    near = max(known, key=lambda name: _likeness(asked, name.lower()), default="")
    hint = f"did you mean {near!r}? " if near and _likeness(asked, near.lower())[0] >= 0.6 else ""
    return InputError(f"unknown {kind} {value!r}; {hint}known: {', '.join(known)}")
