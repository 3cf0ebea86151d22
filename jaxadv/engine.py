"""Lanes: many probes of one kind run side by side on the device, each for one item, and are refilled as they finish.

A step is the model's program, then the probe's: `tell` and the next `ask` in one. The host drives the steps without waiting for the
device; where a probe has no fixed length it looks at the lanes one cycle late, which costs a finished lane one idle cycle. The
lanes' shape never changes, so the last items compile nothing, and a result does not depend on who shared the lanes.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.classifier import Classifier
from jaxadv.oracle import Answer
from jaxadv.probe import Schedule, select

DEFAULT_LANES = 32


class _Lane(NamedTuple):
    """One lane, or all of them with a leading axis."""

    probe: Any
    item: Any
    state: Any


@functools.partial(jax.jit, donate_argnums=0)
def _put(lanes: _Lane, index, probe, item) -> _Lane:
    """Start ``item`` in the lane ``index``."""
    lane = _Lane(probe, item, probe.init(item))
    return jax.tree.map(lambda array, value: array.at[index].set(value), lanes, lane)


@functools.partial(jax.jit, static_argnames=("phase", "num_classes"))
def _ask(lanes: _Lane, *, phase, num_classes):
    return jax.vmap(lambda lane: lane.probe.ask(lane.item, lane.state, phase, num_classes))(lanes)


@functools.partial(jax.jit, static_argnames=("phase", "following"), donate_argnums=0)
def _tell(lanes: _Lane, answers: Answer, *, phase, following):
    """Tell every lane its answer; returns the lanes, the next questions (None after the last phase) and who is done."""

    def one(lane, answer):
        probe, item, before = lane
        state = probe.tell(item, before, answer, phase)
        if hasattr(probe, "done"):  # a finished lane stands still until it is refilled
            state = select(probe.done(before), before, state)
        question = following and probe.ask(item, state, following, answer.logits.shape[0])
        finished = probe.done(state) if hasattr(probe, "done") else None
        return _Lane(probe, item, state), question, finished

    return jax.vmap(one)(lanes, answers)


@jax.jit
def _result(lanes: _Lane, index):
    lane = jax.tree.map(lambda array: array[index], lanes)
    return lane.probe.result(lane.item, lane.state)


def choose_lanes(items: int, lanes: int | None) -> int:
    """``lanes``, or if None a power of two that holds ``items``, at most DEFAULT_LANES."""
    return lanes or min(DEFAULT_LANES, 1 << max(0, items - 1).bit_length())


def run(classifier: Classifier, probes: Sequence, items: Sequence, *, lanes: int) -> Iterator[tuple[int, Any]]:
    """Run probe i on item i, for all i, ``lanes`` at a time.

    Yields (i, result as NumPy arrays), in the order of finishing: items of one schedule are kept together. Probes are settings
    (see `jaxadv.probe`), items NamedTuples of one probe's kind.
    """
    groups: dict[Any, list[int]] = {}
    for index, probe in enumerate(probes):
        groups.setdefault(jax.tree.structure(probe), []).append(index)
    for members in groups.values():
        queue = _Queue([_settings(probes[i]) for i in members], [items[i] for i in members], lanes)
        schedule = probes[members[0]].schedule
        runner = _run_waves if schedule.cycles is not None else _run_until_done
        for position, result in runner(classifier, queue, schedule):
            yield members[position], result


def _settings(probe):
    """Its numbers as float32 arrays: a setting must not be a constant of the program, nor whole for all lanes because one's is."""
    return jax.tree.map(lambda number: np.asarray(number, np.float32), probe)


class _Queue:
    """The items of one group, their lanes, and which lane holds which."""

    def __init__(self, probes: list, items: list, lanes: int):
        self.probes, self.items = probes, items
        self.next = 0
        self.holds = [-1] * lanes
        shape = jax.eval_shape(lambda probe, item: _Lane(probe, item, probe.init(item)), probes[0], items[0])
        self.lanes = jax.tree.map(lambda leaf: jnp.zeros((lanes, *leaf.shape), leaf.dtype), shape)
        for lane in range(min(lanes, len(items)), lanes):  # lanes that no item needs run a copy of the first
            self.lanes = _put(self.lanes, lane, probes[0], items[0])

    def refill(self, free: Sequence[int]) -> None:
        """Put the next items into the ``free`` lanes, as far as there are any."""
        for lane in free:
            self.holds[lane] = -1
            if self.next < len(self.items):
                self.lanes = _put(self.lanes, lane, self.probes[self.next], self.items[self.next])
                self.holds[lane] = self.next
                self.next += 1

    def take(self, finished: Sequence[int]) -> list[tuple[int, Any]]:
        """The results of lanes, still on the device."""
        return [(self.holds[lane], _result(self.lanes, lane)) for lane in finished if self.holds[lane] >= 0]

    @property
    def busy(self) -> list[int]:
        return [lane for lane, item in enumerate(self.holds) if item >= 0]


def _fetch(results: list[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    return zip([position for position, _ in results], jax.device_get([result for _, result in results]), strict=True)


def _evaluate(classifier: Classifier, phase, question) -> Answer:
    """One evaluation of the model at all lanes."""
    images, objectives = question
    if phase.gradient:
        return classifier.oracle.ask(classifier.params, images, objectives)
    return Answer(classifier.oracle.logits(classifier.params, images), None)


def _run_waves(classifier, queue: _Queue, schedule: Schedule):
    """Probes of one known length: all lanes start and finish together."""
    phases = schedule.prologue + schedule.cycle * schedule.cycles
    waiting: list = []
    while queue.next < len(queue.items):
        queue.refill(range(len(queue.holds)))
        question = _ask(queue.lanes, phase=phases[0], num_classes=classifier.num_classes)
        for phase, following in zip(phases, (*phases[1:], None), strict=True):
            answers = _evaluate(classifier, phase, question)
            queue.lanes, question, _ = _tell(queue.lanes, answers, phase=phase, following=following)
        # The wave before is fetched while this one computes.
        yield from _fetch(waiting)
        waiting = queue.take(queue.busy)
    yield from _fetch(waiting)


def _run_until_done(classifier, queue: _Queue, schedule: Schedule):
    """Probes that say when they are done: a lane is refilled at the start of a cycle."""
    cycle = schedule.cycle
    queue.refill(range(len(queue.holds)))
    question = _ask(queue.lanes, phase=cycle[0], num_classes=classifier.num_classes)
    seen = None
    while queue.busy:
        for phase, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            answers = _evaluate(classifier, phase, question)
            queue.lanes, question, done = _tell(queue.lanes, answers, phase=phase, following=following)
        looked, seen = seen, (done, list(queue.holds))
        if looked is None:
            continue
        flags = np.asarray(looked[0])
        finished = [lane for lane in queue.busy if flags[lane] and looked[1][lane] == queue.holds[lane]]
        if finished:
            results = queue.take(finished)
            queue.refill(finished)
            question = _ask(queue.lanes, phase=cycle[0], num_classes=classifier.num_classes)
            yield from _fetch(results)
