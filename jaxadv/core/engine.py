"""Lanes: many probes of one kind run side by side on the device, each for one item, and are refilled as they finish.

A step is the model's program, then the probe's: `tell` and the next `ask` in one. The host drives the steps without waiting for the
device; where a probe has no fixed length it looks at the lanes one cycle late, which costs a finished lane one idle cycle. The
lanes' shape never changes, so the last items compile nothing, and a result does not depend on who shared the lanes (on a GPU, by
rounding).

Each local device has lanes of its own, which a thread of its own drives, and all take from one queue: nothing is sent from device to
device, none waits for another, and every one runs the program that a single device would, so their number changes no bit.
"""

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jax import Array

from jaxadv.core import faults
from jaxadv.core.classifier import Classifier, Device, on_device
from jaxadv.core.faults import Faults, Watch
from jaxadv.core.journal import Journal
from jaxadv.core.oracle import Answer
from jaxadv.core.probe import Phase, Probe, Question, Schedule, select

DEFAULT_LANES = 32
AHEAD = 8
"""Steps that the host may be ahead of the device: enough to keep it busy, and few enough for the journal to see time pass."""


AnyProbe: TypeAlias = Probe[Any, Any, Any]
Outcome: TypeAlias = tuple[int, Any]
"""The number of an item, and the result of its probe as NumPy arrays."""
Look: TypeAlias = Callable[[Classifier, Sequence[int], Sequence[int], Any, Any], None]
"""(classifier, numbers of items, their lanes, all lanes' items, all lanes' results), the last two on the device."""


class _Lane(NamedTuple):
    """One lane, or all of them with a leading axis."""

    probe: AnyProbe
    item: Any
    state: Any
    faults: Faults  # of the answers so far


def _start(probe: AnyProbe, item: Any) -> _Lane:
    return _Lane(probe, item, probe.init(item), faults.none_yet())


@functools.cache
def _fill(device: Device) -> Callable[[Any, Any], _Lane]:
    """A program that starts an item in every lane of ``device``. It takes NumPy's arrays: a third of the time of `device_put` and it."""

    @functools.partial(jax.jit, out_shardings=jax.sharding.SingleDeviceSharding(device))
    def fill(probes: Any, items: Any) -> _Lane:
        return jax.vmap(_start)(probes, items)

    return fill


@functools.partial(jax.jit, donate_argnums=0)
def _put(lanes: _Lane, index: int, started: _Lane) -> _Lane:
    """Into the lane ``index`` what `_fill` has started, alone: in one program with this an init rounds otherwise than in `_fill`'s."""
    return jax.tree.map(lambda array, value: array.at[index].set(value[0]), lanes, started)


@functools.partial(jax.jit, static_argnames=("phase", "num_classes"))
def _ask(lanes: _Lane, *, phase: Phase, num_classes: int) -> Question:
    return jax.vmap(lambda lane: lane.probe.ask(lane.item, lane.state, phase, num_classes))(lanes)


@functools.partial(jax.jit, static_argnames=("phase", "following"), donate_argnums=0)
def _tell(
    lanes: _Lane, answers: Answer, *, phase: Phase, following: Phase | None
) -> tuple[_Lane, Question | None, Array | None]:
    """Tell every lane its answer; returns the lanes, the next questions (None after the last phase) and who is done."""

    def one(lane: _Lane, answer: Answer) -> tuple[_Lane, Question | None, Array | None]:
        probe, item, before, wrong_before = lane
        state = probe.tell(item, before, answer, phase)
        wrong = faults.after(wrong_before, answer)
        may_end = probe.schedule.cycles is None
        if may_end:  # a finished lane stands still until it is refilled
            state, wrong = select(probe.done(before), (before, wrong_before), (state, wrong))
        question = following and probe.ask(item, state, following, answer.logits.shape[0])
        finished = probe.done(state) if may_end else None
        return _Lane(probe, item, state, wrong), question, finished

    return jax.vmap(one)(lanes, answers)


@jax.jit
def _results(lanes: _Lane) -> Any:
    """What every lane has to say."""
    return jax.vmap(_said)(lanes)


@jax.jit
def _result(lanes: _Lane, index: int) -> Any:
    return _said(jax.tree.map(lambda array: array[index], lanes))


def _said(lane: _Lane) -> tuple[Any, Faults]:
    """The result of a lane's probe, and what was wrong with the answers to it."""
    return lane.probe.result(lane.item, lane.state), lane.faults


def choose_lanes(items: int, lanes: int | None) -> int:
    """``lanes``, or if None a power of two that holds ``items``, at most DEFAULT_LANES."""
    return lanes or min(DEFAULT_LANES, 1 << max(0, items - 1).bit_length())


def run(
    classifier: Classifier,
    probes: Sequence[AnyProbe],
    items: Sequence[Any],
    *,
    lanes: int,
    journal: Journal | None = None,
    look: Look | None = None,
    watch: Watch | None = None,
) -> Iterator[Outcome]:
    """Run probe i on item i, for all i, ``lanes`` at a time on each local device.

    Yields (i, result as NumPy arrays), in the order of finishing: items of one schedule are kept together. Probes are settings
    (see `jaxadv.core.probe`), items NamedTuples of one probe's kind, taken when their turn comes: memory does not grow with their number.
    journal: what it knows of these items is not done again, and it is told what becomes of them. look: called with results of many
    lanes while they are on the device, by the device's thread, before they are yielded; not with results of few lanes, nor with known ones.
    watch: told what was wrong with the answers to an item, before the item is yielded.
    """
    watch = watch or Watch(len(items))
    groups: dict[Any, list[int]] = {}
    for index, probe in enumerate(probes):
        groups.setdefault(jax.tree.structure(probe), []).append(index)
    known = journal.outcomes() if journal else {}
    classifier = classifier.awake()
    for number, members in enumerate(groups.values()):
        first = members[0]
        kind = jax.eval_shape(_result_at_once, _settings(probes[first]), items[first])
        asks_gradients = any(
            phase.gradient
            for phase in probes[first].schedule.prologue + probes[first].schedule.cycle
        )
        for i in (i for i in members if i in known):
            result, wrong = jax.tree.unflatten(jax.tree.structure(kind), known[i])
            watch.note(i, wrong, asks_gradients=asks_gradients)
            yield i, result
        waiting = _Waiting([i for i in members if i not in known])
        group = _Group(probes, items, first, lanes, waiting, look)
        devices = classifier.devices[: max(1, -(-len(waiting) // lanes))]
        queues = [
            _Queue(group, device, _Notes(journal, f"{number}-{place}"))
            for place, device in enumerate(devices)
        ]
        outcomes = [
            _outcomes(classifier.on(device), queue)
            for device, queue in zip(devices, queues, strict=True)
        ]
        for i, (result, wrong) in _side_by_side(devices, outcomes, waiting):
            watch.note(i, wrong, asks_gradients=asks_gradients)
            yield i, result


def _result_at_once(probe: AnyProbe, item: Any) -> tuple[Any, Faults]:
    """What a lane says, of the type that the probe gives."""
    return _said(_start(probe, item))


def _outcomes(classifier: Classifier, queue: "_Queue") -> Iterator[Outcome]:
    """What the lanes of one device bring; their journal is told first."""
    runner = _run_until_done if queue.schedule.cycles is None else _run_waves
    for i, result in runner(classifier, queue):
        queue.notes.add(i, result)
        yield i, result


def _side_by_side(
    devices: Sequence[Device], runs: Sequence[Iterator[Outcome]], waiting: "_Waiting"
) -> Iterator[Outcome]:
    """All that ``runs`` yield, each driven by a thread of its device's. If one fails, the others end at their next step."""
    if len(runs) == 1:
        yield from runs[0]
        return
    said: SimpleQueue[tuple[bool, Any]] = (
        SimpleQueue()
    )  # (is it an outcome, the outcome or what ended the run)

    def drive(device: Device, run: Iterator[Outcome]) -> None:
        try:
            with on_device(device):
                for outcome in run:
                    said.put((True, outcome))
            said.put((False, None))
        except BaseException as error:  # raised by whoever waits below
            said.put((False, error))

    threads = [
        threading.Thread(target=drive, args=pair, daemon=True)
        for pair in zip(devices, runs, strict=True)
    ]
    for thread in threads:
        thread.start()
    running = len(runs)
    try:
        while running:
            is_outcome, value = said.get()
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
    """Its numbers as float32 arrays: a setting must not be a constant of the program, nor whole for all lanes because one's is."""
    return jax.tree.map(lambda number: np.asarray(number, np.float32), probe)


class _Waiting:
    """The numbers of the items that no lane has taken, in order; the lanes of all devices take from here, until it is closed."""

    def __init__(self, numbers: Sequence[int]):
        self.closed = False
        self._numbers = dict.fromkeys(numbers)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, count: int) -> list[int]:
        """The next ``count``, or all that are left."""
        with self._lock:
            taken = list(itertools.islice(self._numbers, count))
            for number in taken:
                del self._numbers[number]
        return taken

    def claim(self, number: int) -> int:
        """``number``, if it is waiting; else -1."""
        return number if self._numbers.pop(number, self) is None else -1


class _Group(NamedTuple):
    """Items whose probes have one schedule, for the lanes of all devices."""

    probes: Sequence[AnyProbe]  # of all items, those of other groups too
    items: Sequence[Any]
    first: int  # the number of one of the group's items
    lanes: int  # of each device
    waiting: _Waiting
    look: Look | None


class _Queue:
    """The lanes of one device: which holds which item, and where they are taken from.

    notes: may have saved what `state` gave when the run was interrupted.
    """

    lanes: _Lane

    def __init__(self, group: _Group, device: Device, notes: "_Notes"):
        self.waiting = group.waiting
        self.device = device
        self.notes = notes
        self.schedule: Schedule = group.probes[group.first].schedule
        self._group = group
        self._saved = notes.lanes()
        self.holds = (
            [self.waiting.claim(int(held)) for held in self._saved["holds"]]
            if self._saved
            else [-1] * group.lanes
        )
        self.phase = int(self._saved["phase"]) if self._saved else 0

    def restore(self) -> None:
        """Put the saved lanes on the device."""
        if self._saved:
            kind = jax.eval_shape(_start, *self._pair(self._group.first))
            leaves, structure = jax.tree.flatten(kind)
            saved = [self._saved[f"leaf{number}"] for number in range(len(leaves))]
            self.lanes = jax.device_put(jax.tree.unflatten(structure, saved), self.device)
            self._saved = {}

    def _pair(self, number: int) -> tuple[AnyProbe, Any]:
        return _settings(self._group.probes[number]), self._group.items[number]

    def _started(self, numbers: Sequence[int]) -> _Lane:
        starts = [self._pair(number) for number in numbers]
        columns = zip(*map(jax.tree.leaves, starts), strict=True)
        stacked = [
            np.stack(column) if np.ndim(column[0]) else np.array(column) for column in columns
        ]  # each the faster for its kind
        return _fill(self.device)(*jax.tree.unflatten(jax.tree.structure(starts[0]), stacked))

    def state(self, phase: int) -> dict[str, np.ndarray]:
        """All lanes, before the phase of that number."""
        leaves = jax.device_get(jax.tree.leaves(self.lanes))
        return {"holds": np.array(self.holds), "phase": np.array(phase)} | {
            f"leaf{number}": leaf for number, leaf in enumerate(leaves)
        }

    def fill(self) -> None:
        """Put the next items into all lanes, which are free; a lane that no item needs runs a copy of the first."""
        taken = self.waiting.take(len(self.holds))
        if not taken:
            return
        free = len(self.holds) - len(taken)
        self.holds = taken + [-1] * free
        self.lanes = self._started(taken + taken[:1] * free)

    def refill(self) -> None:
        """Put the next items into the free lanes, as far as there are any."""
        free = [lane for lane, held in enumerate(self.holds) if held < 0]
        for lane, number in zip(free, self.waiting.take(len(free)), strict=False):
            self.lanes = _put(self.lanes, lane, self._started([number]))
            self.holds[lane] = number

    def take(self, finished: Sequence[int], classifier: Classifier) -> "_Taken":
        """The results in lanes that are finished, and now free."""
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
    """What the journal, if there is one, keeps of the lanes of one group and device."""

    journal: Journal | None
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
    lanes: (
        list[int] | None
    )  # which of all lanes are wanted; None: the results are a list of just those
    results: Any

    def fetch(self) -> Iterator[Outcome]:
        fetched = jax.device_get(self.results)
        if self.lanes is not None:
            leaves, structure = jax.tree.flatten(fetched)
            fetched = [structure.unflatten([leaf[lane] for leaf in leaves]) for lane in self.lanes]
        return zip(self.numbers, fetched, strict=True)


def _evaluate(classifier: Classifier, phase: Phase, question: Question) -> Answer:
    """One evaluation of the model at all lanes."""
    images, objectives = question
    if phase.gradient:
        return classifier.oracle.ask(classifier.params, images, objectives)
    return Answer(classifier.oracle.logits(classifier.params, images), None)


def _run_waves(classifier: Classifier, queue: _Queue) -> Iterator[Outcome]:
    """Probes of one known length: all lanes start and finish together."""
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
        # The wave before is fetched while this one computes.
        yield from waiting.fetch()
        waiting = queue.take(queue.busy, classifier)
    yield from waiting.fetch()


def _run_until_done(classifier: Classifier, queue: _Queue) -> Iterator[Outcome]:
    """Probes that say when they are done: a lane is refilled at the start of a cycle."""
    cycle = queue.schedule.cycle
    queue.restore()
    if queue.busy:  # going on
        queue.refill()
    else:
        queue.fill()
    ages = [0] * len(queue.holds)  # cycles of each lane since this call began
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
            queue.refill()
            for lane in finished:
                ages[lane] = 0
            question = queue.busy and _ask(
                queue.lanes, phase=cycle[0], num_classes=classifier.num_classes
            )
            yield from results.fetch()
        if queue.notes.due():
            queue.notes.write(queue, 0)
