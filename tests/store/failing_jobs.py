"""Small jobs on a disk that fails, in the process that `failing_disk.Process` starts: a line of
JSON asks for one, and one answers.
"""

import ctypes
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from test_belonging import identity, rows

from jaxadv.core import journal as journals
from jaxadv.core.journal import Journal
from jaxadv.store import image_store
from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run
from jaxadv.support import log
from jaxadv.support.files import write_atomically
from model_ports.errors import InputError

journals.SHARE = 0  # unfinished work is written at every step: always as often
DISK = ctypes.CDLL(None)
DISK.failing_arm.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int]
DISK.failing_counted.restype = DISK.failing_failed.restype = ctypes.c_long


class Job(NamedTuple):
    """What is done in a folder, and what must be there then."""

    do: Callable[[Path], None]  # raises InputError; done again, it goes on
    state: Callable[[Path], dict[str, Any]]  # arrays, frames and bytes by name
    prepare: Callable[[Path], None] = lambda out: None  # what is there before, on a disk that works


# --- a run without networks: its store alone ---------------------------------

PICTURES = np.random.default_rng(0).random((3, 4, 4, 3), np.float32)


def keep(out: Path) -> None:
    """Units of work as `jaxadv.evaluation.work` writes them."""
    with Run.begin(out, identity()) as run, log.to_file(out):
        digest = run.belonging.digest("examples")
        for unit in ("a",):
            journal = Journal(run.unfinished, unit, seconds=0, digest=digest)
            known = journal.outcomes()
            for item in range(2):
                if item not in known:
                    journal.add(item, [np.arange(3.0) + item])
                    journal.write("0", {"holds": np.arange(4)})
            assert all(
                np.array_equal(kept, np.arange(3.0) + item) for item, (kept,) in known.items()
            )
            if not image_store.has(out, unit, digest=digest):
                image_store.write(out, unit, PICTURES, digest=digest)
            for kind in ("clean", "transfer"):
                if not run.has(kind, unit):
                    run.append(kind, rows(kind), part=unit)
            journal.remove()
        page = out / "report.html"
        run.claim([page, out / "tables" / "a.csv"])
        write_atomically(page, b"<html>")
        write_atomically(out / "tables" / "a.csv", b"a\n")
        run.sweep()
        run.write_manifest(run.manifest() | {"finished_parts": ["attacks"]})


def kept(out: Path) -> dict[str, Any]:
    """All rows, all images, what the manifest says, and the names of all files."""
    found: dict[str, Any] = {kind: Run(out).read(kind) for kind in KINDS}
    for place in sorted((out / "adversarial").glob("part-*.zarr")):
        part = place.name.removeprefix("part-").removesuffix(".zarr")
        found[place.name] = image_store.read(out, part)
    said = {name: value for name, value in Run(out).manifest().items() if name not in CHANGING}
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    return found | {"manifest": json.dumps(said, sort_keys=True), "files": "\n".join(files)}


CHANGING = ("seconds", "checksum")
"""What a manifest says that is another each time."""

# --- a run with networks, its page, a checkpoint -----------------------------


def classifiers() -> list[Any]:
    """Two linear ones, of which the second gives the first's classes to most images."""
    from models import PIXELS, linear

    weights = np.random.default_rng(0).normal(size=(PIXELS, 3), scale=0.1)
    noise = np.random.default_rng(1).normal(size=(PIXELS, 3), scale=0.005)
    return [
        linear(some, -0.5 * some.sum(0), name=name)
        for name, some in (("one", weights), ("two", weights + noise))
    ]


def evaluation(*parts: str, networks: int = 2) -> Callable[[Path], None]:
    """Some linear networks, four images, one attack; all that can be kept is kept."""
    from models import inner_images

    import jaxadv

    chosen, images = classifiers()[:networks], inner_images(0, 4)
    labels = chosen[0].predict(images)
    settings = jaxadv.Settings(
        parts=parts,
        attacks=(jaxadv.FGSM(eps=0.1),),
        targets=("random",),
        clever=jaxadv.CleverSettings(batches=2, samples=2),
        lanes=2,
        save_adversarial=True,
        save_seconds=0.0,
        at_once=1,
        progress=False,
    )

    def do(out: Path) -> None:
        jaxadv.evaluate(chosen, (images, labels), settings, out=out)

    return do


def page(out: Path) -> None:
    from jaxadv.report.remake import remake

    remake(out, only=["pictures"])


def views(out: Path) -> dict[str, Any]:
    """Tables, page and figure."""
    files = [*(out / "tables").iterdir(), *(out / "figures").iterdir(), out / "report.html"]
    return {path.name: path.read_bytes() for path in sorted(files)}


PARAMETERS = {"layer": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}


def save(out: Path) -> None:
    """A checkpoint, as `convert` writes one."""
    from model_ports import checkpoint

    try:
        checkpoint.save(out / "net", PARAMETERS, {"model": "net", "zoo": "digits"})
    except OSError as error:
        raise InputError(f"{out / 'net'} cannot be written ({error.strerror or error})") from error


def saved(out: Path) -> dict[str, Any]:
    from model_ports import checkpoint

    params, meta = checkpoint.load(out / "net", PARAMETERS)
    # Where nothing can be removed, the folder in which it was made stays, whose name begins with a
    # dot.
    left = sorted(path.name for path in out.glob("[!.]*"))
    return {"kernel": params["layer"]["kernel"], "meta": json.dumps(meta), "left": "\n".join(left)}


def jobs() -> dict[str, Callable[[Path], Job]]:
    """Makers of each job; the folder given is for what it needs before."""

    def run(folder: Path) -> Job:
        return Job(evaluation("attacks", "transfer", "clever"), kept)

    def report(folder: Path) -> Job:
        evaluation("attacks", networks=1)(folder)  # a page of few figures, for time
        return Job(page, views, lambda out: shutil.copytree(folder, out))

    return {
        "store": lambda folder: Job(keep, kept),
        "run": run,
        "report": report,
        "checkpoint": lambda folder: Job(save, saved, lambda out: out.mkdir()),
    }


# --- trials ------------------------------------------------------------------


def tried(job: Job, out: Path) -> str:
    """What a job says: nothing, its one line, or a traceback."""
    try:
        job.do(out)
    except InputError as error:
        return str(error)
    except Exception:
        return traceback.format_exc()
    return ""


def difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """How two states differ, to the bit; empty if they do not."""
    if found.keys() != expected.keys():
        return f"{sorted(found)} instead of {sorted(expected)}"
    for name, value in expected.items():
        same = getattr(value, "equals", None) or (
            lambda other, value=value: np.array_equal(value, other)
        )
        if not same(found[name]):
            return f"{name} is {str(found[name])[:2000]} instead of {str(value)[:2000]}"
    return ""


def trial(job: Job, expected: dict[str, Any], out: Path, asked: dict[str, Any]) -> dict[str, Any]:
    job.prepare(out)
    DISK.failing_folder(os.fsencode(out.parent))
    DISK.failing_arm(asked["kinds"], asked["which"], asked["mode"], asked["error"])
    first = tried(job, out)
    DISK.failing_disarm()
    second = tried(job, out)
    try:
        wrong = difference(job.state(out), expected)
    except Exception:
        wrong = traceback.format_exc()
    return {
        "counted": DISK.failing_counted(),
        "failed": DISK.failing_failed(),
        "first": first,
        "second": second,
        "wrong": wrong,
    }


def main(folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else is said there
    makers, made = jobs(), {}
    out = folder / "place" / "out"
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["job"]
        if name not in made:
            before = folder / f"before-{name}"
            out.parent.mkdir()
            job = makers[name](before)
            job.prepare(out)
            said = tried(job, out)
            assert not said, said
            made[name] = job, job.state(out)
            shutil.rmtree(out.parent)
        out.parent.mkdir()
        print(json.dumps(trial(*made[name], out, asked)), file=answers, flush=True)
        shutil.rmtree(out.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
