"""The expected cost of units in FLOP, to decide who does what next. No row depends on it.

The cost of an image is the network's arithmetic, times the evaluations that are expected. C&W,
EAD-L1 and other attacks that end early get the mean of the rows that are there already.
"""

import csv
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from jaxadv.evaluation import units
from jaxadv.evaluation.plan import Job
from jaxadv.evaluation.units import Unit

TABLE = Path(__file__).with_name("flops.csv")
"""GFLOP of one image of each full-size network, as `jaxadv.evaluation.estimate.gigaflops` counts."""
EARLY = 0.5
"""The share of its evaluations that an attack which may end early needs, before rows show it."""
TOGETHER = 4
"""Targets of CLEVER that share a forward pass (see `jaxadv.api`)."""


class Gigaflops(NamedTuple):
    """The arithmetic of one image, GFLOP."""

    gradient: float  # of logits with gradient
    logits: float  # of logits alone


UNKNOWN = Gigaflops(3.0, 1.0)
"""A network whose arithmetic nobody has counted. All such networks count alike."""


@functools.cache
def table() -> dict[str, tuple[int, Gigaflops]]:
    """The rows of flops.csv: network -> input size in pixels, and arithmetic."""
    with open(TABLE, newline="") as file:
        return {
            row["network"]: (
                int(row["input_size"]),
                Gigaflops(float(row["gradient"]), float(row["logits"])),
            )
            for row in csv.DictReader(file)
        }


def of_zoo(zoo: str, name: str, input_size: int) -> Gigaflops | None:
    """The arithmetic of a network of the zoo. None if it is not in the table.

    A small network of another zoo counts like the full-size one of its name, since costs are only
    compared with each other.

    Args:
        zoo: the name of the zoo.
        name: the network.
        input_size: its input size, pixels.

    Returns:
        GFLOP of one image.
    """
    if name not in table():
        return None
    size, usual = table()[name]
    scale = (input_size / size) ** 2 if zoo == "imagenet" else 1.0
    return Gigaflops(usual.gradient * scale, usual.logits * scale)


class Costs:
    """The expected cost of the units of a job.

    Args:
        job: the job.
        gigaflops: the arithmetic of each network; missing ones count as `UNKNOWN`.
    """

    def __init__(self, job: Job, gigaflops: Mapping[str, Gigaflops]):
        self._job = job
        self._gigaflops = gigaflops
        self._sums: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._cached: dict[tuple[str, str], float] = {}

    def learn(self, network: str, attack: str, rows: pd.DataFrame) -> None:
        """Take the evaluations of finished attempts into account.

        Args:
            network: the network.
            attack: the attack.
            rows: rows of examples, all of this network and attack.
        """
        count, gradients, forwards = self._sums.get((network, attack), (0, 0, 0))
        self._sums[network, attack] = (
            count + len(rows),
            gradients + int(rows["gradients"].sum()),
            forwards + int(rows["forwards"].sum()),
        )
        self._cached.clear()

    def knows(self, network: str, attack: str) -> bool:
        """Whether rows of a network and an attack were taken into account."""
        return (network, attack) in self._sums

    def of_image(self, network: str, what: str) -> float:
        """The expected cost of one image.

        Args:
            network: the network.
            what: an attack or "clever"; empty for a classification.

        Returns:
            FLOP.
        """
        key = (network, what)
        if key not in self._cached:
            self._cached[key] = 1e9 * self._of_image(network, what)
        return self._cached[key]

    def of(self, unit: Unit, images: int) -> float:
        """The expected cost of a unit.

        Args:
            unit: the unit.
            images: the number of images that the network has for this kind of unit.

        Returns:
            FLOP.
        """
        size = units.size(self._job, unit.what)
        mine = max(0, min(size, images - unit.block * size))
        return mine * self.of_image(unit.network, unit.what)

    def _of_image(self, network: str, what: str) -> float:
        """GFLOP of one image."""
        job = self._job
        gradient, logits = self._gigaflops.get(network, UNKNOWN)
        if not what:
            return logits
        gradients, forwards = job.evaluations[what]
        if what == "clever":
            targets = max(1, job.clever_targets)
            passes = -(-targets // TOGETHER) / targets  # forward passes of each gradient
            return gradients * (gradient - logits + passes * logits)
        attempts = [one for one in job.attempts if one.attack == what]
        mean = self._measured(network, what)
        if mean is not None:
            gradients, forwards = (len(attempts) * count for count in mean)
        elif any(one.probe.schedule.cycles is None for one in attempts):
            gradients, forwards = EARLY * gradients, EARLY * forwards
        shown = sum(
            self._gigaflops.get(other, UNKNOWN).logits for other in units.shown_to(job, network)
        )
        return gradients * gradient + forwards * logits + len(attempts) * (logits + shown)

    def _measured(self, network: str, attack: str) -> tuple[float, float] | None:
        """The mean evaluations of an attempt, of this network or else of all networks."""
        own = [self._sums[network, attack]] if (network, attack) in self._sums else []
        found = own or [sums for (_, name), sums in self._sums.items() if name == attack]
        count = sum(sums[0] for sums in found)
        if not count:
            return None
        return sum(sums[1] for sums in found) / count, sum(sums[2] for sums in found) / count
