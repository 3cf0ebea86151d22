"""Tests with real trained networks and real photographs, if there are any.

They belong to others, and the project cannot contain them. The environment variable
JAXADV_REAL_DATA names a folder. It has weights/mobilenet_v1_025.npz and
weights/mobilenet_v1_050.npz with original names. Its images/val has labels.tsv (file, label) and
300 photographs of the ILSVRC2012 validation set.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxadv
from jaxadv.store.run import Run

ROOT = Path(__file__).parents[2]
FOLDER = os.environ.get("JAXADV_REAL_DATA")

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="no real weights and photographs: JAXADV_REAL_DATA is not set"
)


def photographs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (300, size, size, 3) in [0, 1] and labels: the shorter side resized by Lanczos, and
    the centre of the rest.
    """
    with open(Path(FOLDER) / "images" / "val" / "labels.tsv") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row[1].isdigit()]
    images = []
    for name, _ in rows:
        with Image.open(Path(FOLDER) / "images" / "val" / name) as picture:
            scale = size / min(picture.size)
            width, height = (max(size, round(scale * side)) for side in picture.size)
            resized = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        left, top = (width - size) // 2, (height - size) // 2
        images.append(
            np.asarray(resized.crop((left, top, left + size, top + size)), np.float32) / 255
        )
    return np.stack(images), np.array([int(label) for _, label in rows])


@pytest.mark.few(slow=("mobilenet_v1_050-160-0.477-0.773",))
@pytest.mark.parametrize(
    ("model", "size", "top1", "top5"),
    # by an independent implementation
    [
        ("mobilenet_v1_025", 224, 0.457, 0.710),
        ("mobilenet_v1_050", 224, 0.573, 0.807),
        ("mobilenet_v1_050", 160, 0.477, 0.773),
    ],
)
def test_converted_networks_classify_as_they_were_recorded_to(tmp_path, model, size, top1, top5):
    source = Path(FOLDER) / "weights" / f"{model}.npz"
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "convert",
        f"--model={model}",
        f"--source={source}",
        f"--weights_dir={tmp_path}",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    classifier = jaxadv.load_classifier(
        model, zoo="imagenet", weights=tmp_path / model, input_size=size
    )
    images, labels = photographs(size)
    order = np.argsort(-classifier.logits_in_batches(images, 50), axis=1)
    assert abs((order[:, 0] == labels).mean() - top1) < 1.5 / len(
        labels
    )  # within one image, and the recording's three digits
    assert abs((order[:, :5] == labels[:, None]).any(1).mean() - top5) < 1.5 / len(labels)


@pytest.mark.slow
def test_an_evaluation_on_photographs(tmp_path):
    """Two full-size networks from the shell: attacks, CLEVER and transfer on a folder of
    photographs.
    """
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "evaluate",
        "--zoo=imagenet",
        f"--weights_dir={FOLDER}/weights",
    ]
    command += [
        "--models=mobilenet_v1_025,mobilenet_v1_050",
        f"--data=imagefolder:{FOLDER}/images/val",
        "--num_images=16",
    ]
    command += [
        "--attacked_images=3",
        "--lanes=4",
        "--attacks=fgsm,ifgsm",
        "--targets=random",
        "--steps=4",
        "--eps=0.05",
    ]
    command += [
        "--clever_images=1",
        "--clever_batches=3",
        "--clever_samples=4",
        "--parts=attacks,transfer,clever",
        f"--out={tmp_path}/run",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    run = Run(tmp_path / "run")
    assert (
        len(run.read("clean")) == 32
        and len(run.read("clever")) == 2 * 3
        and len(run.read("transfer")) == 2 * 2 * 3
    )
    rows = run.read("examples")
    assert len(rows) == 2 * 2 * 3 and rows.loc[rows["attack"] == "ifgsm", "success"].mean() > 0.5
