"""The family of a black-box network, by how adversarial images of known networks transfer to it.

A signature has an entry for each source, attack, setting and kind of target. The entry is the share of images that fool
both source and network, of those that the network has right when clean. The unknown network gets the family of the known
network whose signature correlates most with its own (Pearson). The correlation is over the entries that both have. A
network has no entry for images that were made for itself. No JAX.

This is the plainest of 18 rules that were tried on the embedded networks: entries centred, scaled or neither; the nearest
network, the mean of a family, or its centroid; missing entries filled in or not. It names 15 of 16, the others 9 to 14.
It was chosen on these networks, so their rate flatters it.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis import rate_interval
from jaxadv.analysis.families import FAMILIES, LOOKS, family
from model_ports.errors import InputError

ALL = "all"  # the line of `confusion` over all families
LEAST_SHARED = 6  # entries; a correlation over fewer says nothing
_ENTRY = ["source", "attack", "setting", "target_kind"]


class Naming(NamedTuple):
    """What an unknown network is taken for."""

    family: str
    nearest: str  # the known network that answers most alike
    correlations: pd.Series  # with every known network of a family, the largest first


def name_family(run_rows: pd.DataFrame, unknown_rows: pd.DataFrame) -> Naming:
    """Name the family of a network that is known by its answers alone.

    run_rows: the transfer rows of a finished run, `Run(directory).read("transfer")`. unknown_rows: rows of the same columns of one
    further network, shown the same images; of them `model`, `source`, `attack`, `setting`, `target_kind`, `attacked`, `source_success`
    and `success` are used. Raises InputError if they hold more or less than one network, or share too little with the run.
    """
    names = unknown_rows["model"].unique()
    if len(names) != 1:
        raise InputError(
            f"the unknown rows are of {len(names)} models; rows of one network are needed: choose one"
        )
    known = signatures(rates(run_rows[run_rows["model"] != names[0]]))
    told = _alike(known.assign(**{"": signatures(rates(unknown_rows))[names[0]]}))[""].drop("")
    told = (
        told[[family(name) != "other" for name in told.index]]
        .dropna()
        .sort_values(ascending=False, kind="stable")
    )
    if told.empty:
        raise InputError(
            f"no network of the run shares {LEAST_SHARED} entries (source, attack, setting, kind of target) with the unknown rows; "
            "show the unknown network the run's own adversarial images"
        )
    return Naming(family(told.index[0]), told.index[0], told)


def rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The entries of signatures from transfer rows, as the table `transfer` has them: source, attack, ..., model, as_failures."""
    rows = rows[rows["attacked"]]
    fooled = rows[[*_ENTRY, "model"]].assign(as_failures=rows["success"] & rows["source_success"])
    return fooled.groupby([*_ENTRY, "model"], observed=True)["as_failures"].mean().reset_index()


def signatures(entries: pd.DataFrame) -> pd.DataFrame:
    """A column a model, a row an entry; NaN where the model is the source. entries: as of `rates`, or the table `transfer`."""
    return entries.set_index([*_ENTRY, "model"])["as_failures"].unstack("model")


def _alike(vectors: pd.DataFrame) -> pd.DataFrame:
    """Correlations of every two columns over the entries that both have; NaN where those are few or all the same."""
    return vectors.corr(min_periods=LEAST_SHARED)


def leave_one_out(entries: pd.DataFrame) -> pd.DataFrame:
    """What each network is taken for if it is the unknown one and the others are known; a line a network that can be named.

    entries: as of `rates`, or the table `transfer`. named: the family of the nearest; runner_up: the next family. has_relatives: whether
    the run has another network of its family, without which no rule can be right, so that it is not counted. A network of no family of the
    study is named, not counted, and nobody's neighbour.
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
        told = (
            alike.loc[model]
            .drop(model, errors="ignore")
            .dropna()
            .sort_values(ascending=False, kind="stable")
        )
        if told.empty:
            continue
        best = told.groupby(told.index.map(family), sort=False).first()
        second = (best.index[1], best.iloc[1]) if len(best) > 1 else ("", np.nan)
        relatives = "yes" if members.get(family(model), 0) > 1 else "no"
        records.append(
            [model, family(model), best.index[0], told.index[0], told.iloc[0], *second, relatives]
        )
    return pd.DataFrame(records, columns=columns)


def confusion(found: pd.DataFrame) -> pd.DataFrame:
    """How many networks of each family are taken for each family, and in the last line all of them.

    found: of `leave_one_out`. right and its rate are over the counted networks, those that have relatives; chance is what naming
    each after one of the others, drawn at random, would give.
    """
    rate = ["right", "right_rate", "right_rate_low", "right_rate_high", "chance"]
    columns = ["family", "networks", *(f"named_{name}" for name in FAMILIES), *rate]
    if found.empty:
        return pd.DataFrame(columns=columns)
    known = int((found["family"] != "other").sum())
    found = found.assign(
        chance=(found.groupby("family")["family"].transform("size") - 1) / max(known - 1, 1)
    )
    records = []
    groups = [
        (name, found[found["family"] == name]) for name in LOOKS if (found["family"] == name).any()
    ]
    for name, rows in [*groups, (ALL, found)]:
        counted = rows[rows["has_relatives"] == "yes"]
        n, right = len(counted), int((counted["named"] == counted["family"]).sum())
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
