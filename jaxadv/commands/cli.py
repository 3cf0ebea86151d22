"""From the command line to one command: flags, the default job, and errors as one line with exit status 2."""

import hashlib
import importlib
import os
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

from absl import flags, logging

from jaxadv.commands import options
from jaxadv.support import machine
from model_ports.errors import InputError, unknown

COMMANDS = {
    "evaluate": "attack networks, estimate CLEVER scores, transfer, and report (the default)",
    "report": "make tables and report.html again from the rows in --out",
    "convert": "a checkpoint of a full-size network from a file of the original's weights",
    "validate": "a port against the original, which its own framework executes",
    "predict": "logits, and an input gradient, of one network for an .npy of images",
    "train": "train the small networks on digits",
    "bench": "how fast the attacks and CLEVER are beside a network's raw gradient",
    "list": "the networks",
}
_HOME = {
    "evaluate": "jaxadv.evaluation.scheduler",
    "report": "jaxadv.report.remake",
    "convert": "jaxadv.commands.convert",
    "validate": "jaxadv.validation.validate",
    "predict": "jaxadv.validation.predict",
    "train": "jaxadv.training.train",
    "bench": "jaxadv.benchmark.bench",
    "list": "jaxadv.commands.list_models",
}
EXAMPLES = (
    "python run.py --models=alexnet,mobilenet_v1_025 --parts=attacks,transfer,report --attacks=fgsm,cw --out=results/two",
    "python run.py evaluate --models=mobilenet_v1_025 --attacks=fgsm --eps=0.02,0.05,0.1 --parts=attacks,report --out=results/sweep",
    "python run.py report --out=results/sweep",
    "python run.py evaluate --models=mobilenet_v1_025 --attacks=ifgsm,ead --targets=least --dry_run",
    "python run.py list",
)
EMBEDDED_JOB = Path(__file__).parents[2] / "flags" / "embedded.flags"
USAGE = "python run.py [COMMAND] [--flags]"

options.define()


def parse(arguments: list[str]) -> list[str]:
    """Parse flags; returns the program's name and the command.

    Without a command, a flagfile and a zoo it is the embedded job, whose flags then come before the given ones. They also come in the place
    of --small=IMAGES, unless data or weights are given: a flagfile with it fits the full-size zoo and the embedded one.
    """
    if any(argument in ("-h", "--help", "-help", "--helpfull", "--helpshort") for argument in arguments[1:]):
        try:
            print(help_text(), flush=True)
        except BrokenPipeError:  # of `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    positional = [argument for argument in arguments[1:] if not argument.startswith("-")]
    if not positional and not {"flagfile", "zoo"} & _names(arguments):
        arguments = [arguments[0], f"--flagfile={EMBEDDED_JOB}", *arguments[1:]]
    try:
        arguments = flags.FLAGS.read_flags_from_files(arguments)
        if not {"data", "weights_dir"} & _names(arguments):
            arguments = [each for argument in arguments for each in (argument, *_in_small(argument))]
        return flags.FLAGS(arguments)
    except flags.Error as error:
        _fail(" ".join(str(error).split()) + f"; {sys.argv[0]} --help lists the flags")


def _in_small(argument: str) -> list[str]:
    """What else --small=IMAGES says."""
    name, _, images = argument.lstrip("-").partition("=")
    if name != "small":
        return []
    return [*flags.FLAGS.read_flags_from_files([f"--flagfile={EMBEDDED_JOB}"]), f"--attacked_images={images}"]


def _names(arguments: list[str]) -> set[str]:
    return {argument.lstrip("-").partition("=")[0] for argument in arguments[1:]}


def main(arguments: list[str]) -> None:
    """Run one command. Bad input ends in one line and status 2."""
    logging.set_verbosity(logging.ERROR)  # libraries tell what they load and save, and which devices are not there
    try:
        if len(arguments) > 2:
            raise InputError(f"{arguments[2]!r} is one word too many; one command is allowed: {USAGE}")
        command = arguments[1] if len(arguments) == 2 else "evaluate"
        if command not in COMMANDS:
            raise unknown("command", command, COMMANDS)
        names = [name for group in options.GROUPS.values() for name in group]
        settings = SimpleNamespace(**{name: flags.FLAGS[name].value for name in names})
        _keep_compiled_programs(settings.compilation_cache)
        importlib.import_module(_HOME[command]).main(settings)
    except InputError as error:
        _fail(" ".join(str(error).split()))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr, flush=True)
        os._exit(130)  # without waiting for what other threads are at: all that is written is whole


def _keep_compiled_programs(folder: str) -> None:
    """Let JAX keep what it compiles in ``folder``, for this processor and its user alone; nothing if that is empty or cannot be."""
    if not folder or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    processor = machine.cpu_information().partition("flags")[2].partition("\n")[0] or platform.processor()
    name = f"{platform.machine()}-{hashlib.sha256(processor.encode()).hexdigest()[:8]}"
    place = Path(folder).expanduser() / name
    try:
        place.parent.parent.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(place)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def help_text() -> str:
    """The commands, and the flags in their groups."""
    lines = [f"usage: {USAGE}", "", "commands:"]
    lines += [f"  {name:10} {meaning}" for name, meaning in COMMANDS.items()]
    lines += ["", "Without arguments: the embedded job, flags/embedded.flags. --flagfile=FILE reads flags from a file,"]
    lines += ["and flags/paper/ has one for each figure and table of the study."]
    lines += ["", "examples:", *(f"  {example}" for example in EXAMPLES)]
    for group, names in options.GROUPS.items():
        lines += ["", f"{group}:"]
        for flag in (flags.FLAGS[name] for name in names):
            default = "" if flag.default is None else f" (default {flag.default_as_str.strip(chr(39))})"
            lines.append(f"  --{flag.name}: {flag.help}{default}")
    return "\n".join(lines)


def _fail(message: str) -> None:
    print(f"run.py: {message}", file=sys.stderr)
    sys.exit(2)
