"""Selects the images of a source, and their order."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from jaxadv.data import robustbench, study
from jaxadv.data.source import Source
from jaxadv.support import checks
from model_ports.errors import InputError, unknown

SELECTIONS = ("first", "random", "study", "clever100", "common", "robustbench")


def select(
    source: Source, selection: str, *, count: int | None, seed: int, study_seed: int = study.SEED
) -> np.ndarray:
    """Select images. Unusable pictures are dropped later, when they are read, as in the study.

    Args:
        source: the pictures.
        selection: "first" takes the source's order. "random" draws without repeats, so that a
            larger ``count`` extends the selection of a smaller one. "study" takes the study's 1000
            images, "clever100" the 100 of its CLEVER run, both in its order. "common" takes the
            study's images from the validation set, or else the first; `common` then keeps those
            that all networks classify correctly. "robustbench" takes RobustBench's 5000 images of
            the validation set, in its order.
        count: the largest number of images; None for all.
        seed: the seed of "random".
        study_seed: the seed of the study's shuffle.

    Returns:
        (n,) int64 indices into the source.

    Raises:
        InputError: for an unknown selection, if the source has fewer than ``count`` images, or if
            it lacks images of the study.
    """
    if selection not in SELECTIONS:
        raise unknown("selection", selection, SELECTIONS)
    if count is not None:
        checks.count("num_images", count)
    if selection == "common":
        selection = "study" if source.validation else "first"
    if selection in ("study", "clever100"):
        numbers = study.images if selection == "study" else study.clever_images
        chosen = _of_study(source, numbers(study_seed), selection, count)
    elif selection == "robustbench":
        chosen = _of_study(source, robustbench.images(), selection, count)
    elif selection == "random":
        chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(source))
    else:
        chosen = np.arange(len(source))
    if count is not None and count > len(chosen):
        raise InputError(
            f"{count} images of {len(chosen)} that {selection!r} has in data {source.name!r}; "
            "ask for fewer, or for all"
        )
    return chosen[:count]


def _of_study(source: Source, numbers: np.ndarray, selection: str, count: int | None) -> np.ndarray:
    if not source.validation:
        raise InputError(
            f"selection {selection!r} needs ILSVRC2012's validation images under their names, "
            f"which data {source.name!r} are not; take first or random"
        )
    places = dict(zip(source.ids.tolist(), range(len(source)), strict=True))
    wanted = numbers[:count].tolist()
    missing = [number for number in wanted if number not in places]
    if missing:
        raise InputError(
            f"selection {selection!r}: data {source.name!r} lack {len(missing)} of {len(wanted)} "
            f"images, such as ILSVRC2012_val_{missing[0]:08d}; add them, or take first or random"
        )
    return np.array([places[number] for number in wanted], np.int64)


def common(clean: pd.DataFrame, models: Iterable[str]) -> np.ndarray:
    """The images that every model classifies correctly (327 in the study's supplement).

    Args:
        clean: rows of clean images, with the columns model, image_id, label and predicted.
        models: the names of the models.

    Returns:
        (n,) int64 ids, ascending.

    Raises:
        InputError: for a model without rows.
    """
    models = list(models)
    known = set(clean["model"].unique())
    for model in models:
        if model not in known:
            raise InputError(f"no clean rows of model {model!r}; evaluate it first")
    right = clean[(clean["predicted"] == clean["label"]) & clean["model"].isin(models)]
    ids, counts = np.unique(right["image_id"], return_counts=True)  # one row per model and image
    return ids[counts == len(models)].astype(np.int64)
