"""Parses the command line, and runs one command.

Every error becomes one line and an exit status, as `jaxadv.support.ending` describes.
"""

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from absl import flags, logging

from jaxadv.commands import options
from jaxadv.support import compilation, ending, flagfiles, freed_memory, places, precedence, values
from model_ports.errors import InputError, unknown

COMMANDS = {
    "evaluate": "attack networks, estimate CLEVER scores, test transfer, and report (the default)",
    "report": "make tables and report.html again from the rows in --out",
    "compare": "several runs on one page, by image where they share images: compare RUN RUN ...",
    "index": "list the runs in a folder: index DIR",
    "status": "how far the run in --out is, who works on it, and how long it still takes",
    "fetch": "download the study (fetch study), a network (fetch NAME) or a re-run (fetch rerun)",
    "convert": "make a checkpoint of a full-size network from a file of the original's weights",
    "validate": "compare a port with the original, which its own framework executes",
    "predict": "write logits and an input gradient of one network, for images in an .npy file",
    "train": "train the small networks on digits",
    "bench": "measure the speed of attacks and CLEVER, compared with a network's raw gradient",
    "list": "list the networks",
}
DEFAULT = "evaluate"
WORDS = {"fetch": 1, "index": 1, "compare": 1000}
"""The most further words of a command."""
WITH_A_STUDY = (DEFAULT, "list")
"""Commands for which --study=DIR stands for other flags."""
CONTINUE = (DEFAULT, "fetch")
"""Commands that go on where they were interrupted. The others begin anew."""
KEEP_MEMORY = (DEFAULT, "bench", "train")
"""Commands that call networks many times. The others would hold what they have freed."""
WITHOUT = {("bench", "attacks"): "bench measures all attacks"}
"""Why a command lacks a flag that one may expect of it."""
EXAMPLES = (
    "python run.py --models=alexnet,mobilenet_v1_025 --attacks=fgsm,cw --out=results/two",
    "python run.py evaluate --models=alexnet --attacks=fgsm --eps=0.02,0.05 --parts=attacks,report --out=results/sweep",
    "python run.py report --out=results/sweep",
    "python run.py evaluate --models=alexnet --attacks=ifgsm,ead --targets=least --dry_run",
    "python run.py list",
)
ARGUMENTS = "[COMMAND] [--flags]"
_program = "run.py"  # the name that the program was called by

options.define()


def parse(arguments: list[str]) -> list[str]:
    """Parse the command line.

    Base settings come first (`jaxadv.support.precedence.base`), then flagfiles, then the given
    flags. The position of a flag on the command line has no effect. ``arguments`` begin with the
    program's name.

    Returns the program's name and the words of the command. The flags are in absl's `FLAGS`.
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
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(arguments: list[str]) -> list[str]:
    try:
        given, words = precedence.split(arguments[1:], _takes_value)
        files = [
            flagfiles.find(flag.partition("=")[2])
            for flag in given
            if precedence.name(flag) == "flagfile"
        ]
        given = [flag for flag in given if precedence.name(flag) != "flagfile"]
        in_files = [flag for file in files for flag in flagfiles.read(file)]
        filed, _ = precedence.split(in_files, _takes_value)
        command = words[0] if words else DEFAULT
        if command in WITH_A_STUDY:
            expand = partial(
                precedence.expand_study, of_all=[*filed, *given], with_data=command == DEFAULT
            )
            filed, given = expand(filed), expand(given)
        base = precedence.base([*filed, *given], is_bare=not words and not files)
        parsed = flags.FLAGS([arguments[0], *base, *filed, *given, "--", *words])
    except flags.Error as error:
        raise InputError(f"{error}; {_caller()} --help lists the flags") from error
    _check_command(words, [_flag_of(flag) for flag in [*filed, *given]])
    return parsed


def _takes_value(name: str) -> bool:
    """Whether a flag's value may be the next word."""
    return name == "flagfile" or (name in flags.FLAGS and not flags.FLAGS[name].boolean)


def _flag_of(flag: str) -> str:
    """The name under which a flag is defined: without a "no" that negates it."""
    name = precedence.name(flag)
    return name if name in flags.FLAGS else name.removeprefix("no")


def _check_command(words: list[str], given: list[str]) -> None:
    """Refuse flags that belong to other commands only."""
    command = words[0] if words else DEFAULT
    if len(words) > 1 + WORDS.get(command, 0) or command not in COMMANDS:
        return  # `main` reports this
    takes = options.allowed(command)
    for name in given:
        if name not in takes and name in options.known():
            others = [other for other in COMMANDS if name in options.allowed(other)]
            reason = WITHOUT.get((command, name), "")
            raise InputError(
                f"--{name} is a flag of {', '.join(others)}, and {command} does not take it"
                f"{f': {reason}' if reason else ''}; leave it out{values.near(name, takes)}"
            )


def main(arguments: list[str]) -> None:
    """Run one command. `jaxadv.support.ending` describes how it ends.

    Args:
        arguments: the program's name and the words of the command, as `parse` returns them.
    """
    logging.set_verbosity(logging.ERROR)  # libraries log each file that they load and save
    command = arguments[1] if len(arguments) > 1 else DEFAULT
    ending.guarded(lambda: _run(arguments), _program, continues=command in CONTINUE)


def _run(arguments: list[str]) -> None:
    command, *words = arguments[1:] or [DEFAULT]
    most = WORDS.get(command, 0)
    if len(words) > most:
        raise InputError(
            f"{words[most]!r} is one word too many; one command is allowed: {_caller()} {ARGUMENTS}"
        )
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    settings = SimpleNamespace(**{name: flags.FLAGS[name].value for name in options.known()})
    settings.words, settings.word = words, words[0] if words else None
    places.working_folder()
    for name in options.PLACES:
        if getattr(settings, name) == "" and name != "compilation_cache":
            raise InputError(f"--{name} is empty; give a path, or leave the flag out")
        if getattr(settings, name) and "://" not in getattr(settings, name):  # no web address
            setattr(settings, name, os.fspath(places.place(f"--{name}", getattr(settings, name))))
    compilation.keep_programs(settings.compilation_cache)
    if command not in KEEP_MEMORY:
        freed_memory.let_go()
    module = "list_models" if command == "list" else command
    importlib.import_module(f"jaxadv.commands.{module}").main(settings)


def help_text() -> str:
    """The commands, and the flags in groups."""
    lines = [
        f"usage: {_caller()} {ARGUMENTS}",
        "",
        "commands:",
        *(f"  {name:10} {meaning}" for name, meaning in COMMANDS.items()),
        "",
        "Without arguments, the embedded job runs. --flagfile=FILE reads flags from a file.",
        "flags/paper/ has a flagfile for each figure and table of the study.",
        "",
        "examples:",
        *(f"  {example.replace('python run.py', _caller())}" for example in EXAMPLES),
    ]
    for group, names in options.GROUPS.items():
        lines += ["", f"{group}:"]
        for flag in (flags.FLAGS[name] for name in names):
            value = str(flag.default_as_str).strip("'")
            default = "" if flag.default is None else f" (default {value})"
            lines.append(f"  --{flag.name}: {flag.help}{default}")
    return "\n".join(lines)


def _caller() -> str:
    """The words that call this program."""
    return f"{'python ' * _program.endswith('.py')}{_program}"
