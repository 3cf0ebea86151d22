"""As many made-up photographs as are wanted, under the names of the study's folder: `python
tests/data/many_pictures.py DIR 50000` (5 GB).

64 different pictures in the usual sizes of ImageNet, whose files differ in a comment that bears
their number: 96 kB each on the average.
"""

import sys
from pathlib import Path

import drawn
import numpy as np
from PIL import Image

from jaxadv.data import validation

SIDES = (
    (500, 375),
    (375, 500),
    (500, 333),
    (500, 500),
    (640, 480),
    (333, 500),
    (500, 375),
    (400, 300),
)
DIFFERENT = 64


def make(folder: Path, count: int) -> None:
    """Write the pictures of the validation images 1..count, which have all classes in turn as the
    real ones have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = [drawn.encoded(photograph(seed)) for seed in range(DIFFERENT)]
    for number, label in enumerate(validation.study_labels()[:count], 1):
        content = contents[number % DIFFERENT]
        comment = b"%08d" % number
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"{label + 1}.{number:08d}.jpg").write_bytes(content[:2] + segment + content[2:])


def photograph(seed: int) -> Image.Image:
    """Waves with grain."""
    width, height = SIDES[seed % len(SIDES)]
    grain = (
        np.random.default_rng(seed)
        .normal(scale=8, size=(height // 2 + 1, width // 2 + 1, 1))
        .repeat(2, axis=0)
        .repeat(2, axis=1)
    )
    smooth = np.asarray(drawn.picture(seed, width, height), float)
    return Image.fromarray((smooth + grain[:height, :width]).clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
