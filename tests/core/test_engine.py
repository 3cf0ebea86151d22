"""The engine with a probe that writes down what it is asked, and a network that needs no program."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxadv.core import engine, oracle
from jaxadv.core.oracle import Answer
from jaxadv.core.probe import Phase, Schedule, settings

DIGITS = {"first": 1, "low": 2, "high": 3}
CYCLE = (Phase("low", False), Phase("high", True))


class Item(NamedTuple):
    image: Any
    wanted: Any  # cycles until it is done


@settings(data=("scale",), static=("fixed",))
@dataclass(frozen=True)
class Writer:
    """Asks at pixels that are the phase's digit above the image. Its result: the digits in a row,
    in base 4, with a 0 for each phase that is told another's answer.
    """

    fixed: bool
    scale: float = 4.0

    @property
    def schedule(self) -> Schedule:
        if self.fixed:
            return Schedule((Phase("first", False),), CYCLE, 2)
        return Schedule((), CYCLE, None, most=4)

    def init(self, item):
        return jnp.float32(0), jnp.float32(0), jnp.float32(item.wanted)

    def ask(self, item, state, phase, num_classes):
        return item.image + DIGITS[phase.name], oracle.linear(jnp.zeros(num_classes))

    def tell(self, item, state, answer, phase):
        digits, cycles, wanted = state
        digit = answer.logits[0] - item.image.mean()
        right = jnp.abs(digit - DIGITS[phase.name]) < 0.5
        right &= (answer.gradient is not None) == phase.gradient
        digits = self.scale * digits + jnp.where(right, DIGITS[phase.name], 0)
        return digits, cycles + (phase.name == "high"), wanted

    def done(self, state):
        return state[1] >= state[2]

    def result(self, item, state):
        return state[0]


class Network:
    """Its first logit is the mean pixel."""

    params = None
    num_classes = 2

    def __init__(self, devices: int = 1):
        self.devices = jax.local_devices()[:1] * devices
        self.asked: list[str] = []
        self.oracle = SimpleNamespace(logits=self.logits, ask=self.ask)

    def on(self, device):
        return self

    def logits(self, params, images):
        self.asked.append("logits")
        means = np.asarray(images).mean((1, 2, 3))
        return jnp.asarray(np.stack([means, 0 * means], 1))

    def ask(self, params, images, objectives):
        answer = Answer(self.logits(params, images), jnp.ones_like(images))
        self.asked[-1] = "gradient"
        return answer


class Notebook:
    """Holds outcomes and lanes in memory."""

    def __init__(self, outcomes=None, lanes=None):
        self.known, self.saved = outcomes or {}, lanes or {}
        self.added: dict[int, list] = {}
        self.written: list[dict] = []

    def outcomes(self):
        return self.known

    def lanes(self, name):
        return self.saved

    def add(self, item, arrays):
        self.added[item] = arrays

    def due(self, name=""):
        return True

    def write(self, name="", lanes=None):
        self.written.append(lanes)


def items(*wanted: int) -> list[Item]:
    """Items with images of their own."""
    return [
        Item(np.full((2, 2, 3), 0.01 * number, np.float32), np.float32(cycles))
        for number, cycles in enumerate(wanted)
    ]


def digits(network: Network, fixed: bool, *wanted: int, **given) -> dict[int, int]:
    outcomes = engine.run(network, [Writer(fixed)] * len(wanted), items(*wanted), **given)
    return {number: int(np.base_repr(int(result), 4)) for number, result in outcomes}


def test_a_fixed_schedule_is_asked_in_order_and_no_more():
    """Five items in three lanes are two waves."""
    network = Network()
    assert digits(network, True, *[0] * 5, lanes=3) == dict.fromkeys(range(5), 12323)
    assert network.asked == ["logits", "logits", "gradient", "logits", "gradient"] * 2


@pytest.mark.parametrize(("wanted", "cycles"), [(1, 2), (2, 3), (3, 4), (4, 4)])
def test_a_search_ends_one_cycle_after_it_is_done_and_at_its_most(wanted, cycles):
    network = Network()
    assert digits(network, False, wanted, lanes=1) == {0: int("23" * wanted)}
    assert network.asked == ["logits", "gradient"] * cycles


def test_what_the_host_sees_late_is_not_taken_for_the_next_item():
    """The second item takes the lane of the first, which was done a cycle before."""
    network = Network()
    assert digits(network, False, 1, 3, lanes=1) == {0: 23, 1: 232323}
    assert network.asked == ["logits", "gradient"] * (2 + 4)
    assert digits(Network(), False, 1, 4, 2, 3, 1, 4, lanes=2) == {
        0: 23,
        1: 23232323,
        2: 2323,
        3: 232323,
        4: 23,
        5: 23232323,
    }


def test_items_of_a_journal_are_not_run_again():
    network, notes = Network(), Notebook({1: [np.float32(7), np.bool_(False), np.bool_(True)]})
    found = digits(network, True, 0, 0, 0, lanes=3, journal=notes)
    assert found == {1: 13, 0: 12323, 2: 12323}
    assert sorted(notes.added) == [0, 2] and float(notes.added[2][0]) == int("12323", 4)


@pytest.mark.parametrize("fixed", [True, False])
def test_an_interrupted_run_continues_in_its_phase(fixed):
    """From each state that was written: what one lane held is in the result, and the items that
    were waiting follow.
    """
    notes = Notebook()
    expected = digits(Network(), fixed, 2, 3, 1, lanes=2, journal=notes)
    assert notes.written[0]["holds"].tolist() == [0, 1]
    assert {int(lanes["phase"]) for lanes in notes.written} == (set(range(5)) if fixed else {0})
    for lanes in notes.written:
        network = Network()
        known = {
            number: [np.float32(int(str(expected[number]), 4)), np.bool_(False), np.bool_(True)]
            for number in range(max(lanes["holds"]))
            if number not in lanes["holds"]
        }
        found = digits(network, fixed, 2, 3, 1, lanes=2, journal=Notebook(known, lanes))
        assert found == expected
        if fixed and 2 not in lanes["holds"]:
            assert len(network.asked) == 10 - int(lanes["phase"])


@pytest.mark.parametrize(
    ("count", "devices", "used"), [(1, 8, 1), (4, 8, 2), (5, 8, 3), (40, 8, 8), (5, 2, 2)]
)
@pytest.mark.parametrize("more", [None, lambda: None])
def test_no_more_devices_run_than_there_is_work_for(count, devices, used, more, monkeypatch):
    """With two lanes each. If more work may come, all of them run."""
    seen = []

    def side_by_side(places, runs, waiting):
        seen.append(len(places))
        return iter(())

    monkeypatch.setattr(engine, "_side_by_side", side_by_side)
    assert digits(Network(devices), True, *[0] * count, lanes=2, more=more) == {}
    assert seen == [devices if more else used]


@pytest.mark.parametrize("structures", [1, 2])
def test_more_items_join_those_of_one_structure(structures):
    probes = [Writer(True), Writer(structures == 1)]
    every = items(1, 1)
    calls = []

    def more():
        calls.append(1)
        if len(every) > 3:
            return None
        probes.append(probes[0])
        every.append(items(1)[0])
        return 1

    watch = SimpleNamespace(note=lambda *_, **__: None)
    found = dict(engine.run(Network(), probes, every, lanes=2, more=more, watch=watch))
    assert sorted(found) == ([0, 1, 2, 3] if structures == 1 else [0, 1])
    assert bool(calls) == (structures == 1)


def test_a_device_runs_though_a_journal_has_everything(monkeypatch):
    known = {0: [np.float32(3), np.bool_(False), np.bool_(True)]}
    found = digits(Network(3), True, 0, lanes=2, journal=Notebook(known))
    assert found == {0: 3}


def test_further_items_are_asked_for_when_too_few_wait():
    answers, calls = iter([0, 2, 1, None]), []

    def more():
        calls.append(1)
        return next(answers)

    waiting = engine._Waiting([7, 8], more, following=9)
    assert waiting.take(2) == [7, 8] and not calls  # just enough
    assert waiting.take(1) == [] and len(calls) == 1  # none now
    assert waiting.take(3) == [9, 10, 11] and len(calls) == 3 and len(waiting) == 0
    assert waiting.take(1) == [] and len(calls) == 4
    assert waiting.take(1) == [] and len(calls) == 4  # never again


def test_a_closed_queue_asks_for_no_items():
    waiting = engine._Waiting([], lambda: 2)
    assert waiting.take(1) == [0]
    waiting.closed = True
    assert waiting.take(2) == [1]


def test_an_item_is_claimed_once():
    waiting = engine._Waiting([3, 4])
    assert [waiting.claim(number) for number in (4, 4, -1, 5)] == [4, -1, -1, -1]
    assert waiting.take(5) == [3]


def queue(count: int, lanes: int, look=None, saved=None) -> engine._Queue:
    every = items(*[2] * count)
    probes = [Writer(True)] * count
    waiting = engine._Waiting(range(count))
    first = (engine._settings(probes[0]), every[0])
    group = engine._Group(probes, every, first, lanes, waiting, look)
    return engine._Queue(group, jax.devices()[0], engine._Notes(Notebook(lanes=saved), "0"))


def test_free_lanes_are_refilled_in_order():
    one = queue(5, 3)
    assert one.holds == [-1] * 3 and one.busy == [] and one.phase == 0
    one.fill()
    assert one.holds == [0, 1, 2] and one.busy == [0, 1, 2] and one.refill() == []
    assert one.take([1], Network()).numbers == [1]
    assert one.holds == [0, -1, 2] and one.busy == [0, 2]
    assert one.refill() == [1] and one.holds == [0, 3, 2]
    one.take([0, 2], Network())
    assert one.refill() == [0] and one.holds == [4, 3, -1]
    np.testing.assert_allclose(one.lanes.item.image[:, 0, 0, 0], [0.04, 0.03, 0.02])


def test_spare_lanes_hold_copies_of_the_first():
    one = queue(2, 4)
    one.fill()
    assert one.holds == [0, 1, -1, -1]
    np.testing.assert_allclose(one.lanes.item.image[:, 0, 0, 0], [0, 0.01, 0, 0])
    saved = one.state(3)
    assert saved["holds"].tolist() == [0, 1, -1, -1] and int(saved["phase"]) == 3
    some = {name: leaf if name == "phase" else leaf[1:2] for name, leaf in saved.items()}
    two = queue(3, 3, saved=some)
    two.restore()
    assert two.holds == [1, -1, -1] and two.phase == 3 and two.waiting.take(9) == [0, 2]
    np.testing.assert_allclose(two.lanes.item.image[:, 0, 0, 0], [0.01] * 3)


@pytest.mark.parametrize(
    ("lanes", "finished", "all_at_once"), [(4, [2], False), (4, [3, 1], True), (9, [0, 5], False)]
)
def test_results_of_more_than_a_quarter_are_looked_at_on_the_device(lanes, finished, all_at_once):
    looked = []
    one = queue(lanes, lanes, lambda *given: looked.append(given))
    one.fill()
    network = Network()
    outcomes = list(one.take(finished, network).fetch())
    assert [(number, float(result)) for number, (result, _) in outcomes] == [
        (lane, 0.0) for lane in finished
    ]
    if all_at_once:
        ((there, numbers, places, given, results),) = looked
        assert there is network and numbers == places == finished
        assert given.image.shape == (4, 2, 2, 3) and results.shape == (4,)
    else:
        assert not looked
