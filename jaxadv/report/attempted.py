"""The attempts of a run as tables of robust accuracy need them: who was attacked, how far, within
which budget.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.report.settings import RunSettings
from jaxadv.store.run import Run

NORMS = ("linf", "l2", "l1", "l0")
_KEYS = ["model", "attack", "setting", "target_kind"]
_COLUMNS = [
    "image_id",
    "target",
    "success",
    "invalid",
    *NORMS,
    "gradients",
    "forwards",
    "broken_by",
]


class Budget(NamedTuple):
    """What bounds an attempt."""

    norm: str
    eps: float


class Group(NamedTuple):
    """The attempts of one attack with one setting and kind of target on one model."""

    model: str
    attack: str
    setting: str
    kind: str
    rows: pd.DataFrame  # `_COLUMNS`; distances are infinite where it failed
    spoilt: np.ndarray  # images whose attempts are invalid, and no rows; they count as not robust

    @property
    def attacked(self) -> np.ndarray:
        """The numbers of its images."""
        return np.concatenate([self.rows["image_id"].to_numpy(), self.spoilt])


def collect(run: Run) -> tuple[list[Group], RunSettings]:
    """All attempts of a run, read part by part, about 50 bytes each."""
    parts: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for rows in run.parts("examples", [*_KEYS, *_COLUMNS], settings=found):
        if "broken_by" not in rows:
            rows = rows.assign(broken_by="")
        rows = rows.assign(
            **{name: rows[name].where(rows["success"], np.inf) for name in NORMS},
            broken_by=rows["broken_by"].fillna("").astype("category"),
        )
        for key, own in rows.groupby(_KEYS, sort=False, observed=True):
            parts.setdefault(tuple(map(str, key)), []).append(own[_COLUMNS])
    groups = []
    for key, some in parts.items():
        rows = some[0] if len(some) == 1 else pd.concat(some, ignore_index=True)
        spoilt = rows["invalid"].to_numpy(bool)
        model, attack, setting, kind = key
        ids = rows["image_id"].to_numpy()[spoilt]
        groups.append(Group(model, attack, setting, kind, rows[~spoilt], ids))
    return groups, RunSettings.of(found)


def searched_norm(settings: RunSettings, group: Group) -> str | None:
    """The norm in which its attack looks for the least distance; None for one with a budget."""
    return settings.minimises(group.attack, group.setting)


def budget_of(settings: RunSettings, attack: str, setting: str) -> Budget | None:
    """What bounds the attempts of a setting; None for a search of the least distance."""
    entry, values = catalog.find(attack), settings.values(attack, setting)
    eps = values.get("eps")
    if entry is None or not eps or entry.minimises(values):
        return None
    return Budget(entry.norm_of(values), float(eps))


def least(groups: Sequence[Group]) -> pd.DataFrame:
    """The least distance of each image in each norm, whatever the target, by number of the
    image.
    """
    if not groups:
        return pd.DataFrame(columns=list(NORMS), dtype=np.float32)
    rows = pd.concat([group.rows[["image_id", *NORMS]] for group in groups])
    return rows.groupby("image_id")[list(NORMS)].min()


class Images(NamedTuple):
    """The images over which a robust accuracy is taken."""

    number: int
    correct: int  # these are attacked, the others are wrong when clean


def counted(clean: pd.DataFrame, attacked: np.ndarray) -> Images:
    """All images of the selection, if every one that is right was attacked.

    Where only the first so many were, the images up to the last of those. Where others were left
    out, as with --selection=common, the attacked ones alone.

    Args:
        clean: rows of one model, in the order of the selection.
        attacked: numbers of the images that were.
    """
    right = (clean["predicted"] == clean["label"]).to_numpy()
    known = clean["image_id"].isin(attacked).to_numpy()
    if (known == right).all():
        return Images(len(clean), int(right.sum()))
    last = int(np.flatnonzero(known).max()) + 1 if known.any() else 0
    if (known[:last] == right[:last]).all():
        return Images(last, int(right[:last].sum()))
    return Images(len(attacked), len(attacked))
