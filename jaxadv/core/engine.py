"""Lanes: many probes of one kind run side by side on a device, each on one item. A finished lane
gets the next item.

A step runs the model's program, then the probe's program, which holds `tell` and the next `ask`.
The host starts the steps without waiting for the device. For a probe without a fixed length the
host reads the lanes one cycle late, so a finished lane idles for one cycle. The number of lanes
never changes, so the last items compile nothing. A result does not depend on the items in the other
lanes, except for rounding on a GPU.

Each local device has lanes and a thread. All devices take items from one queue, send each other
nothing, and never wait for each other. Each device runs the same program as a single device would,
so the number of devices changes no bit of a result.
"""

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import numpy as np
from jax import Array

from jaxadv.core import faults
from jaxadv.core.classifier import Classifier, Device, on_device
from jaxadv.core.faults import Faults, Watch
from jaxadv.core.oracle import Answer
from jaxadv.core.probe import Phase, Probe, Question, Schedule, select

DEFAULT_LANES = 32
AHEAD = 8
"""The number of steps that the host may be ahead of the device.

It is large enough to keep the device busy, and small enough for the journal to be written in time.
"""


AnyProbe: TypeAlias = Probe[Any, Any, Any]
More: TypeAlias = Callable[[], int | None]
"""Appends items and their probes. Returns how many; 0 for none now, and None for never again."""


class Notebook(Protocol):
    """What the engine needs of a `jaxadv.core.journal.Journal`."""

    def outcomes(self) -> dict[int, list[np.ndarray]]: ...
    def lanes(self, name: str) -> dict[str, np.ndarray]: ...
    def add(self, item: int, arrays: Sequence[np.ndarray]) -> None: ...
    def due(self, name: str = "") -> bool: ...
    def write(self, name: str = "", lanes: dict[str, np.ndarray] | None = None) -> None: ...


class Watcher(Protocol):
    """What the engine needs of a `jaxadv.core.faults.Watch`."""

    def note(self, item: int, faults: Faults, *, asks_gradients: bool) -> None: ...


Outcome: TypeAlias = tuple[int, Any]
"""The number of an item, and its probe's result as NumPy arrays."""
Look: TypeAlias = Callable[[Classifier, Sequence[int], Sequence[int], Any, Any], None]
"""A function of a classifier, the numbers of items, their lanes, the items of all lanes, and the
results of all lanes.

Items and results are on the device.
"""


class _Lane(NamedTuple):
    """One lane, or all lanes with a leading axis."""

    probe: AnyProbe
    item: Any
    state: Any
    faults: Faults  # of the answers so far


def _start(probe: AnyProbe, item: Any) -> _Lane:
    return _Lane(probe, item, probe.init(item), faults.none_yet())


@functools.cache
def _fill(device: Device) -> Callable[[Any, Any], _Lane]:
    """A program that starts an item in every lane of ``device``.

    It takes NumPy arrays. That needs a third of the time of a separate `device_put`.
    """

    @functools.partial(jax.jit, out_shardings=jax.sharding.SingleDeviceSharding(device))
    def fill(probes: Any, items: Any) -> _Lane:
        return jax.vmap(_start)(probes, items)

    return fill


@functools.partial(jax.jit, donate_argnums=0)
def _put(lanes: _Lane, index: int, started: _Lane) -> _Lane:
    """Put an item that `_fill` has started into lane ``index``.

    The item is not started here: fused into this program, `init` would round differently from
    `_fill`.
    """
    return jax.tree.map(lambda array, value: array.at[index].set(value[0]), lanes, started)


@functools.partial(jax.jit, static_argnames=("phase", "num_classes"))
def _ask(lanes: _Lane, *, phase: Phase, num_classes: int) -> Question:
    return jax.vmap(lambda lane: lane.probe.ask(lane.item, lane.state, phase, num_classes))(lanes)


@functools.partial(jax.jit, static_argnames=("phase", "following"), donate_argnums=0)
def _tell(
    lanes: _Lane, answers: Answer, *, phase: Phase, following: Phase | None
) -> tuple[_Lane, Question | None, Array | None]:
    """Give every lane its answer.

    Returns:
        The lanes, the next questions (None after the last phase), and which lanes are done (None
        for a fixed length).
    """

    def one(lane: _Lane, answer: Answer) -> tuple[_Lane, Question | None, Array | None]:
        probe, item, before, wrong_before = lane
        state = probe.tell(item, before, answer, phase)
        wrong = faults.after(wrong_before, answer)
        may_end = probe.schedule.cycles is None
        if may_end:  # a finished lane does not change until it is refilled
            state, wrong = select(probe.done(before), (before, wrong_before), (state, wrong))
        question = following and probe.ask(item, state, following, answer.logits.shape[0])
        finished = probe.done(state) if may_end else None
        return _Lane(probe, item, state, wrong), question, finished

    return jax.vmap(one)(lanes, answers)


@jax.jit
def _results(lanes: _Lane) -> Any:
    """The results and faults of all lanes."""
    return jax.vmap(_outcome)(lanes)


@jax.jit
def _result(lanes: _Lane, index: int) -> Any:
    return _outcome(jax.tree.map(lambda array: array[index], lanes))


def _outcome(lane: _Lane) -> tuple[Any, Faults]:
    """The result of a lane's probe, and the faults of the answers that it got."""
    return lane.probe.result(lane.item, lane.state), lane.faults


def choose_lanes(items: int, lanes: int | None) -> int:
    """The number of lanes for a queue.

    Args:
        items: the number of items.
        lanes: the number that the caller chose, or None.

    Returns:
        ``lanes`` if it is given; else the smallest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... that holds
        the items, at most `DEFAULT_LANES`. So few numbers need few programs, and at most a third of
        the lanes idle.
    """
    power = 1 << max(0, items - 1).bit_length()
    between = 3 * power // 4
    return lanes or min(DEFAULT_LANES, between if 0 < items <= between else power)


def run(
    classifier: Classifier,
    probes: Sequence[AnyProbe],
    items: Sequence[Any],
    *,
    lanes: int,
    journal: Notebook | None = None,
    look: Look | None = None,
    watch: Watcher | None = None,
    more: More | None = None,
) -> Iterator[Outcome]:
    """Run probe i on item i, for all i.

    Args:
        classifier: the model.
        probes: N probes, which are attacks or samplers with their settings (see
            `jaxadv.core.probe`).
        items: N NamedTuples, each for its probe. The engine reads an item when a lane is free, so
            memory does not grow with N.
        lanes: items side by side on each local device.
        journal: holds the results of items that an interrupted run has finished; these are not run
            again. New results are added to it.
        look: called with results of many lanes while they are on the device, before they are
            yielded. The device's thread calls it. It is not called for the results of few lanes,
            nor for results from the journal.
        watch: gets the faults of each item before the item is yielded.
        more: called when fewer items are waiting than lanes are free. It may append to ``probes``
            and ``items``, which are lists then, probes of the structure of the first. It is not
            called for probes of several structures.

    Yields:
        i and the result as NumPy arrays, in the order of finishing. Items of one schedule run
        together.
    """
    watch = watch or Watch(len(items))
    groups: dict[Any, list[int]] = {}
    for index, probe in enumerate(probes):
        groups.setdefault(jax.tree.structure(probe), []).append(index)
    known = journal.outcomes() if journal else {}
    for number, members in enumerate(groups.values()):
        first = members[0]
        pair = (_settings(probes[first]), items[first])
        asks_gradients = any(
            phase.gradient
            for phase in probes[first].schedule.prologue + probes[first].schedule.cycle
        )
        before = _known(probes[first], items, [i for i in members if i in known], known)
        waiting = _Waiting(
            [i for i in members if i not in known],
            more if len(groups) == 1 else None,
            following=len(probes),
        )
        group = _Group(probes, items, pair, lanes, waiting, look)
        devices = classifier.devices
        if more is None:  # no more devices than there is work for
            devices = devices[: max(1, -(-len(waiting) // lanes))]
        queues = [
            _Queue(group, device, _Notes(journal, f"{number}-{place}"))
            for place, device in enumerate(devices)
        ]
        outcomes = [
            _outcomes(classifier.on(device), queue)
            for device, queue in zip(devices, queues, strict=True)
        ]
        now = _side_by_side(devices, outcomes, waiting)
        for i, (result, wrong) in itertools.chain(before, now):
            watch.note(i, wrong, asks_gradients=asks_gradients)
            yield i, result


def _known(
    probe: AnyProbe, items: Sequence[Any], members: Sequence[int], known: Mapping[int, Any]
) -> Iterator[Outcome]:
    """The outcomes of items that a journal holds. The probe is traced only if there are some."""
    if members:
        kind = jax.eval_shape(_result_at_once, _settings(probe), items[members[0]])
        for i in members:
            yield i, jax.tree.unflatten(jax.tree.structure(kind), known[i])


def _result_at_once(probe: AnyProbe, item: Any) -> tuple[Any, Faults]:
    """The outcome of a lane that has just started. It shows the types of an outcome."""
    return _outcome(_start(probe, item))


def _outcomes(classifier: Classifier, queue: "_Queue") -> Iterator[Outcome]:
    """The outcomes of the lanes of one device. The journal gets each outcome first."""
    runner = _run_until_done if queue.schedule.cycles is None else _run_waves
    for i, result in runner(classifier, queue):
        queue.notes.add(i, result)
        yield i, result


def _side_by_side(
    devices: Sequence[Device], runs: Sequence[Iterator[Outcome]], waiting: "_Waiting"
) -> Iterator[Outcome]:
    """All outcomes of ``runs``.

    A thread drives each run. If one run fails, the others end at their next step.
    """
    if len(runs) == 1:
        yield from runs[0]
        return
    # Each entry: whether it is an outcome; then the outcome, the error that ended a run, or None at
    # its end.
    messages: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

    def drive(device: Device, run: Iterator[Outcome]) -> None:
        try:
            with on_device(device):
                for outcome in run:
                    messages.put((True, outcome))
            messages.put((False, None))
        except BaseException as error:  # raised again in the loop below
            messages.put((False, error))

    threads = [
        threading.Thread(target=drive, args=pair, daemon=True)
        for pair in zip(devices, runs, strict=True)
    ]
    for thread in threads:
        thread.start()
    running = len(runs)
    try:
        while running:
            is_outcome, value = messages.get()
            if is_outcome:
                yield value
            elif value is None:
                running -= 1
            else:
                raise value
    finally:
        waiting.closed = True
        for thread in threads:
            thread.join()


@functools.lru_cache(maxsize=64)
def _settings(probe: AnyProbe) -> AnyProbe:
    """The probe with its numbers as float32 arrays, so that no setting is a constant or an integer
    in the program.
    """
    return jax.tree.map(lambda number: np.asarray(number, np.float32), probe)


class _Waiting:
    """The numbers of the items that no lane has taken, in order.

    The lanes of all devices take from here until it is closed.
    """

    def __init__(self, numbers: Sequence[int], more: More | None = None, *, following: int = 0):
        self.closed = False
        self._numbers = dict.fromkeys(numbers)
        self._lock = threading.Lock()
        self._more = more
        self._next = following  # the number of the next item that `more` adds

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, count: int) -> list[int]:
        """Remove and return the next ``count`` numbers, or all if fewer are left."""
        with self._lock:
            while len(self._numbers) < count and self._more and not self.closed:
                added = self._more()
                if added is None:
                    self._more = None
                if not added:
                    break
                self._numbers |= dict.fromkeys(range(self._next, self._next + added))
                self._next += added
            taken = list(itertools.islice(self._numbers, count))
            for number in taken:
                del self._numbers[number]
        return taken

    def claim(self, number: int) -> int:
        """Remove and return ``number`` if it is waiting; else return -1."""
        return number if self._numbers.pop(number, self) is None else -1


class _Group(NamedTuple):
    """The items whose probes share one schedule."""

    probes: Sequence[AnyProbe]  # of all items, including those of other groups
    items: Sequence[Any]
    first: tuple[AnyProbe, Any]  # the settings of one of the probes, and its item
    lanes: int  # of each device
    waiting: _Waiting
    look: Look | None


class _Queue:
    """The lanes of one device: the item that each lane holds, and the items that are waiting.

    notes: may hold the lanes of an interrupted run, as `state` returned them.
    """

    lanes: _Lane

    def __init__(self, group: _Group, device: Device, notes: "_Notes"):
        self.waiting = group.waiting
        self.device = device
        self.notes = notes
        self.schedule: Schedule = group.first[0].schedule
        self._group = group
        self._saved = notes.lanes()
        held = [self.waiting.claim(int(held)) for held in self._saved.get("holds", ())]
        self.holds = held + [-1] * (group.lanes - len(held))
        self.phase = int(self._saved["phase"]) if self._saved else 0

    def restore(self) -> None:
        """Put the saved lanes on the device."""
        if self._saved:
            kind = jax.eval_shape(_start, *self._group.first)
            leaves, structure = jax.tree.flatten(kind)
            # The saved lanes may be some of all lanes. The others hold copies of the first.
            rows = [*range(len(self._saved["holds"]))]
            rows += [0] * (len(self.holds) - len(rows))
            saved = [self._saved[f"leaf{number}"][rows] for number in range(len(leaves))]
            self.lanes = jax.device_put(jax.tree.unflatten(structure, saved), self.device)
            self._saved = {}

    def _pair(self, number: int) -> tuple[AnyProbe, Any]:
        return _settings(self._group.probes[number]), self._group.items[number]

    def _started(self, numbers: Sequence[int]) -> _Lane:
        starts = [self._pair(number) for number in numbers]
        columns = zip(*map(jax.tree.leaves, starts), strict=True)
        stacked = [
            np.stack(column) if np.ndim(column[0]) else np.array(column) for column in columns
        ]  # np.stack is faster for arrays, np.array for numbers
        return _fill(self.device)(*jax.tree.unflatten(jax.tree.structure(starts[0]), stacked))

    def state(self, phase: int) -> dict[str, np.ndarray]:
        """All lanes as arrays to save, before the phase of this number."""
        leaves = jax.device_get(jax.tree.leaves(self.lanes))
        return {"holds": np.array(self.holds), "phase": np.array(phase)} | {
            f"leaf{number}": leaf for number, leaf in enumerate(leaves)
        }

    def fill(self) -> None:
        """Put the next items into all lanes, which must be free.

        A spare lane runs a copy of the first item.
        """
        taken = self.waiting.take(len(self.holds))
        if not taken:
            return
        free = len(self.holds) - len(taken)
        self.holds = taken + [-1] * free
        self.lanes = self._started(taken + taken[:1] * free)

    def refill(self) -> list[int]:
        """Put the next items into the free lanes, while items are waiting. Returns these lanes."""
        free = [lane for lane, held in enumerate(self.holds) if held < 0]
        filled = list(zip(free, self.waiting.take(len(free)), strict=False))
        for lane, number in filled:
            self.lanes = _put(self.lanes, lane, self._started([number]))
            self.holds[lane] = number
        return [lane for lane, _ in filled]

    def take(self, finished: Sequence[int], classifier: Classifier) -> "_Taken":
        """The results of finished lanes, which become free."""
        numbers = [self.holds[lane] for lane in finished]
        for lane in finished:
            self.holds[lane] = -1
        every = 4 * len(finished) > len(self.holds)  # one call for all lanes
        results = (
            _results(self.lanes) if every else [_result(self.lanes, lane) for lane in finished]
        )
        if every and self._group.look:
            self._group.look(classifier, numbers, finished, self.lanes.item, results[0])
        for leaf in jax.tree.leaves(results):
            leaf.copy_to_host_async()
        return _Taken(numbers, list(finished) if every else None, results)

    @property
    def busy(self) -> list[int]:
        return [lane for lane, item in enumerate(self.holds) if item >= 0]


class _Notes(NamedTuple):
    """The part of the journal, if there is one, for the lanes of one group on one device."""

    journal: Notebook | None
    name: str

    def lanes(self) -> dict[str, np.ndarray]:
        return self.journal.lanes(self.name) if self.journal else {}

    def add(self, item: int, result: Any) -> None:
        if self.journal:
            self.journal.add(item, jax.tree.leaves(result))

    def due(self) -> bool:
        return self.journal is not None and self.journal.due(self.name)

    def write(self, queue: _Queue, phase: int) -> None:
        if self.journal:
            self.journal.write(self.name, queue.state(phase))


class _Taken(NamedTuple):
    """Results that are still on the device."""

    numbers: list[int]  # of the items
    lanes: list[int] | None  # the finished lanes if results are of all lanes; else None
    results: Any  # of all lanes, or a list with one for each item

    def fetch(self) -> Iterator[Outcome]:
        fetched = jax.device_get(self.results)
        if self.lanes is not None:
            leaves, structure = jax.tree.flatten(fetched)
            fetched = [structure.unflatten([leaf[lane] for leaf in leaves]) for lane in self.lanes]
        return zip(self.numbers, fetched, strict=True)


def _evaluate(classifier: Classifier, phase: Phase, question: Question) -> Answer:
    """Evaluate the model once for all lanes."""
    images, objectives = question
    if phase.gradient:
        return classifier.oracle.ask(classifier.params, images, objectives)
    return Answer(classifier.oracle.logits(classifier.params, images), None)


def _run_waves(classifier: Classifier, queue: _Queue) -> Iterator[Outcome]:
    """Run probes of one fixed length: all lanes start and finish together."""
    phases = queue.schedule.phases()
    waiting = _Taken([], None, [])
    ahead: deque[Array] = deque()
    queue.restore()
    while True:
        if not queue.busy:
            queue.fill()
            queue.phase = 0
        if not queue.busy:
            break
        question = _ask(queue.lanes, phase=phases[queue.phase], num_classes=classifier.num_classes)
        for number in range(queue.phase, len(phases)):
            if queue.waiting.closed:
                return
            if queue.notes.due():
                yield from waiting.fetch()
                waiting = _Taken([], None, [])
                queue.notes.write(queue, number)
            answers = _evaluate(classifier, phases[number], question)
            ahead.append(answers.logits)
            if len(ahead) > AHEAD:
                ahead.popleft().block_until_ready()
            following = phases[number + 1] if number + 1 < len(phases) else None
            queue.lanes, question, _ = _tell(
                queue.lanes, answers, phase=phases[number], following=following
            )
        # Fetch the previous wave while the device computes this one.
        yield from waiting.fetch()
        waiting = queue.take(queue.busy, classifier)
    yield from waiting.fetch()


def _run_until_done(classifier: Classifier, queue: _Queue) -> Iterator[Outcome]:
    """Run probes without a fixed length: a lane is refilled at the start of a cycle."""
    cycle = queue.schedule.cycle
    queue.restore()
    if queue.busy:  # lanes of an interrupted run
        queue.refill()
    else:
        queue.fill()
    ages = [0] * len(queue.holds)  # cycles that each lane has run in this call
    question: Any = queue.busy and _ask(
        queue.lanes, phase=cycle[0], num_classes=classifier.num_classes
    )
    done: Any = None  # (lanes,) bool, on the device
    seen = None
    while queue.busy and not queue.waiting.closed:
        for phase, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            answers = _evaluate(classifier, phase, question)
            queue.lanes, question, done = _tell(
                queue.lanes, answers, phase=phase, following=following
            )
        ages = [age + 1 for age in ages]
        finished = [lane for lane in queue.busy if ages[lane] == queue.schedule.most]
        looked = seen
        seen = (done, list(queue.holds))
        if looked is not None:
            flags = np.asarray(looked[0])
            finished += [
                lane
                for lane in queue.busy
                if flags[lane] and looked[1][lane] == queue.holds[lane] and lane not in finished
            ]
        if finished:
            results = queue.take(finished, classifier)
            for lane in queue.refill():  # some may have been idle for long
                ages[lane] = 0
            question = queue.busy and _ask(
                queue.lanes, phase=cycle[0], num_classes=classifier.num_classes
            )
            yield from results.fetch()
        if queue.notes.due():
            queue.notes.write(queue, 0)
