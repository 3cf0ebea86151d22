"""Measures the speed of decoding pictures, compared with a bare Pillow loop.

`python tests/data/throughput.py DIR [SIZE [TURNS]]`: the loop opens, resizes and crops the same
files with the same number of threads. Both take the same CHUNK of files in turn, so that other load
on the machine affects both. For each number of threads, the script prints pictures per second and
the loader's share of the bare loop. It also prints the peak of memory.
"""

import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from jaxadv.data import loader, sources

CHUNK = 1024  # pictures


def bare(files: list[Path], size: int, threads: int) -> None:
    """Nothing but Pillow: no order, no labels, no floats, nothing kept."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda file: np.asarray(square(file, size)), files):
            pass


def square(file: Path, size: int) -> Image.Image:
    """The study's arithmetic (PROTOCOL: the shorter side to the size, the centre of the other),
    written down a second time.
    """
    with Image.open(file) as picture:
        width, height = picture.size
        ratio = size / width if width < height else size / height
        across, down = (size, int(height * ratio)) if width < height else (int(width * ratio), size)
        picture = picture.resize((across, down), Image.Resampling.LANCZOS)
        left, top = across // 2 - size // 2, down // 2 - size // 2
        return picture.crop((left, top, left + size, top + size))


def rates(
    folder: Path, size: int, threads: int, turns: int, chunk: int = CHUNK
) -> tuple[float, float, float]:
    """Pictures a second of the loader and of the bare loop, medians over the turns, and the median
    of their ratios.
    """
    source = sources.open_source(f"imagefolder:{folder}")
    ours, theirs = [], []
    for turn in range(turns):
        chosen = np.arange(turn * chunk, (turn + 1) * chunk) % len(source)
        began = time.perf_counter()
        bare([folder / source.names[index] for index in chosen], size, threads)
        between = time.perf_counter()
        for batch in loader.Pictures(source, chosen, size=size, threads=threads):
            assert len(batch.ids) + len(batch.dropped) > 0
        theirs.append(len(chosen) / (between - began))
        ours.append(len(chosen) / (time.perf_counter() - between))
    return (
        statistics.median(ours),
        statistics.median(theirs),
        statistics.median(np.divide(ours, theirs)),
    )


def peak() -> float:
    """MB that this process has held at most."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024


if __name__ == "__main__":
    folder, given = Path(sys.argv[1]), sys.argv[2:]
    size, turns = map(int, given + ["224", "5"][len(given) :])
    for threads in sorted({1, os.cpu_count()}):
        ours, theirs, share = rates(folder, size, threads, turns)
        print(
            f"{size} pixels, {threads} threads: {ours:.0f}/s, bare Pillow {theirs:.0f}/s, "
            f"{share:.0%} of it; at most {peak():.0f} MB"
        )
