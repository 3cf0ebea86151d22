"""Measures a GPU within a few minutes: the speed in each precision, and what a precision changes.

    python -m jaxadv.benchmark.accelerator --out=gpu.csv --seconds=540 --data=FOLDER

Each finished measurement is written as a row. The same command continues where the file ends.
FOLDER has real weights in weights/mobilenet_v1_025.npz and weights/mobilenet_v1_050.npz, and
photographs of ILSVRC2012's validation set in images/val. Without it, part b runs only the two small
networks of the recordings.

Parts: a: gradients, compared with PyTorch's. b: results of attacks in each precision. c: numbers of
lanes. d: operations that add in any order. e: several steps in one program. f: attacks and CLEVER
in percent of the raw gradient's speed. g: the tests with recordings.
"""

import time

BEGAN = time.monotonic()

import importlib.util  # noqa: E402 - the time limit includes the imports
import os  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from absl import flags  # noqa: E402

from model_ports.errors import InputError  # noqa: E402

ROOT = Path(__file__).parents[2]
RESERVE = 8.0
"""No measurement starts within this many seconds before the limit."""
RECORDINGS = ("core/test_recorded_transfer.py", "clever/test_recorded_clever.py")
RECORDINGS += ("attacks/test_recorded_attacks.py",)

FLAGS = flags.FlagValues()
"""The flags of this script alone."""
flags.DEFINE_string(
    "out", "results/accelerator/measured.csv", "CSV file to write or to continue", FLAGS
)
flags.DEFINE_integer("seconds", 540, "time limit of the script", 1, flag_values=FLAGS)
flags.DEFINE_string("data", None, "folder with weights/ of two MobileNets, and images/val", FLAGS)
flags.DEFINE_string("parts", "abcdefg", "the letters of the parts to measure", FLAGS)
flags.DEFINE_boolean("dry_run", False, "list the measurements, and measure nothing", FLAGS)
flags.DEFINE_boolean("small", False, "small networks and few steps, to try the script", FLAGS)


def plan(out: Path, data: Path | None, *, small: bool, device: str) -> tuple[list, Any]:
    """List all measurements in order.

    Args:
        out: the CSV file for the rows.
        data: the folder with real weights and photographs, or None.
        small: True for small networks and few steps.
        device: the kind of device.

    Returns:
        The items, and the `Programs` that compile what the items need.
    """
    from jaxadv.benchmark import answers, cases, pytorch, speeds
    from jaxadv.benchmark.programs import Programs
    from model_ports.convert import frameworks

    speed = speeds.Scale()
    answer = answers.Scale()
    most = None
    networks = (("mobilenet_v1_050", 160), ("mobilenet_v1_025", 224))
    if small:
        speed = speeds.Scale("digits", 4, (2, 8), 0.02, 4, 1)
        answer = answers.Scale(3, 2, 3, 2, 2, 3, 3)
        most = 4
        networks = (("mobilenet_v1_050", 32), ("mobilenet_v1_025", 32))
    builders = {pytorch.IMPORTED: frameworks.timm}
    programs = Programs(speed.zoo, builders)
    chunked, made = speeds.chunks(programs, speed)
    builders |= made
    keep = answers.Answers(out.with_suffix(".images.csv"), device, answer)
    items = speeds.raw(programs, speed, speeds.FIRST, 30.0)
    if data:
        real = cases.of_photographs(data, networks, most)
        items += keep.items(real, 60.0, 4.0)
    items += speeds.raw(programs, speed, speeds.THEN, 30.0)
    items += chunked
    recorded = _recorded()
    if recorded:
        items += keep.items(cases.of_recordings(recorded), 10.0, 1.0)
    items += speeds.probes(programs, speed)
    items += speeds.lanes(programs, speed)
    items += speeds.nondeterministic(programs, speed)
    items += speeds.raw(programs, speed, speeds.LAST, 50.0)
    if recorded:
        from jaxadv.benchmark.runner import Item

        items += [
            Item("g", "recorded", name, "highest", 32, 60.0, partial(_tests, name))
            for name in RECORDINGS
        ]
    return items, programs


def _recorded():
    """The tests' module of recordings; None outside of a checkout."""
    path = ROOT / "tests" / "recorded.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("recorded", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tests(name: str) -> dict:
    """Run a file of tests on this device. A failed test raises RuntimeError."""
    left = max(1.0, FLAGS.seconds - (time.monotonic() - BEGAN) - RESERVE / 2)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"tests/{name}"]
    import jax

    platforms = "cpu" if jax.default_backend() == "cpu" else "cuda,cpu"
    where = os.environ | {"JAX_PLATFORMS": platforms, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=where, capture_output=True, text=True, timeout=left
    )
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    if done.returncode:
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        raise RuntimeError(f"{last}: {failed}")
    return {"note": last}


def _end_at(seconds: float) -> None:
    """End this process after some seconds, even within a measurement.

    Finished rows are in the file.
    """

    def end() -> None:
        print("the time limit ended a measurement", flush=True)
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def main(arguments: list[str]) -> None:
    """Measure, or list the measurements. Bad input ends with one line and status 2.

    Args:
        arguments: the program's name and its flags.
    """
    if {"--help", "-h"} & set(arguments):
        print(f"{__doc__}\n{FLAGS.get_help()}")
        return
    try:
        rest = FLAGS(arguments)[1:]
        if rest:
            raise InputError(f"{rest[0]!r} is one word too many; only flags are allowed")
        _main()
    except (InputError, flags.Error) as error:
        print(f"accelerator: {error}", file=sys.stderr)
        sys.exit(2)


def _main() -> None:
    # PyTorch uses the same memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    from jaxadv.benchmark import pytorch, runner

    out = Path(FLAGS.out)
    data = Path(FLAGS.data) if FLAGS.data else None
    if data and not (data / "weights").is_dir():
        raise InputError(f"data is {str(data)!r}, which has no folder weights; see --help")
    if not FLAGS.parts or set(FLAGS.parts) - set("abcdefg"):
        raise InputError(f"parts is {FLAGS.parts!r}; give some of the letters abcdefg")
    device = jax.devices()[0].device_kind
    items, programs = plan(out, data, small=FLAGS.small, device=device)
    items = [item for item in items if item.part in FLAGS.parts]
    if FLAGS.dry_run:
        show(items)
        return
    facts = {"device": device, "jax": jax.__version__, "torch": pytorch.version()}
    record = runner.Record(out, facts | {"date": time.strftime("%Y-%m-%d")})
    left = FLAGS.seconds - (time.monotonic() - BEGAN)
    _end_at(left)
    print(
        f"{device}, jax {jax.__version__}; begun {time.monotonic() - BEGAN:.0f} s ago", flush=True
    )
    say = partial(print, flush=True)
    left_out = runner.run(items, record, seconds=left - RESERVE, prepare=programs.prepare, say=say)
    if left_out:
        names = ", ".join(" ".join(item.key[:4]) for item in left_out)
        print(f"left out for lack of time, {len(left_out)}: {names}")
    print(f"written: {out}", flush=True)
    os._exit(0)  # without waiting for threads of libraries


def show(items: list) -> None:
    """Print each measurement, with the estimated seconds from the start to its end."""
    total = 0.0
    groups = set()
    for item in items:
        compiling = item.group.guess if item.group and item.group not in groups else 0.0
        groups.add(item.group)
        total += item.guess + compiling
        print(f"{total:7.0f} s  {' '.join(item.key)}")
    print(f"{len(items)} measurements, about {total:.0f} s; nothing was measured")


if __name__ == "__main__":
    main(sys.argv)
