"""Attacks the pair of networks that a third party has attacked with the study's own code.

The attack is untargeted FGSM with eps 0.1 and the logit objective, on Inception-v1. Its images are
shown to Inception-v2. The images are those of seed 1216. `jaxadv.validation.acceptance` compares
the results with the re-run's.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from jaxadv.api import run_attack
from jaxadv.attacks.fgsm import FGSM
from jaxadv.core import metrics
from jaxadv.core.classifier import Classifier, load_classifier
from jaxadv.data.loader import Pictures
from jaxadv.data.selection import select
from jaxadv.data.source import Source
from jaxadv.data.sources import open_source
from jaxadv.fetching.rerun import NAME as RECORD
from jaxadv.report.published import read
from jaxadv.support.progress import Progress
from jaxadv.validation import acceptance
from jaxadv.validation.acceptance import COLUMNS, COUNTS, Report, Rerun
from model_ports import checkpoint
from model_ports.errors import InputError

SOURCE = "inception_v1"
TARGET = "inception_v2"
EPS = 0.1
BLOCK = 250
"""The number of images in memory at a time."""


def accept(
    study: Path, *, num_images: int | None = None, lanes: int | None = None, progress: bool = False
) -> Report:
    """Attack the pair of networks, and compare the results with the published re-run.

    Args:
        study: the folder that fetch filled.
        num_images: the number of selected images to use, at most 1000; None for all.
        lanes: the number of images side by side on the device; None to choose.
        progress: True to show progress on standard error.

    Returns:
        The report of the comparison.

    Raises:
        InputError: if weights, pictures or the published tables are missing or unreadable.
    """
    facts = read("rerun")
    images = read("rerun_images")
    if facts is None or images is None:
        raise InputError(
            "results/published has no rerun.csv and rerun_images.csv; install jaxadv again"
        )
    rerun, seed = published(facts, images, study)
    notes = tuple(graphs(facts, study))
    if not rerun.whole:
        notes += (
            f"{len(rerun.rows)} images are recorded here; fetch rerun --to={study} brings all 692",
        )
    rows = attack_and_show(study, seed=seed, num_images=num_images, lanes=lanes, progress=progress)
    return acceptance.compare(rows, rerun, notes=notes)


def attack_and_show(
    study: Path, *, seed: int, num_images: int | None, lanes: int | None, progress: bool
) -> pd.DataFrame:
    """Attack the source network, and show the adversarial images to the target network.

    Args:
        study: the folder that fetch filled.
        seed: the seed of the selection of images.
        num_images: the number of selected images to use; None for all 1000.
        lanes: the number of images side by side on the device; None to choose.
        progress: True to show progress on standard error.

    Returns:
        A table with `acceptance.COLUMNS` and a row for each selected image, in order. Classes are
        indices of the networks' 1001 outputs. A class is -1 if the picture cannot be used or if
        the source is wrong.

    Raises:
        InputError: if weights or pictures are missing.
    """
    networks = [
        load_classifier(name, zoo="imagenet", weights=study / "weights" / name)
        for name in (SOURCE, TARGET)
    ]
    data = open_source(f"imagefolder:{study / 'pictures'}")
    chosen = select(data, "study", count=num_images, seed=0, study_seed=seed)
    parts = []
    with Progress(f"{SOURCE} shown to {TARGET}", len(chosen), "images", show=progress) as bar:
        for start in range(0, len(chosen), BLOCK):
            indices = chosen[start : start + BLOCK]
            parts.append(_block(data, indices, *networks, lanes=lanes))
            bar.advance(len(indices))
    return pd.concat(parts, ignore_index=True)


def _block(
    data: Source, indices: np.ndarray, source: Classifier, target: Classifier, *, lanes: int | None
) -> pd.DataFrame:
    pictures = Pictures(data, indices, size=source.input_size).load()
    rows: dict[str, np.ndarray] = {name: np.full(len(indices), -1) for name in COLUMNS[2:-1]}
    rows["l2"] = np.full(len(indices), np.nan)
    place = {int(data.ids[index]): at for at, index in enumerate(indices)}
    used = np.array([place[int(number)] for number in pictures.ids], int)
    labels = pictures.labels + source.label_offset
    rows["source_clean"][used] = clean = _classes(source, pictures.images)
    rows["target_clean"][used] = _classes(target, pictures.images)
    right = np.flatnonzero(clean == labels)
    images = pictures.images[right]
    result = run_attack(source, FGSM(eps=EPS), images, pictures.labels[right], lanes=lanes)
    rows["source_adv"][used[right]] = _classes(source, result.adversarial)
    rows["target_adv"][used[right]] = _classes(target, result.adversarial)
    distances = metrics.distances(result.adversarial, images)
    rows["l2"][used[right]] = distances["l2"]  # of failed attacks too
    names = [Path(str(data.names[index])).name for index in indices]
    label = data.labels[indices] + source.label_offset
    return pd.DataFrame({"image_id": names, "label": label} | rows)


def _classes(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """(N,) indices of the networks' outputs, the background included, as in the original code."""
    parts = [
        np.asarray(classifier.raw_logits(images[start : start + 32])).argmax(1)
        for start in range(0, len(images), 32)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, int)


def published(facts: pd.DataFrame, images: pd.DataFrame, study: Path) -> tuple[Rerun, int]:
    """Read the published results of the re-run, and its full record if the folder has that.

    Args:
        facts: the table rerun.csv, all values as text.
        images: the table rerun_images.csv, all values as text.
        study: the folder that fetch filled.

    Returns:
        The re-run, and the seed of its selection.

    Raises:
        InputError: if the record in the folder cannot be read.
    """
    values = dict(zip(facts["what"], facts["value"], strict=True))
    others = dict(zip(facts["what"], facts["of"], strict=True))
    counts = {name: (int(values[name]), int(others[name])) for name in COUNTS}
    path = study / RECORD
    whole = path.exists()
    rows = _record(path) if whole else images.assign(source_clean=images["label"])
    kinds = {name: int for name in COLUMNS[1:-1]} | {"l2": float}
    rerun = Rerun(rows[list(COLUMNS)].astype(kinds), counts, float(values["mean_l2"]), whole)
    return rerun, int(values["seed"])


def _record(path: Path) -> pd.DataFrame:
    try:
        rows = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines() if line])
        return rows[list(COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is not the re-run's record ({error}); remove it, or fetch it again"
        ) from None


def graphs(facts: pd.DataFrame, study: Path) -> list[str]:
    """A sentence for each of the two networks whose weights do not come from the re-run's graph.

    Args:
        facts: the table rerun.csv, all values as text.
        study: the folder that fetch filled.

    Raises:
        InputError: if a checkpoint is missing.
    """
    values = dict(zip(facts["what"], facts["value"], strict=True))
    lines = []
    for name in (SOURCE, TARGET):
        meta = checkpoint.read_meta(study / "weights" / name)
        if meta.get("source_sha256") != values[f"sha256_{name}"]:
            lines.append(
                f"{name}: its weights come from {meta.get('source')}, not from the re-run's graph"
            )
    return lines
