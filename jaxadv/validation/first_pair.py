"""The pair of networks that a third party has re-run with the study's own code, attacked here.

Untargeted FGSM, eps 0.1, the logit objective, on Inception-v1; shown to Inception-v2; the images of
seed 1216. See `jaxadv.validation.acceptance` for what it is held against.
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
from jaxadv.support.progress import Progress
from jaxadv.validation.acceptance import COLUMNS, COUNTS, Rerun
from model_ports import checkpoint
from model_ports.errors import InputError

SOURCE, TARGET = "inception_v1", "inception_v2"
EPS = 0.1
BLOCK = 250
"""Images in memory at a time."""


def attack_and_show(
    study: Path, *, seed: int, num_images: int | None, lanes: int | None, progress: bool
) -> pd.DataFrame:
    """Attack the source, and show its images to the target.

    Args:
        study: the folder that fetch has filled.
        seed: of the selection of images.
        num_images: how many of it; None for all 1000.
        lanes: images side by side on the device; None to choose.
        progress: show it on standard error.

    Returns:
        `acceptance.COLUMNS`, a row for each selected image in order. Classes are the networks' own
        1001 outputs, and -1 where a picture cannot be used or the source is wrong.

    Raises:
        InputError: weights or pictures are missing.
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
    found = run_attack(source, FGSM(eps=EPS), images, pictures.labels[right], lanes=lanes)
    rows["source_adv"][used[right]] = _classes(source, found.adversarial)
    rows["target_adv"][used[right]] = _classes(target, found.adversarial)
    rows["l2"][used[right]] = metrics.distances(found.adversarial, images)["l2"]  # failed ones, too
    names = [Path(str(data.names[index])).name for index in indices]
    label = data.labels[indices] + source.label_offset
    return pd.DataFrame({"image_id": names, "label": label} | rows)


def _classes(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """(N,) of the networks' own outputs, the background among them, as the original has them."""
    parts = [
        np.asarray(classifier.raw_logits(images[start : start + 32])).argmax(1)
        for start in range(0, len(images), 32)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, int)


def published(facts: pd.DataFrame, images: pd.DataFrame, study: Path) -> tuple[Rerun, int]:
    """The re-run as `results/published` has it, with its own record where that is in the folder.

    Args:
        facts: rerun.csv, as text.
        images: rerun_images.csv, as text.
        study: the folder that fetch has filled.

    Returns:
        The re-run, and its seed.

    Raises:
        InputError: the record in the folder cannot be read.
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
    """A sentence for each of the two networks whose weights are not of the re-run's own graph.

    Raises:
        InputError: a checkpoint is missing.
    """
    values = dict(zip(facts["what"], facts["value"], strict=True))
    lines = []
    for name in (SOURCE, TARGET):
        meta = checkpoint.read_meta(study / "weights" / name)
        if meta.get("source_sha256") != values[f"sha256_{name}"]:
            lines.append(
                f"{name}: its weights are of {meta.get('source')}, not of the re-run's graph"
            )
    return lines
