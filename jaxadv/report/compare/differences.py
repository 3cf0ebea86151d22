"""How far two runs differ in each measure of each model, on the images of both."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jaxadv.report.settings import has_budget
from jaxadv.report.study.models import difference
from jaxadv.report.study.samples import Key, Sample, collect
from jaxadv.report.tables import Tables
from jaxadv.store.run import Run

if TYPE_CHECKING:
    from jaxadv.report.compare import Compared

ACCURACY: Key = ("", "", "", "accuracy")
COLUMNS = [
    *("other_run", "attack", "target_kind", "setting", "distance", "model"),
    *("first_value", "other_value", "common", "difference", "difference_low", "difference_high"),
    *("same_images", "certain"),
]


def between(first: "Compared", other: "Compared") -> pd.DataFrame:
    """A row for each measure and model that both runs have.

    "difference" is the other run minus the first, on the images of both; it has a 95 % interval.
    Where the images are not the same, it is the difference of the two means, without an interval.
    """
    shared = _same_images(first.run, other.run)
    keys = [key for key in _keys(first.made) if key in set(_keys(other.made))]
    found = [_samples(one, keys) for one in (first, other)]
    tables = [
        _differences(found[0][key], found[1][key], shared)
        for key in [ACCURACY, *keys]
        if key in found[0] and key in found[1]
    ]
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(tables, ignore_index=True).assign(other_run=other.name)[COLUMNS]


def _samples(one: "Compared", keys: list[Key]) -> dict[Key, Sample]:
    """The values of every measure, image by image, and of accuracy."""
    models = list(dict.fromkeys([*one.made.robustness["model"], *one.made.clever["model"]]))
    found: dict[Key, Sample] = {}
    for sample in collect(one.run, keys, models):
        found[sample.attack, sample.target_kind, sample.setting, sample.distance] = sample
    clean = one.run.read("clean", ["model", "image_id", "label", "predicted"])
    if len(clean):
        clean = clean.assign(right=(clean["label"] == clean["predicted"]).astype(float))
        clean = clean.drop_duplicates(["image_id", "model"])
        square = clean.pivot(index="image_id", columns="model", values="right")
        found[ACCURACY] = Sample(*ACCURACY, square)
    return found


def _keys(made: Tables) -> list[Key]:
    """Success of every setting, the distance of those that search, and the scores."""
    found: list[Key] = []
    for key in (
        made.robustness[["attack", "target_kind", "setting"]]
        .drop_duplicates()
        .itertuples(index=False)
    ):
        attack, kind, setting = map(str, key)
        found.append((attack, kind, setting, "success"))
        length = made.settings.minimises(attack, setting)
        if length and not has_budget(attack):
            found.append((attack, kind, setting, length))
    for key in made.clever[["target_kind", "norm"]].drop_duplicates().itertuples(index=False):
        kind, norm = map(str, key)
        found.append(("clever", kind, "", f"l{norm}"))
    return found


def _same_images(first: Run, other: Run) -> pd.Index | None:
    """The numbers of the images that are the same picture in both runs; None if no image is.

    By the digests of the pictures; where a run has none, by the labels.
    """
    one, two = (
        run.read("clean", ["image_id", "label", "digest"])
        .drop_duplicates("image_id")
        .set_index("image_id")
        for run in (first, other)
    )
    both = one.join(two.add_suffix("_other"), how="inner")
    digests = both[["digest", "digest_other"]].fillna("").astype(str)
    known = (digests != "").all(axis=1)
    same = (digests["digest"] == digests["digest_other"]).where(
        known, both["label"] == both["label_other"]
    )
    data = [run.manifest().get("data") for run in (first, other)]
    if not known.any() and None not in data and data[0] != data[1]:
        return None
    return both.index[same] if same.any() else None


def _differences(first: Sample, other: Sample, shared: pd.Index | None) -> pd.DataFrame:
    """Of one measure, a row a model."""
    models = [name for name in first.values if name in set(other.values)]
    if not models:
        return pd.DataFrame(columns=COLUMNS)
    one, two = first.values[models], other.values[models]
    means = [values.where(np.isfinite(values)).mean() for values in (one, two)]
    rates = first.distance in ("success", "accuracy")
    if shared is None:
        gap = pd.DataFrame(
            {
                "common": 0,
                "difference": (means[1] - means[0]).to_numpy(),
                "difference_low": np.nan,
                "difference_high": np.nan,
            }
        )
    else:
        images = one.index.intersection(two.index).intersection(shared)
        gap = difference(
            two.loc[images].to_numpy(float), one.loc[images].to_numpy(float), rates=rates
        )
    certain = (gap["difference_low"] > 0) | (gap["difference_high"] < 0)
    return pd.DataFrame(
        {
            "attack": first.attack,
            "target_kind": first.target_kind,
            "setting": first.setting,
            "distance": first.distance,
            "model": models,
            "first_value": means[0].to_numpy(),
            "other_value": means[1].to_numpy(),
            **{name: gap[name].to_numpy() for name in gap},
            "same_images": "no" if shared is None else "yes",
            "certain": np.where(certain, "yes", "no"),
        }
    )
