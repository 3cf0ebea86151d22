"""From the command line to one command: flags, the default job, and errors as one line with exit status 2."""

import difflib
import importlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from absl import flags, logging

from jaxadv.commands import options
from jaxadv.support import compilation, ending, flagfiles, places
from model_ports.errors import InputError, unknown

COMMANDS = {
    "evaluate": "attack networks, estimate CLEVER scores, transfer, and report (the default)",
    "report": "make tables and report.html again from the rows in --out",
    "compare": "several runs on one page, with differences on the same images: compare RUN RUN ...",
    "index": "list the runs in a folder: index DIR",
    "fetch": "the study's networks and pictures, or one network, from their public addresses: fetch study, fetch NAME, fetch rerun",
    "convert": "a checkpoint of a full-size network from a file of the original's weights",
    "validate": "a port against the original, which its own framework executes",
    "predict": "logits, and an input gradient, of one network for an .npy of images",
    "train": "train the small networks on digits",
    "bench": "how fast the attacks and CLEVER are beside a network's raw gradient",
    "list": "the networks",
}
DEFAULT = "evaluate"
WORDS = {"fetch": 1, "index": 1, "compare": 1000}
"""How many other words may follow a command."""
WITH_A_STUDY = (DEFAULT, "list")
"""Commands of which --study=DIR stands for other flags."""
EXAMPLES = (
    "python run.py --models=alexnet,mobilenet_v1_025 --parts=attacks,transfer,report --attacks=fgsm,cw --out=results/two",
    "python run.py evaluate --models=mobilenet_v1_025 --attacks=fgsm --eps=0.02,0.05,0.1 --parts=attacks,report --out=results/sweep",
    "python run.py report --out=results/sweep",
    "python run.py evaluate --models=mobilenet_v1_025 --attacks=ifgsm,ead --targets=least --dry_run",
    "python run.py list",
)
_PACKAGE = Path(__file__).parents[1]
FLAGFILES = next(
    folder for folder in (_PACKAGE / "flags", _PACKAGE.parent / "flags") if folder.is_dir()
)
"""The flagfiles: in the package where it is installed, beside it in a checkout."""
EMBEDDED_JOB = FLAGFILES / "embedded.flags"
ARGUMENTS = "[COMMAND] [--flags]"
_program = "run.py"  # as it was called, for messages

options.define()


def parse(arguments: list[str]) -> list[str]:
    """Parse flags; returns the program's name and the command.

    Base settings come first, then flagfiles, then the flags that are given: where one stands changes nothing. The
    base is the embedded job without a command, a flagfile and a zoo, or for --small without data and weights;
    with data or weights it is what --at_full_size says.
    """
    global _program
    _program = Path(arguments[0]).name
    if any(
        argument in ("-h", "--help", "-help", "--helpfull", "--helpshort")
        for argument in arguments[1:]
    ):
        ending.guarded(_help, _program)
        sys.exit(0)
    return ending.guarded(lambda: _parsed(arguments), _program)


def _help() -> None:
    try:
        print(help_text(), flush=True)
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(arguments: list[str]) -> list[str]:
    try:
        given, words = _split(arguments[1:])
        files = [_flagfile(flag.partition("=")[2]) for flag in given if _name(flag) == "flagfile"]
        given = [flag for flag in given if _name(flag) != "flagfile"]
        filed, _ = _split([flag for file in files for flag in flagfiles.read(file, _flagfile)])
        filed, given = _of_study(filed, given, words[0] if words else DEFAULT)
        base = _base([*filed, *given], is_bare=not words and not files)
        parsed = flags.FLAGS([arguments[0], *base, *filed, *given, "--", *words])
    except flags.Error as error:
        raise InputError(
            f"{error}; {_usage()[: -len(ARGUMENTS) - 1]} --help lists the flags"
        ) from error
    _check_command(words, [_flag_of(flag) for flag in [*filed, *given]])
    return parsed


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Flags, each with its value as --name=value, and the words between them."""
    split, words, rest = [], [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return split, [*words, *rest]
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        name = argument.lstrip("-")
        known = flags.FLAGS[name] if name in flags.FLAGS else None  # without "=" and its value
        takes_next = name == "flagfile" or (known is not None and not known.boolean)
        if "=" not in name and takes_next and rest:
            argument = f"{argument}={rest.pop(0)}"
        split.append(argument)
    return split, words


def _of_study(filed: list[str], given: list[str], command: str) -> tuple[list[str], list[str]]:
    """--study=DIR of an evaluation as the flags that it stands for; in their place, so that others may come over them."""
    names = {_name(flag) for flag in [*filed, *given]}
    if "study" not in names or command not in WITH_A_STUDY:
        return filed, given
    for name in ("data", "weights_dir"):
        if name in names:
            raise InputError(
                f"--study and --{name} are given; --study stands for --data and --weights_dir: leave one of them out"
            )

    def expanded(flag: str) -> list[str]:
        if _name(flag) != "study":
            return [flag]
        folder = places.place("--study", flag.partition("=")[2])
        weights = ["--zoo=imagenet", f"--weights_dir={folder / 'weights'}"]
        return (
            [*weights, f"--data=imagefolder:{folder / 'pictures'}"]
            if command == DEFAULT
            else weights
        )

    return [each for flag in filed for each in expanded(flag)], [
        each for flag in given for each in expanded(flag)
    ]


def _flagfile(name: str) -> Path:
    """The place of a flagfile: as it is given, or among the package's own."""
    place = places.place("--flagfile", name)
    inside = place.relative_to("flags") if place.parts[:1] == ("flags",) else place
    if not place.exists() and not place.is_absolute() and (FLAGFILES / inside).is_file():
        return FLAGFILES / inside
    return place


def _base(given: list[str], *, is_bare: bool) -> list[str]:
    """The flags to start from."""
    values = {_name(flag): flag.partition("=")[2] for flag in given}
    if {"data", "weights_dir"} & set(values):
        return [f"--{flag.partition('=')[2]}" for flag in given if _name(flag) == "at_full_size"]
    if "small" in values:
        return [*_embedded_job(), f"--attacked_images={values['small']}"]
    return _embedded_job() if is_bare and "zoo" not in values else []


def _embedded_job() -> list[str]:
    return flagfiles.read(EMBEDDED_JOB, _flagfile)


def _name(flag: str) -> str:
    return flag.lstrip("-").partition("=")[0]


def _flag_of(flag: str) -> str:
    """The name of a flag as it is defined, behind "no" too."""
    name = _name(flag)
    return name if name in flags.FLAGS else name.removeprefix("no")


def _check_command(words: list[str], given: list[str]) -> None:
    """One known command at most, and no flag of another one."""
    command = words[0] if words else DEFAULT
    if len(words) > 1 + WORDS.get(command, 0) or command not in COMMANDS:
        return  # `main` says so
    takes = options.allowed(command)
    for name in given:
        if name not in takes and name in options.known():
            others = [other for other in COMMANDS if name in options.allowed(other)]
            raise InputError(
                f"--{name} is a flag of {', '.join(others)}, and {command} does not take it; leave it out{_near(name, takes)}"
            )


def _near(name: str, takes: set[str]) -> str:
    near = difflib.get_close_matches(name, takes, 1, 0.8)
    return f", or give --{near[0]}" if near else ""


def main(arguments: list[str]) -> None:
    """Run one command. It ends as `jaxadv.support.ending` says."""
    logging.set_verbosity(
        logging.ERROR
    )  # libraries tell what they load and save, and which devices are not there
    ending.guarded(lambda: _run(arguments), _program)


def _run(arguments: list[str]) -> None:
    command, *words = arguments[1:] or [DEFAULT]
    most = WORDS.get(command, 0)
    if len(words) > most:
        raise InputError(
            f"{words[most]!r} is one word too many; one command is allowed: {_usage()}"
        )
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    settings = SimpleNamespace(**{name: flags.FLAGS[name].value for name in options.known()})
    settings.words, settings.word = words, words[0] if words else None
    for name in options.PLACES:
        if getattr(settings, name) and "://" not in getattr(settings, name):  # an address
            setattr(settings, name, os.fspath(places.place(f"--{name}", getattr(settings, name))))
    compilation.keep_programs(settings.compilation_cache)
    importlib.import_module(
        f"jaxadv.commands.{command if command != 'list' else 'list_models'}"
    ).main(settings)


def help_text() -> str:
    """The commands, and the flags in their groups."""
    lines = [f"usage: {_usage()}", "", "commands:"]
    lines += [f"  {name:10} {meaning}" for name, meaning in COMMANDS.items()]
    lines += [
        "",
        "Without arguments: the embedded job, flags/embedded.flags. --flagfile=FILE reads flags from a file,",
    ]
    lines += ["and flags/paper/ has one for each figure and table of the study."]
    begin = _usage()[: -len(ARGUMENTS) - 1]
    lines += [
        "",
        "examples:",
        *(f"  {example.replace('python run.py', begin)}" for example in EXAMPLES),
    ]
    for group, names in options.GROUPS.items():
        lines += ["", f"{group}:"]
        for flag in (flags.FLAGS[name] for name in names):
            default = (
                ""
                if flag.default is None
                else f" (default {str(flag.default_as_str).strip(chr(39))})"
            )
            lines.append(f"  --{flag.name}: {flag.help}{default}")
    return "\n".join(lines)


def _usage() -> str:
    return f"{'python ' * _program.endswith('.py')}{_program} {ARGUMENTS}"
