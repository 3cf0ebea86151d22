"""Makes pictures that show their label, and a classifier that reads it.

`python tests/commands/readable_pictures.py DIR 50000` measures an evaluation of very many pictures.
It makes them in DIR under the study's names, unless they are there. It attacks each one with FGSM.
It prints the number of rows, the time, and the peak of memory after each tenth.
`python tests/commands/readable_pictures.py DIR 50000 4` does so with 4 processes that share the
work, FGSM and I-FGSM's search. It prints the peak of memory of each, and then the report's.
"""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from PIL import Image

import jaxadv
from jaxadv.data import validation

ROOT = Path(__file__).parents[2]
BITS, CLASSES, SIDE, SIZE = (
    16,
    1000,
    96,
    64,
)  # patches, 4 x 4 of them; pixels of a file and of the classifier
CODES = np.random.default_rng(0).choice([-1.0, 1.0], (CLASSES, BITS)).astype(np.float32)
CODES[:, :10] = 2.0 * (np.arange(CLASSES)[:, None] >> np.arange(10) & 1) - 1  # no two are alike


def make(folder: Path, count: int) -> None:
    """Write the pictures of the validation images 1..count."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = [_encoded(0.5 + 0.1 * code) for code in CODES]
    for number, label in enumerate(validation.study_labels()[:count], 1):
        (folder / f"{label + 1}.{number:08d}.jpg").write_bytes(contents[label])


def _encoded(patches: np.ndarray) -> bytes:
    pixels = (255 * patches.reshape(4, 4, 1).repeat(3, 2)).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)).save(
        written, "jpeg", quality=95
    )
    return written.getvalue()


def apply(codes, images):
    """images (N, 64, 64, 3) -> (N, 1000): how well each label's code fits the patches."""
    patches = images.reshape(len(images), 4, SIZE // 4, 4, SIZE // 4, 3).mean((2, 4, 5))
    return (patches.reshape(len(images), BITS) - 0.5) @ codes.T


def reader() -> jaxadv.Classifier:
    return jaxadv.Classifier(apply, CODES, input_size=SIZE, num_classes=CLASSES, name="reader")


def evaluate(pictures: Path, count: int, out: Path, *more: str) -> list[float]:
    """Attack the first ``count`` pictures.

    Returns the peak of memory in MB, sampled ten times a second.
    """
    process = start(pictures, count, out, "--parts=attacks,report", *more)
    held = []
    while process.poll() is None:
        held += peak(process.pid)
        time.sleep(0.1)
    assert process.returncode == 0
    return held


def start(pictures: Path, count: int, out: Path, *more: str) -> subprocess.Popen:
    """A process that attacks the first ``count`` pictures."""
    command = [
        sys.executable,
        ROOT / "run.py",
        "evaluate",
        "--models=none",
        f"--model_module={__file__}:reader",
        f"--out={out}",
    ]
    command += [
        f"--data=imagefolder:{pictures}",
        f"--num_images={count}",
        "--attacks=fgsm",
        "--eps=0.15",
        "--fgsm_targets=untargeted",
    ]
    variables = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen([*command, *more], env=os.environ | variables)


def together(pictures: Path, count: int, out: Path, processes: int) -> list[float]:
    """Attack the first ``count`` pictures with several processes.

    Returns the peak of memory of each in MB.
    """
    given = ["--parts=attacks", "--attacks=fgsm,ifgsm_search", "--targets=untargeted"]
    given += ["--join", "--noprogress"]
    running = [start(pictures, count, out, *given) for _ in range(processes)]
    held = [0.0] * processes
    while any(process.poll() is None for process in running):
        for number, process in enumerate(running):
            held[number] = max([held[number], *peak(process.pid)])
        time.sleep(0.1)
    assert not any(process.returncode for process in running)
    return held


def peak(pid: int) -> list[float]:
    try:
        words = Path(f"/proc/{pid}/status").read_text().split()
    except FileNotFoundError:
        return []
    return [int(words[words.index("VmHWM:") + 1]) / 1024] if "VmHWM:" in words else []


def attacked(out: Path) -> int:
    return sum(
        parquet.read_metadata(part).num_rows for part in (out / "examples").glob("*.parquet")
    )


def main(folder: Path, count: int, processes: int = 1) -> None:
    """Measure, and print what was measured."""
    pictures, out = folder / "pictures", folder / f"run-{count}-{processes}"
    if not pictures.exists():
        make(pictures, 50000)
    began = time.monotonic()
    if processes == 1:
        held = evaluate(pictures, count, out, "--noprogress")
        held = [held[len(held) * tenth // 10 - 1] for tenth in range(1, 11)]
        what = "after each tenth"
    else:
        held, what = together(pictures, count, out, processes), "by each process"
    seconds = time.monotonic() - began
    print(f"{attacked(out)} attempts on {count} images in {seconds:.0f} s; at most MB held {what}:")
    print(", ".join(f"{each:.0f}" for each in held))
    if processes > 1:
        began, report = time.monotonic(), [sys.executable, ROOT / "run.py", "report"]
        process = subprocess.Popen([*report, f"--out={out}", "--noprogress"])
        held = [0.0]
        while process.poll() is None:
            held += peak(process.pid)
            time.sleep(0.1)
        assert process.returncode == 0
        print(f"report: {time.monotonic() - began:.0f} s, {max(held):.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
