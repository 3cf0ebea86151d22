"""Flags that stand for other flags: the base, which all others override, and --study."""

from collections.abc import Callable, Sequence

from jaxadv.support import flagfiles, places
from model_ports.errors import InputError

LONGEST = 100
"""Characters of a flag's name. absl compares unknown names with the known ones by a recursion of
their length.
"""


GONE = ("multihost", "coordinator", "processes", "process")
"""Flags of earlier versions. --join replaces them."""


def name(flag: str) -> str:
    """The name in a flag as it is given, such as "--eps=0.1"."""
    return flag.lstrip("-").partition("=")[0]


def split(
    arguments: Sequence[str], takes_value: Callable[[str], bool]
) -> tuple[list[str], list[str]]:
    """Separate flags from the words between them.

    Args:
        arguments: the words of a command line.
        takes_value: whether the value of the flag of a name may be the next word.

    Returns:
        The flags, each with its value as --name=value, and the words. What follows -- are words.
    """
    found: list[str] = []
    words: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return found, [*words, *rest]
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        plain = argument.lstrip("-")
        if "=" not in plain and takes_value(plain) and rest:
            argument = f"{argument}={rest.pop(0)}"
        found.append(argument)
    return found, words


def base(given: Sequence[str], *, is_bare: bool) -> list[str]:
    """The flags that all others override.

    Args:
        given: flags, each with its value as --name=value.
        is_bare: whether there is neither a command nor a flagfile.

    Returns:
        What --at_full_size says if --data or --weights_dir is given. Else the embedded job, with
        --small or if nothing names another job.

    Raises:
        InputError: if the flagfile of the embedded job cannot be read, if a name is too long to be
            a flag's, or if a flag is gone.
    """
    long = next((flag for flag in given if len(name(flag)) > LONGEST), None)
    if long is not None:
        raise InputError(
            f"the flag {long[:40]!r}... is not known; its name is longer than {LONGEST} characters"
        )
    gone = next((name(flag) for flag in given if name(flag) in GONE), None)
    if gone is not None:
        raise InputError(
            f"--{gone} is gone, since processes have no numbers any more; give each of them --join "
            "and the same --out"
        )
    values = {name(flag): flag.partition("=")[2] for flag in given}
    if {"data", "weights_dir"} & set(values):
        return [f"--{flag.partition('=')[2]}" for flag in given if name(flag) == "at_full_size"]
    if "small" in values:
        return [*flagfiles.read(flagfiles.EMBEDDED_JOB), f"--attacked_images={values['small']}"]
    is_embedded = is_bare and "zoo" not in values
    return flagfiles.read(flagfiles.EMBEDDED_JOB) if is_embedded else []


def expand_study(some: Sequence[str], of_all: Sequence[str], *, with_data: bool) -> list[str]:
    """Replace --study=DIR by the flags that it stands for, in its place, so that later flags
    override them.

    Args:
        some: the flags in which it is replaced.
        of_all: all flags of the command line.
        with_data: whether --data is among the flags that it stands for.

    Returns:
        The flags.

    Raises:
        InputError: if --data or --weights_dir is given too.
    """
    names = {name(flag) for flag in of_all}
    if "study" not in names:
        return [*some]
    for other in ("data", "weights_dir"):
        if other in names:
            raise InputError(
                f"--study and --{other} are given; --study stands for --data and --weights_dir: "
                "leave one of them out"
            )
    expanded: list[str] = []
    for flag in some:
        if name(flag) != "study":
            expanded.append(flag)
            continue
        folder = places.place("--study", flag.partition("=")[2])
        expanded += ["--zoo=imagenet", f"--weights_dir={folder / 'weights'}"]
        expanded += [f"--data=imagefolder:{folder / 'pictures'}"] * with_data
    return expanded
