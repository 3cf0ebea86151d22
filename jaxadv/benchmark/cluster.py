"""A simulated cluster: how well a study divides among many devices.

    python -m jaxadv.benchmark.cluster

Everything that decides who does what is the project's own code: units, costs, board, dispatcher and
claims. Only devices, time and the file server are simulated, event by event:

* A device is up to 30 % faster or slower than the others, and nobody knows. Networks sustain the
  TFLOP/s of `jaxadv/evaluation/rates.csv`, and costs know only FLOP.
* C&W and EAD-L1 end early, each network by its own share, and costs expect one half of the most.
* Each operation of the file server takes 50 ms. Networks take time to load and to compile, also
  those that only look at adversarial images. Processes share the folder of compiled programs
  (--compilation_cache), and start within two minutes of each other.
* With preemption, a tenth of the workers dies in an hour. Each comes back after five minutes as a
  new process. What it did since its last save is lost.

Efficiency is the time of full lanes that do nothing but the networks' evaluations, divided by the
time until the last row is written.
"""

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxadv.core.targets import KINDS
from jaxadv.data import validation
from jaxadv.data.source import Source
from jaxadv.evaluation import plan, rates, units
from jaxadv.evaluation.board import Board
from jaxadv.evaluation.costs import Costs, Gigaflops, of_zoo
from jaxadv.evaluation.dispatcher import Dispatcher, Taken
from jaxadv.evaluation.settings import CleverSettings, Settings
from jaxadv.evaluation.units import Unit
from jaxadv.store.claims import Claims
from model_ports import facts

DELAY = 0.05  # seconds of an operation of the file server
START = 120.0  # seconds within which all processes start
WAKE = 20.0  # seconds until a process has started JAX
LOAD = 10.0  # seconds to load a network
COMPILE = {"logits": 30.0, "ask": 90.0}  # seconds to compile a program of a network
CACHED = 5.0  # seconds to read a compiled program that another process has written
SPREAD = 0.3  # of the devices' speeds
AWAY = 300.0  # seconds until a preempted worker comes back
SAVED = 60.0  # seconds between two saves
RENEWED = 10.0  # seconds between two renewals of a claim
POLL = 2.0  # seconds between two looks of a process without a unit
CHAINS = True
"""Whether the units of an attack follow one another in the lanes."""
GRAIN = 16
"""Of the 50,000 images: one event for so many attempts."""
HARD = (0.3, 0.7)  # the share of its evaluations that an attack needs which may end early


class Scene(NamedTuple):
    """What is simulated."""

    images: int
    processes: int
    preempted: float = 0.0  # the share of the workers that dies in an hour
    lanes: int = 64
    grain: int = 1  # attempts that are simulated as one, to save time
    networks: tuple[str, ...] = facts.NAMES
    seed: int = 1


class Found(NamedTuple):
    """What came of it."""

    hours: float  # until the last row was written
    efficiency: float  # 0 to 1
    repeated: float  # the share of all work that was done again after a death
    deaths: int


def study(images: int, lanes: int, networks: Sequence[str] = facts.NAMES) -> plan.Job:
    """The study as docs/performance.md has it: every attack, three targets, CLEVER on 100 images.

    Args:
        images: 1000, the study's, or 50,000, the whole validation set.
        lanes: of a device.
        networks: the networks.

    Returns:
        The job, on a source that has no pictures.
    """

    def draw(*_: Any) -> np.ndarray:
        raise AssertionError("a simulation reads no picture")

    numbers = np.arange(1, 50001)
    source = Source(
        name="imagefolder:simulated",
        ids=numbers,
        labels=validation.study_labels(),
        names=[str(number) for number in numbers],
        num_classes=1000,
        fingerprint="",
        draw=draw,
        validation=True,
    )
    settings = Settings(
        targets=("untargeted", "random", "least"),
        attack_targets={"clever": tuple(KINDS)[1:]},
        clever=CleverSettings(images=100),
        selection="study" if images == 1000 else "first",
        num_images=images,
        lanes=lanes,
    )
    return plan.job(settings, list(networks), {}, source)


def seconds_of(gigaflops: dict[str, Gigaflops]) -> dict[str, float]:
    """Seconds of an H200 for one GFLOP of each network, in float32, from rates.csv."""
    found: dict[str, float] = {}
    table = rates.table()
    for name, cost in gigaflops.items():
        one = rates.Work(3600, 0, cost)
        (hours,) = rates.hours({name: one}, table[table["device"] == "NVIDIA H200"])
        found[name] = hours.hours["highest"] / cost.gradient
    return found


Events = Generator[float, None, None]
"""Yields the times at which a process goes on."""


class _Killed(Exception):
    """The worker was preempted."""


@dataclass
class _File:
    content: str
    owner: "_Worker"


class _Folder:
    """The claims on a simulated file server, as one worker sees them."""

    def __init__(self, world: "_World", worker: "_Worker"):
        self._files = world.files
        self._world = world
        self._worker = worker

    def _took(self) -> None:
        self._worker.waited += DELAY

    def open(self) -> None:
        self._took()

    def names(self) -> list[str]:
        self._took()
        return list(self._files)

    def create(self, name: str, content: str) -> bool:
        self._took()
        if name in self._files:
            return False
        self._files[name] = _File(content, self._worker)
        return True

    def touch(self, name: str) -> bool:
        self._took()
        return name in self._files

    def time(self, name: str) -> float | None:
        """The last renewal: a worker renews its files as long as it lives."""
        self._took()
        if name not in self._files:
            return None
        owner = self._files[name].owner
        last = self._world.now if owner.died is None else owner.died
        return last if owner is self._worker else last - last % RENEWED

    def read(self, name: str) -> str:
        self._took()
        return self._files[name].content if name in self._files else ""

    def remove(self, name: str) -> None:
        self._took()
        self._files.pop(name, None)

    def lock(self, name: str) -> int | None:
        """All processes are on machines of their own: nobody sees another's locks."""
        return None

    def vanish(self) -> None:
        pass


@dataclass
class _Worker:
    """One process."""

    number: int
    speed: float
    dies: float  # when it will be preempted
    waited: float = 0.0  # for the file server, since this was last added to the clock
    died: float | None = None
    ready: dict[tuple[str, str], float] = field(default_factory=dict)  # when it is compiled
    compiled_until: float = 0.0

    def compile(self, network: str, program: str, world: "_World") -> float:
        """Compile in the background, one program after the other. Returns when it is ready: now, or
        later.
        """
        now, key = world.now, (network, program)
        if key not in self.ready:
            began = max(now, self.compiled_until)
            loaded = any(name == network for name, _ in self.ready)
            cached = world.compiled.get(key, math.inf) <= began
            took = CACHED if cached else COMPILE[program]
            self.compiled_until = began + took + (0.0 if loaded else LOAD)
            self.ready[key] = self.compiled_until
            world.compiled[key] = min(world.compiled.get(key, math.inf), self.compiled_until)
        return max(now, self.ready[network, program])


class _World:
    """Everything that the workers share."""

    def __init__(self, scene: Scene):
        self.scene = scene
        self.job = study(scene.images, scene.lanes, scene.networks)
        self.gigaflops: dict[str, Gigaflops] = {}
        for name in self.job.models:
            cost = of_zoo("imagenet", name, facts.get(name).input_size)
            assert cost is not None  # flops.csv has all networks
            self.gigaflops[name] = cost
        self.costs = Costs(self.job, self.gigaflops)
        self.board = Board(self.job, self.costs, seed=scene.seed)
        self.seconds = seconds_of(self.gigaflops)
        self.random = random.Random(scene.seed)
        self.share = {name: self.random.uniform(*HARD) for name in self.job.models}
        self.files: dict[str, _File] = {}
        self.journals: dict[str, list[float]] = {}  # unit -> what is left of it: steps, or seconds
        self.compiled: dict[tuple[str, str], float] = {}  # when a program is in the shared cache
        self.ended = 0.0  # when the last unit was done
        self.done: set[str] = set()
        self.now = 0.0
        self.work = 0.0  # seconds of a device of speed 1, of all units that are done
        self.repeated = 0.0
        self.deaths = 0

    def steps(self, unit: Unit) -> list[float]:
        """The evaluations with gradient that each attempt of a unit needs, as time tells."""
        size = units.size(self.job, unit.what)
        images = min(size, self.scene.images - unit.block * size)
        count = max(1, images // self.scene.grain)
        share = self.share[unit.network]
        needed: list[float] = []
        for number, attempt in enumerate(self.job.attempts):
            if attempt.attack != unit.what:
                continue
            gradients, forwards = attempt.probe.schedule.evaluations()
            most = gradients + forwards * self.forward(unit.network)
            if attempt.probe.schedule.cycles is None:  # each of nine searches may end early
                chance = np.random.default_rng([self.scene.seed, number, unit.block])
                runs = np.minimum(1.0, chance.exponential(share, (count, 9)))
                needed += (most * runs.mean(1)).tolist()
            else:
                needed += [most] * count
        return needed

    def forward(self, network: str) -> float:
        """The cost of logits, as a share of logits with gradient."""
        cost = self.gigaflops[network]
        return cost.logits / cost.gradient

    def of_gradient(self, network: str) -> float:
        """Seconds of one evaluation with gradient, on a device of speed 1."""
        return self.seconds[network] * self.gigaflops[network].gradient

    def shown(self, unit: Unit) -> float:
        """Seconds to show the images of a unit to the other networks, on a device of speed 1."""
        size = units.size(self.job, unit.what)
        images = min(size, self.scene.images - unit.block * size)
        attempts = sum(one.attack == unit.what for one in self.job.attempts)
        others = units.shown_to(self.job, unit.network)
        each = sum(self.seconds[name] * self.gigaflops[name].logits for name in others)
        return images * attempts * each

    def cost(self, unit: Unit) -> float:
        """Seconds of a unit of classifications or scores, on a device of speed 1."""
        return self.board.cost(unit) / 1e9 * self.seconds[unit.network]

    def finish(self, unit: Unit, work: float) -> None:
        """A unit's rows are written. ``work``: seconds on a device of speed 1."""
        self.done.add(unit.part)
        self.journals.pop(unit.part, None)
        self.work += work
        self.ended = self.now
        for name in self.job.models:
            if not self.board.is_known(name) and self.board.is_classified(name):
                self.board.know(name, self.scene.images)


class _Process:
    """What one process does. Its generators yield the times at which they go on."""

    def __init__(self, world: _World, worker: _Worker):
        self._world = world
        self._worker = worker
        self._claims = Claims(
            Path("simulated"), folder=_Folder(world, worker), owner=f"worker-{worker.number}"
        )
        self._dispatcher = Dispatcher(
            world.board,
            self._claims,
            listed=lambda: lambda unit: False,  # the board is always right here
            exists=self._exists,
            clock=lambda: world.now,
        )

    def _exists(self, unit: Unit) -> bool:
        self._worker.waited += DELAY
        return unit.part in self._world.done

    def _served(self, operations: int = 0) -> float:
        """The time after everything that the file server was asked for."""
        waited = self._worker.waited + DELAY * operations
        self._worker.waited = 0.0
        return self._world.now + waited

    def run(self) -> Events:
        """Do units until none is left."""
        world, recent = self._world, list[str]()
        yield world.now + WAKE
        self._claims.open()
        while not world.board.is_empty():
            self._dispatcher.look()
            taken = self._dispatcher.take(recent)
            yield self._served()
            if taken is None:
                yield world.now + POLL
                continue
            network = taken.unit.network
            recent = [network, *(name for name in recent if name != network)]
            if taken.unit.stage == "clean":
                yield self._worker.compile(network, "logits", world)
                yield from self._alone(taken, world.cost(taken.unit))
            elif taken.unit.stage == "clever":
                yield self._worker.compile(network, "ask", world)
                yield from self._alone(taken, world.cost(taken.unit))
            else:
                yield self._worker.compile(network, "ask", world)
                yield from self._attack(taken)
        self._claims.close()

    def _alone(self, taken: Taken, work: float) -> Events:
        """A unit of a fixed length: classifications, or scores."""
        world, speed = self._world, self._worker.speed
        (left,) = world.journals.get(taken.unit.part, [work])
        began = world.now
        try:
            yield began + left / speed
            yield self._served(5)  # its part
        except _Killed:
            spent = world.now - began
            lost = min(spent, SAVED * world.random.random())
            world.repeated += lost * speed
            world.journals[taken.unit.part] = [left - (spent - lost) * speed]
            raise
        world.finish(taken.unit, work)
        self._dispatcher.done(taken)
        yield self._served()

    def _attack(self, first: Taken) -> Events:
        """Units of one attack on one network, whose attempts follow one another in the lanes."""
        world, worker, network = self._world, self._worker, first.unit.network
        for other in units.shown_to(world.job, network):
            worker.compile(other, "logits", world)
        lanes = max(1, world.scene.lanes // world.scene.grain)
        step = world.scene.lanes * world.of_gradient(network) / worker.speed
        waiting: deque[tuple[Taken, float]] = deque()
        busy: list[tuple[float, int, Taken]] = []  # when an attempt ends; plus `late`
        counts: dict[str, int] = {}
        late, number = 0.0, 0  # seconds in which the lanes stood still
        goes_on = CHAINS

        def fresh(unit: Unit) -> bool:
            return unit.part not in world.journals

        def add(taken: Taken) -> None:
            needed = world.journals.get(taken.unit.part) or world.steps(taken.unit)
            counts[taken.unit.part] = len(needed)
            waiting.extend((taken, length) for length in needed)

        add(first)
        try:
            while waiting or busy:
                while len(busy) < lanes:
                    if not waiting:
                        following = self._dispatcher.follow(first.unit, fresh) if goes_on else None
                        self._worker.waited = 0.0  # the device works meanwhile
                        if following is None:
                            goes_on = False
                            break
                        add(following)
                    taken, length = waiting.popleft()
                    number += 1
                    heapq.heappush(busy, (world.now - late + length * step, number, taken))
                end, _, taken = busy[0]
                yield max(world.now, end + late)
                heapq.heappop(busy)
                counts[taken.unit.part] -= 1
                if not counts[taken.unit.part]:
                    began = world.now
                    shown = world.shown(taken.unit)
                    ready = [
                        worker.compile(other, "logits", world)
                        for other in units.shown_to(world.job, network)
                    ]
                    yield max([began, *ready]) + shown / worker.speed
                    yield self._served(15)  # its parts
                    del counts[taken.unit.part]
                    steps = sum(world.steps(taken.unit)) * world.scene.grain
                    world.finish(taken.unit, steps * world.of_gradient(network) + shown)
                    self._dispatcher.done(taken)
                    yield self._served()
                    late += world.now - began
        except _Killed:
            self._save(waiting, busy, late, step, counts)
            raise

    def _save(
        self,
        waiting: deque[tuple[Taken, float]],
        busy: list[tuple[float, int, Taken]],
        late: float,
        step: float,
        counts: dict[str, int],
    ) -> None:
        """The journals of a process that dies: what it did since its last save is lost."""
        world = self._world
        lost = SAVED * world.random.random()
        left: dict[str, list[float]] = {part: [0.0] * (not count) for part, count in counts.items()}
        for taken, length in waiting:
            left[taken.unit.part].append(length)
        for end, _, taken in busy:
            left[taken.unit.part].append(max(0.0, end + late - world.now + lost) / step)
        share = len(busy) * world.scene.grain / world.scene.lanes
        world.repeated += lost * self._worker.speed * share
        world.journals.update(left)


def simulate(scene: Scene) -> Found:
    """Simulate one run.

    Args:
        scene: what is simulated.

    Returns:
        What came of it.
    """
    world = _World(scene)
    chance = random.Random(scene.seed + 1)
    speeds = [chance.uniform(1 - SPREAD, 1 + SPREAD) for _ in range(scene.processes)]
    events: list[tuple[float, int, _Worker, Events]] = []
    numbers = itertools.count()

    def start(speed: float, at: float) -> None:
        dies = at + chance.expovariate(scene.preempted / 3600) if scene.preempted else math.inf
        worker = _Worker(next(numbers), speed, dies)
        heapq.heappush(events, (at, worker.number, worker, _Process(world, worker).run()))

    for speed in speeds:
        start(speed, chance.uniform(0, START))
    while not world.board.is_empty():
        at, number, worker, process = heapq.heappop(events)
        assert at >= world.now  # time goes on
        world.now = max(world.now, min(at, worker.dies))
        try:
            if at < worker.dies:
                heapq.heappush(events, (next(process), number, worker, process))
            else:
                process.throw(_Killed())
        except _Killed:
            worker.died = world.now
            world.deaths += 1
            start(worker.speed, world.now + AWAY)
    ideal = world.work / sum(speeds)
    return Found(world.ended / 3600, ideal / world.ended, world.repeated / world.work, world.deaths)


def main() -> None:
    """Print the efficiency at 8, 64 and 256 processes."""
    print("| images | processes | preempted an hour | hours | efficiency | done again | deaths |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for images, grain in ((1000, 1), (50_000, GRAIN)):
        for processes in (8, 64, 256):
            for preempted in (0.0, 0.1):
                found = simulate(Scene(images, processes, preempted, grain=grain))
                print(
                    f"| {images:,} | {processes} | {preempted:.0%} | {found.hours:,.1f} "
                    f"| {found.efficiency:.1%} | {found.repeated:.2%} | {found.deaths} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
