"""What a verdict on one of the study's statements is, and the comparisons that several of them rest
on.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis import mean_intervals
from jaxadv.attacks import catalog
from jaxadv.report.sizes import SIZES
from jaxadv.report.study.samples import Sample
from jaxadv.report.tables import Tables, law

HOLDS, FAILS, UNTESTED, MEASURED = "holds", "does not hold", "not tested", "measured"


RATES = {
    "released_top5": "the target is among the five largest outputs",
    "released": "the target is the largest output",
}
"""Columns of transfer rates towards a target, and what counts there; failed sources count in both.
"""


class Evidence(NamedTuple):
    """What statements are tested on; see `of_the_study`."""

    made: Tables
    samples: list[Sample]
    study: dict[str, pd.DataFrame]  # the tables of `jaxadv.report.study` but the claims
    zoo: str = ""  # of the networks; "" if not known

    @property
    def targeted(self) -> str:
        """The one of RATES by which transfer towards a target is counted.

        The study's panels count the top-5 of 1000 classes (attested: `attested_settings.csv`). Of
        the ten classes of digits five are half, so there it is the largest output alone.
        """
        return "released_top5" if self.zoo == "imagenet" else "released"

    def rate(self, kind: str) -> str:
        """The column of transfer rates by which a kind of target is counted."""
        return "released" if kind == "untargeted" else self.targeted


def of_the_study(
    made: Tables, found: list[Sample], study: dict[str, pd.DataFrame], zoo: str = ""
) -> Evidence:
    """What a run has of the study's own networks and settings.

    Nothing else can refute or uphold a statement: no ensemble, no network of the user's, no other
    norm, loss or rule.
    """
    names = list(SIZES["imagenet"])

    def own(table: pd.DataFrame) -> pd.DataFrame:
        use = np.logical_and.reduce(
            [table[column].isin(names) for column in ("model", "source") if column in table]
        )
        if "setting" in table:
            use = use & np.array(
                [*map(made.settings.is_studied, table["attack"], table["setting"])], bool
            )
        return table[use]

    tables = {
        name: own(getattr(made, name)) for name in ("accuracy", "robustness", "clever", "transfer")
    }
    laws = law(tables["accuracy"], tables["robustness"], tables["clever"], made.settings)
    samples = [
        sample._replace(values=sample.values[[name for name in sample.values if name in names]])
        for sample in found
        if made.settings.is_studied(sample.attack, sample.setting)
    ]
    return Evidence(made._replace(**tables, law=laws), samples, study, zoo)


class Claim(NamedTuple):
    """One statement, or a part of one, and what this run's rows say of it."""

    statement: str  # the study's number, with a letter for a part
    claim: str  # in our words
    rule: str  # when it holds, where the study gives no number: ours
    verdict: str  # by the numbers as they are
    # yes: the 95 % intervals exclude the other verdict; no: they do not; "" where nothing was
    # tested
    settled: str
    evidence: str  # the numbers and the reason, one line


def tested(
    statement: str, claim: str, rule: str, *, holds: bool, settled: bool, evidence: str
) -> Claim:
    return Claim(
        statement, claim, rule, HOLDS if holds else FAILS, "yes" if settled else "no", evidence
    )


def untested(statement: str, claim: str, rule: str, *, lacks: str) -> Claim:
    return Claim(statement, claim, rule, UNTESTED, "", f"the run has no {lacks}")


class Change(NamedTuple):
    """A mean and what it becomes, over the same models or sources; ``low`` and ``high``: 95 %
    interval of the change.
    """

    before: float
    after: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether the change is surely not 0."""
        return self.low > 0 or self.high < 0


def change(before: pd.Series, after: pd.Series) -> Change:
    """By model, source or pair: those that have both."""
    before, after = before.align(after, join="inner")
    both = before.notna() & after.notna()
    first, second = before[both].to_numpy(float), after[both].to_numpy(float)
    if not len(first):
        return Change(np.nan, np.nan, np.nan, np.nan)
    (low,), (high,) = mean_intervals((second - first)[:, None])
    return Change(first.mean(), second.mean(), low, high)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def ordinal(number: int) -> str:
    ending = (
        "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{ending}"


class Sweep(NamedTuple):
    """Two settings of an attack that differ in one parameter, its smallest and its largest
    value.
    """

    what: str  # e.g. "EAD-L1, steps=10"
    low: float
    high: float
    low_setting: str
    high_setting: str


def sweeps(made: Tables, rows: pd.DataFrame, attack: str, parameter: str) -> list[Sweep]:
    """Of the settings that some rows of an attack have, those that differ in nothing but a
    parameter: the ends of each such group.
    """
    lines = made.settings.lines(attack, rows["setting"]).get(parameter, [])
    name = catalog.title(attack)
    return [
        Sweep(
            ", ".join(filter(None, [name, line.rest])),
            line.values[0],
            line.values[-1],
            line.labels[0],
            line.labels[-1],
        )
        for line in lines
    ]


def by_source(
    made: Tables,
    attack: str,
    kinds: tuple[str, ...],
    setting: str | None = None,
    column: str = "released",
) -> pd.Series:
    """Mean transfer rate of each source over the models it is shown to and the maps of an attack
    (in one setting).
    """
    rows = made.transfer[
        (made.transfer["attack"] == attack) & made.transfer["target_kind"].isin(kinds)
    ]
    rows = rows if setting is None else rows[rows["setting"] == setting]
    return rows.groupby("source", sort=False)[column].mean().dropna()


def rows_of(made: Tables, attack: str, kinds: tuple[str, ...]) -> pd.DataFrame:
    """The attempts of an attack at the first of these kinds of target that there is."""
    rows = made.robustness[made.robustness["attack"] == attack]
    kind = next((kind for kind in kinds if (rows["target_kind"] == kind).any()), "")
    return rows[rows["target_kind"] == kind]
