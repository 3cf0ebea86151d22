"""The board: which units of a run are left, which of them are free, and which one to do next.

Every process has its own board, made of lists of the run's folder. Boards may be late or wrong. A
claim decides (see `jaxadv.store.claims`), and a board only decides where to look first.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from jaxadv.evaluation import units
from jaxadv.evaluation.costs import Costs
from jaxadv.evaluation.plan import Job
from jaxadv.evaluation.units import Unit
from jaxadv.support.files import short

URGENT = 0.3
"""A unit is urgent if it takes this share of the time in which all processes could do the rest."""


class _Group(NamedTuple):
    """The free units of one network and one attack."""

    first: Unit
    number: int
    cost: float  # of the first; only the last unit of all may be smaller
    taken: int  # units of the same kind that somebody has

    @property
    def work(self) -> float:
        """The cost of all its units."""
        return self.number * self.cost


class Board:
    """The units of a run that are left, as one process sees them.

    Args:
        job: the job.
        costs: the costs of its units.
        models: the networks in the order in which a process alone does them; None for the job's.
        seed: of the choice between networks, different for each process.
    """

    def __init__(
        self,
        job: Job,
        costs: Costs,
        *,
        models: Sequence[str] | None = None,
        seed: int | str | None = None,
    ):
        self._job = job
        self._costs = costs
        self._random = random.Random(seed)
        self._left: dict[str, dict[str, dict[str, Unit]]] = {}  # network -> attack -> name -> unit
        self._of_name: dict[str, Unit] = {}
        self._images: dict[str, int] = {}  # of networks whose attempts are known
        self._taken: dict[str, int] = {}  # name -> generation, of other processes or this one
        for network in job.models if models is None else models:
            self._left[network] = {}
            self._add(units.classifications(job, network))

    def _add(self, some: Iterable[Unit]) -> None:
        for unit in some:
            name = short(unit.part)
            self._left[unit.network].setdefault(unit.what, {})[name] = unit
            self._of_name[name] = unit

    @property
    def left(self) -> list[Unit]:
        """The known units that are left."""
        return [
            unit
            for kinds in self._left.values()
            for group in kinds.values()
            for unit in group.values()
        ]

    def is_empty(self) -> bool:
        """Whether all units of the run are done."""
        known = len(self._images) == len(self._job.models)
        return known and not any(any(kinds.values()) for kinds in self._left.values())

    def is_known(self, network: str) -> bool:
        """Whether the attempts of a network are known."""
        return network in self._images

    def is_classified(self, network: str) -> bool:
        """Whether no classification of a network is left."""
        return self.is_known(network) or not self._left[network].get("")

    def know(self, network: str, images: int) -> None:
        """Add the units that attack and score a network.

        Args:
            network: the network.
            images: the number of its images to attack.
        """
        if network not in self._images:
            self._images[network] = images
            self._add(units.attempts(self._job, network, images))

    def all_of(self, network: str) -> list[Unit]:
        """All units of a network that is known, done or not."""
        attempts = units.attempts(self._job, network, self._images[network])
        return units.classifications(self._job, network) + attempts

    def drop(self, unit: Unit) -> None:
        """A unit is done."""
        self._left[unit.network].get(unit.what, {}).pop(short(unit.part), None)

    def put_back(self, unit: Unit) -> None:
        """A unit is to be done again."""
        self._add([unit])

    def drop_done(self, is_done: Callable[[Unit], bool]) -> list[Unit]:
        """Drop all units that are done.

        Args:
            is_done: whether a unit is done.

        Returns:
            The dropped units.
        """
        done = [unit for unit in self.left if is_done(unit)]
        for unit in done:
            self.drop(unit)
        return done

    def see(self, taken: Mapping[str, int]) -> None:
        """Take note of the claims.

        Args:
            taken: the claimed units by name, with generations.
        """
        self._taken = dict(taken)

    def take(self, unit: Unit) -> None:
        """A unit has just been claimed by somebody."""
        self._taken.setdefault(short(unit.part), 0)

    def free(self, unit: Unit) -> None:
        """The claim of a unit was given up."""
        self._taken.pop(short(unit.part), None)

    @property
    def generations(self) -> Mapping[str, int]:
        """The claimed units by name, with generations."""
        return self._taken

    def taken(self) -> list[Unit]:
        """The claimed units that are left, in random order."""
        some = [self._of_name[name] for name in self._taken if name in self._of_name]
        some = [unit for unit in some if short(unit.part) in self._left[unit.network][unit.what]]
        self._random.shuffle(some)
        return some

    def cost(self, unit: Unit) -> float:
        """The expected cost of a unit, FLOP."""
        job = self._job
        if unit.stage == "clean":
            return self._costs.of(unit, len(job.chosen))
        images = self._images[unit.network]
        if unit.stage == "clever":
            images = min(images, job.settings.clever.images or images)
        return self._costs.of(unit, images)

    def next(
        self,
        ready: Sequence[str],
        *,
        processes: int,
        busy: Collection[str] = (),
    ) -> Unit | None:
        """The free unit to do next.

        A process stays with its network, since another one must be loaded and compiled. It leaves
        it for an urgent unit: one that would take long when all other work is done.

        Args:
            ready: the networks that this worker has used, the latest first.
            processes: how many processes work on the run.
            busy: the networks of other workers of this process.

        Returns:
            The unit, or None if none is free.
        """
        free = self._free()
        if not free:
            return None
        if processes > 1:
            return self._shared(free, ready, processes)
        for network in ready:
            if network in free:
                return self._first(free[network])
        others = [network for network in free if network not in busy] or list(free)
        return self._first(free[others[0]])

    def _shared(
        self, free: Mapping[str, Mapping[str, "_Group"]], ready: Sequence[str], processes: int
    ) -> Unit:
        """The unit to do next beside other processes.

        Units of attacks form queues, whose lanes idle at the end. So a queue that somebody works on
        gets another process only if it is too long for one. Scores fill up the time.
        """
        urgent = self._urgent(free, processes)
        if urgent is not None:
            return urgent
        time = self._rest(free) / processes
        wanting = {
            network: [group for group in groups.values() if self._wants(group, time)]
            for network, groups in free.items()
        }
        wanting = {network: groups for network, groups in wanting.items() if groups}
        for network in ready:
            if network in wanting:
                return self._longest(wanting[network])
        if wanting:
            names = list(wanting)
            weights = [
                sum(group.work for group in groups)
                + (0 if self.is_known(network) else self.planned(network))
                for network, groups in wanting.items()
            ]
            return self._longest(wanting[self._random.choices(names, weights)[0]])
        last = [name for name in ready if name in free] or list(free)
        return self._longest(list(free[last[0]].values()))

    def _wants(self, group: "_Group", time: float) -> bool:
        """Whether a group is not yet in the hands of as many processes as it needs in ``time``."""
        unit = group.first
        if unit.stage != "attack":
            return True
        attempts = sum(one.attack == unit.what for one in self._job.attempts)
        in_lanes = (self._job.settings.lanes or 1) / (attempts * units.size(self._job, unit.what))
        # A process has so many units at a time.
        processes = math.ceil(group.taken / (1 + in_lanes))
        return processes < max(1.0, group.work / time)

    def _longest(self, groups: Sequence["_Group"]) -> Unit:
        """The first unit of the longest queue of attacks, or else of the scores."""
        return max(groups, key=lambda group: (group.first.stage == "attack", group.work)).first

    def following(self, unit: Unit, is_fresh: Callable[[Unit], bool]) -> Unit | None:
        """The free unit that continues a unit's queue: the same attack on the same network.

        Args:
            unit: the unit before.
            is_fresh: whether nobody has begun a unit.

        Returns:
            The unit, or None if there is none.
        """
        group = self._left.get(unit.network, {}).get(unit.what, {})
        mine = (one for name, one in group.items() if name not in self._taken and is_fresh(one))
        return next(mine, None)

    def _free(self) -> dict[str, dict[str, "_Group"]]:
        """The free units in groups: network -> attack -> group, without empty entries."""
        taken = Counter(
            (unit.network, unit.what)
            for name in self._taken
            if (unit := self._of_name.get(name)) is not None
            and name in self._left[unit.network][unit.what]
        )
        free: dict[str, dict[str, _Group]] = {}
        for network, kinds in self._left.items():
            for what, group in kinds.items():
                count = len(group) - taken[network, what]
                if count > 0:
                    first = next(unit for name, unit in group.items() if name not in self._taken)
                    free.setdefault(network, {})[what] = _Group(
                        first, count, self.cost(first), taken[network, what]
                    )
        return free

    def _first(self, groups: Mapping[str, "_Group"]) -> Unit:
        """The first free unit of a network, in the order of `units.attempts`."""

        def order(unit: Unit) -> tuple[bool, int]:
            return unit.stage == "attack", unit.block * units.size(self._job, unit.what)

        return min((group.first for group in groups.values()), key=order)

    def _urgent(self, free: Mapping[str, Mapping[str, "_Group"]], processes: int) -> Unit | None:
        """The largest free unit, if it is urgent."""
        groups = [group for kinds in free.values() for group in kinds.values()]
        longest = max(groups, key=lambda group: group.cost)
        is_urgent = longest.cost >= URGENT * self._rest(free) / processes
        return longest.first if is_urgent else None

    def _rest(self, free: Mapping[str, Mapping[str, "_Group"]]) -> float:
        """The cost of everything that nobody has, FLOP."""
        groups = (group for kinds in free.values() for group in kinds.values())
        return sum(group.work for group in groups) + self._unknown()

    def _unknown(self) -> float:
        """The cost of the attempts of networks that are not classified yet."""
        return sum(
            self.planned(network) for network in self._job.models if network not in self._images
        )

    def planned(self, network: str) -> float:
        """The cost of all attempts of a network that is right on every image, FLOP."""
        job = self._job
        images = units.most_images(job)
        scored = min(images, job.settings.clever.images or images)
        total = sum(images * self._costs.of_image(network, attack) for attack in job.attacks)
        return total + (scored * self._costs.of_image(network, "clever") if job.clever_kinds else 0)

    def counted(self) -> dict[str, Counter[str]]:
        """How many units are left of each kind, by network; as planned where nobody knows yet."""
        counts: dict[str, Counter[str]] = {}
        for network, kinds in self._left.items():
            left = [unit for group in kinds.values() for unit in group.values()]
            if not self.is_known(network):
                left += units.attempts(self._job, network, units.most_images(self._job))
            counts[network] = units.counted(left)
        return counts
