"""The family of a black-box network, from the transfer of known networks' adversarial images to it.

A signature has an entry for each source, attack, setting and kind of target. The entry is the share
of images that fool both the source and the network, among the images that the network classifies
correctly when clean. The unknown network gets the family of the known network whose signature has
the largest correlation (Pearson) with that of the unknown one. The correlation is over the entries
that both have. A network has no entry for images that were made for it. No JAX.

This is the simplest of 18 rules that were tried on the embedded networks. The rules differ in
centring and scaling of entries, in the filling of missing entries, and in what is compared: the
nearest network, the mean of a family, or its centroid. This rule names 15 of 16 networks correctly,
the others 9 to 14. It was chosen on these networks, so its rate on them is optimistic.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis import rate_interval
from jaxadv.analysis.families import FAMILIES, LOOKS, family
from model_ports.errors import InputError

ALL = "all"  # the last row of `confusion`, over all families
LEAST_SHARED = 6  # the least number of entries for a correlation
_ENTRY = ["source", "attack", "setting", "target_kind"]


class Naming(NamedTuple):
    """The family that an unknown network gets."""

    family: str
    nearest: str  # the known network with the largest correlation
    correlations: pd.Series  # with every known network of a family, the largest first


def name_family(run_rows: pd.DataFrame, unknown_rows: pd.DataFrame) -> Naming:
    """Name the family of a network from its predictions alone.

    Args:
        run_rows: the transfer rows of a finished run, `Run(directory).read("transfer")`.
        unknown_rows: transfer rows of one further network for the same images. The columns `model`,
            `source`, `attack`, `setting`, `target_kind`, `attacked`, `source_success` and `success`
            are used.

    Returns:
        The family, with the nearest network and all correlations.

    Raises:
        InputError: if the unknown rows are not of exactly one network, or share too few entries
            with the run.
    """
    names = unknown_rows["model"].unique()
    if len(names) != 1:
        raise InputError(
            f"the unknown rows are of {len(names)} models; rows of one network are needed: choose "
            "one"
        )
    known = signatures(rates(run_rows[run_rows["model"] != names[0]]))
    alike = _alike(known.assign(**{"": signatures(rates(unknown_rows))[names[0]]}))[""].drop("")
    alike = (
        alike[[family(name) != "other" for name in alike.index]]
        .dropna()
        .sort_values(ascending=False, kind="stable")
    )
    if alike.empty:
        raise InputError(
            f"no network of the run shares {LEAST_SHARED} entries (source, attack, setting, kind "
            "of target) with the unknown rows; test the unknown network with the adversarial "
            "images of this run"
        )
    return Naming(family(alike.index[0]), alike.index[0], alike)


def rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The entries of signatures.

    Args:
        rows: transfer rows.

    Returns:
        A frame with the columns ``source``, ``attack``, ``setting``, ``target_kind``, ``model`` and
        ``as_failures``, which the table `transfer` also has.
    """
    rows = rows[rows["attacked"]]
    fooled = rows[[*_ENTRY, "model"]].assign(as_failures=rows["success"] & rows["source_success"])
    return fooled.groupby([*_ENTRY, "model"], observed=True)["as_failures"].mean().reset_index()


def signatures(entries: pd.DataFrame) -> pd.DataFrame:
    """The signatures of models.

    Args:
        entries: from `rates`, or the table `transfer`.

    Returns:
        A frame with a column for each model and a row for each entry. NaN where the model is the
        source.
    """
    return entries.set_index([*_ENTRY, "model"])["as_failures"].unstack("model")


def _alike(vectors: pd.DataFrame) -> pd.DataFrame:
    """The correlation of every two columns over the entries that both have.

    NaN if these are few or constant.
    """
    return vectors.corr(min_periods=LEAST_SHARED)


def leave_one_out(entries: pd.DataFrame) -> pd.DataFrame:
    """Name each network as if it were unknown and the others known.

    A network without a family of the study is named, but does not count and is no neighbour of
    others.

    Args:
        entries: from `rates`, or the table `transfer`.

    Returns:
        A row for each network that can be named. ``named`` is the family of the nearest network,
        and ``runner_up`` is the next family. ``has_relatives`` is "yes" if the run has another
        network of the same family. Without one no rule can be right, so the network does not count.
    """
    columns = [
        "model",
        "family",
        "named",
        "nearest",
        "correlation",
        "runner_up",
        "runner_up_correlation",
        "has_relatives",
    ]
    alike = _alike(signatures(entries)).rename_axis(index=None, columns=None)
    alike = alike[[name for name in alike if family(str(name)) != "other"]]
    members = alike.columns.map(family).value_counts()
    records = []
    for model in dict.fromkeys(entries["model"]):
        of_model = (
            alike.loc[model]
            .drop(model, errors="ignore")
            .dropna()
            .sort_values(ascending=False, kind="stable")
        )
        if of_model.empty:
            continue
        best = of_model.groupby(of_model.index.map(family), sort=False).first()
        second = (best.index[1], best.iloc[1]) if len(best) > 1 else ("", np.nan)
        relatives = "yes" if members.get(family(model), 0) > 1 else "no"
        records.append(
            [
                model,
                family(model),
                best.index[0],
                of_model.index[0],
                of_model.iloc[0],
                *second,
                relatives,
            ]
        )
    return pd.DataFrame(records, columns=columns)


def confusion(namings: pd.DataFrame) -> pd.DataFrame:
    """Count how often networks of each family get the name of each family.

    Args:
        namings: from `leave_one_out`.

    Returns:
        A row for each family, and a last row for all. ``networks``, ``right``, its rate and
        ``chance`` are over networks with relatives. ``chance`` is the expected rate if each network
        got the family of a random other network.
    """
    rate = ["right", "right_rate", "right_rate_low", "right_rate_high", "chance"]
    columns = ["family", "networks", *(f"named_{name}" for name in FAMILIES), *rate]
    if namings.empty:
        return pd.DataFrame(columns=columns)
    known = int((namings["family"] != "other").sum())
    namings = namings.assign(
        chance=(namings.groupby("family")["family"].transform("size") - 1) / max(known - 1, 1)
    )
    records = []
    groups = [
        (name, namings[namings["family"] == name])
        for name in LOOKS
        if (namings["family"] == name).any()
    ]
    for name, rows in [*groups, (ALL, namings)]:
        counted = rows[rows["has_relatives"] == "yes"]
        n = len(counted)
        right = int((counted["named"] == counted["family"]).sum())
        low, high = rate_interval(right, n)
        named = [int((rows["named"] == other).sum()) for other in FAMILIES]
        records.append(
            [
                name,
                n,
                *named,
                right,
                right / n if n else np.nan,
                float(low),
                float(high),
                counted["chance"].mean(),
            ]
        )
    return pd.DataFrame(records, columns=columns)
