"""Which unit a process does next: alone, beside others, and in the middle of a queue."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import plan, units
from jaxadv.evaluation.board import Board, _Group
from jaxadv.evaluation.costs import Costs, Gigaflops
from jaxadv.evaluation.dispatcher import Dispatcher
from jaxadv.evaluation.settings import CleverSettings, Settings
from jaxadv.evaluation.units import Unit
from jaxadv.store.claims import Claims

IMAGES = 24


@pytest.fixture
def job() -> plan.Job:
    """Networks a and b; 6 units of FGSM, 6 of C&W and 6 of CLEVER each."""
    source = from_arrays(np.zeros((IMAGES, 8, 8, 3), np.uint8), np.arange(IMAGES) % 4)
    settings = Settings(
        attacks=(jaxadv.FGSM(eps=0.1), jaxadv.CarliniWagnerL2(steps=20, search_steps=2)),
        targets=("random",),
        clever=CleverSettings(batches=10, samples=10),
        block_images=4,
        lanes=4,
    )
    return plan.job(settings, ["a", "b"], {}, source)


def board(job: plan.Job, **gigaflops: float) -> Board:
    costs = Costs(job, {name: Gigaflops(2 * cost, cost) for name, cost in gigaflops.items()})
    made = Board(job, costs, seed=1)
    for name in job.models:
        for unit in list(made.left):
            if unit.network == name and unit.stage == "clean":
                made.drop(unit)
        made.know(name, IMAGES)
    return made


def test_alone_a_process_does_one_network_after_the_other(job):
    """Scores first; then all attacks on the images of a block."""
    made = board(job, a=1, b=1)
    order: list[Unit] = []
    while unit := made.next(["a"] if order else [], processes=1):
        order.append(unit)
        made.drop(unit)
    assert [unit.network for unit in order] == ["a"] * 18 + ["b"] * 18
    assert [unit.what for unit in order[:6]] == ["clever"] * 6
    assert [(unit.block, unit.what) for unit in order[6:10]] == [
        *((0, "fgsm"), (0, "cw"), (1, "fgsm"), (1, "cw"))
    ]
    assert made.is_empty()


def test_workers_of_a_process_take_different_networks(job):
    made = board(job, a=1, b=1)
    assert made.next([], processes=1, busy=["a"]).network == "b"
    assert made.next([], processes=1, busy=["a", "b"]).network == "a"


def test_beside_others_a_process_stays_with_its_network(job):
    made = board(job, a=1, b=1)
    for _ in range(6):
        unit = made.next(["b"], processes=2)
        assert unit.network == "b"
        made.take(unit)


def test_urgent_units_come_first(job):
    """b costs a hundred times as much; to leave its units to the end would be long."""
    made = board(job, a=1, b=100)
    assert made.next(["a"], processes=2).network == "a"
    unit = made.next(["a"], processes=16)
    assert (unit.network, unit.what) == ("b", "clever")


def test_a_queue_of_attacks_gets_one_process_until_time_is_short(job):
    made = board(job, a=1, b=1)
    first = made.next(["a"], processes=2)
    assert first.what == "cw"  # the longest queue
    made.take(first)
    second = made.next(["a"], processes=2)
    assert second.what != "cw"
    for unit in made.left:
        if unit.what != "cw":
            made.drop(unit)
    assert made.next(["a"], processes=2).what == "cw"


@pytest.mark.parametrize(("lanes", "another"), [(1, False), (4, True)])
def test_a_process_with_wide_lanes_has_two_units_at_a_time(job, lanes, another):
    """Where 4 images fill a block and the lanes, two units that are taken are one process's."""
    settings = dataclasses.replace(job.settings, lanes=lanes)
    made = board(dataclasses.replace(job, settings=settings), a=1, b=1)
    queue = [unit for unit in made.left if (unit.network, unit.what) == ("a", "cw")]
    for unit in set(made.left) - set(queue):
        made.drop(unit)
    for unit in queue[:2]:
        made.take(unit)
    group = made._free()["a"]["cw"]
    time_for_one_and_a_half = group.work / 1.5
    assert made._wants(group, time_for_one_and_a_half) is another


def test_units_that_somebody_has_are_not_free(job):
    made = board(job, a=1, b=1)
    names = {unit.part: 0 for unit in made.left if unit.block}
    made.see(names)
    assert len(made.taken()) == len(names)
    while unit := made.next([], processes=3):
        assert not unit.block
        made.drop(unit)


def test_networks_are_drawn_by_their_work(job):
    """Processes that begin together spread over the networks."""
    drawn = []
    for seed in range(200):
        costs = Costs(job, {"a": Gigaflops(2, 1), "b": Gigaflops(6, 3)})
        drawn.append(Board(job, costs, seed=seed).next([], processes=4).network)
    assert 100 < drawn.count("b") < 190


def test_attacks_to_come_count_where_a_network_is_not_classified_yet(job):
    """Network a is classified, so its attacks are known; b costs the same."""
    drawn = []
    for seed in range(200):
        costs = Costs(job, {name: Gigaflops(2, 1) for name in "ab"})
        made = Board(job, costs, seed=seed)
        made.drop(next(unit for unit in made.left if unit.network == "a"))
        made.know("a", IMAGES)
        drawn.append(made.next([], processes=4).network)
    assert 60 < drawn.count("b") < 140


def test_whoever_has_nothing_to_do_helps_with_a_network_that_is_ready(job):
    """Both queues of C&W have as many processes as they need, so whoever is ready takes more."""
    made = board(job, a=1, b=1)
    for unit in list(made.left):
        if unit.what != "cw":
            made.drop(unit)
    for unit in list(made.left):
        if unit.block == 0:
            made.take(unit)
    for ready, expected in ((["b"], "b"), (["a"], "a"), (["c", "b"], "b"), (["c"], "a")):
        assert made.next(ready, processes=2).network == expected


def test_a_queue_goes_on_with_fresh_units_of_the_same_attack(job):
    made = board(job, a=1, b=1)
    first = Unit("a", "attack", "cw", 0)
    made.take(first)
    following = made.following(first, lambda unit: unit.block != 1)
    assert following == Unit("a", "attack", "cw", 2)
    assert made.following(first, lambda unit: False) is None


def test_a_board_is_empty_when_every_network_is_known_and_done(job):
    """A network is known when its images are; what comes later changes nothing."""
    made = Board(job, Costs(job, {}))
    assert list(made._left) == ["a", "b"] and not made.is_classified("a")
    for unit in made.left:
        made.drop(unit)
    assert made.is_classified("a") and not made.is_known("a") and not made.is_empty()
    for name in job.models:
        made.know(name, 0)
    assert made.is_known("a") and made.is_empty()
    made.know("a", IMAGES)
    assert made.is_empty() and made.next([], processes=1) is None
    unit = Unit("a", "clean", "", 0)
    made.put_back(unit)
    assert made.left == [unit] and not made.is_empty() and made.is_classified("a")
    assert made.all_of("a") == [unit]


def test_claims_of_done_or_unknown_units_do_not_count(job):
    made = board(job, a=1, b=1)
    first, second = (Unit("a", "attack", "cw", block) for block in range(2))
    made.see({"unknown-0000": 2})
    made.take(first)
    made.take(second)
    assert made.generations == {"unknown-0000": 2, first.part: 0, second.part: 0}
    made.drop(first)
    assert made.taken() == [second]
    group = made._free()["a"]["cw"]
    assert (group.first.block, group.number, group.taken) == (2, 4, 1)
    made.free(second)
    assert made._free()["a"]["cw"].number == 5 and made.taken() == []


class Fixed:
    """Costs that are known: of an image by the kind of unit, and of a unit its images."""

    images = {"": 1.0, "fgsm": 2.0, "cw": 3.0, "clever": 10.0}

    def of_image(self, network: str, what: str) -> float:
        return self.images[what]

    def of(self, unit: Unit, images: int) -> float:
        return float(images)


@pytest.mark.parametrize(("scored", "images"), [(None, 20), (6, 6), (30, 20)])
def test_a_unit_costs_by_the_images_of_its_kind(job, scored, images):
    """Of 24 images, 20 are attacked."""
    clever = dataclasses.replace(job.settings.clever, images=scored)
    settings = dataclasses.replace(job.settings, clever=clever)
    costs: Any = Fixed()
    made = Board(dataclasses.replace(job, settings=settings), costs)
    made.know("a", 20)
    for stage, what, count in (
        ("clean", "", 24),
        ("attack", "cw", 20),
        ("clever", "clever", images),
    ):
        assert made.cost(Unit("a", stage, what, 0)) == count
    planned = 24 * 2 + 24 * 3 + min(24, scored or 24) * 10
    assert made.planned("b") == planned
    assert made._rest({}) == planned  # b is not known yet
    without = dataclasses.replace(settings, parts=("attacks",))
    assert Board(dataclasses.replace(job, settings=without), costs).planned("a") == 24 * 5


def test_what_is_left_is_as_planned_until_a_network_is_known(job):
    made = Board(job, Costs(job, {}))
    made.know("a", 8)
    counted = made.counted()
    assert counted["a"] == {"classification": 1, "fgsm": 2, "cw": 2, "clever": 2}
    assert counted["b"] == {"classification": 1, "fgsm": 6, "cw": 6, "clever": 6}


def wants(lanes: int | None, attempts: int, taken: int, work: float, time: float) -> bool:
    """Whether a queue of FGSM in units of four images wants another process."""
    job: Any = SimpleNamespace(
        settings=SimpleNamespace(lanes=lanes, block_images=4),
        attempts=[SimpleNamespace(attack="fgsm")] * attempts + [SimpleNamespace(attack="cw")] * 7,
        models=[],
        evaluations={"fgsm": (1, 0)},
    )
    costs: Any = Fixed()
    group = _Group(Unit("a", "attack", "fgsm", 0), 1, work, taken)
    return Board(job, costs)._wants(group, time)


@pytest.mark.parametrize(
    ("lanes", "attempts", "taken", "work", "time", "expected"),
    [
        (4, 1, 2, 1, 1, False),  # one process has both units
        (4, 1, 2, 3, 2, True),  # the queue needs a process and a half
        (4, 1, 3, 3, 2, False),  # two processes have three units
        (4, 1, 0, 1, 9, True),  # nobody has begun
        (4, 2, 2, 3, 2, False),  # units of eight attempts: each has its own process
        (None, 1, 6, 9, 2, False),  # five processes, and four and a half are needed
        (None, 1, 6, 11, 2, True),
    ],
)
def test_a_queue_wants_as_many_processes_as_the_time_demands(
    lanes, attempts, taken, work, time, expected
):
    assert wants(lanes, attempts, taken, work, time) is expected


@pytest.mark.parametrize(
    ("cost", "processes", "is_urgent"), [(3, 1, True), (2.9, 1, False), (1.5, 2, True)]
)
def test_a_unit_is_urgent_from_three_tenths_of_the_rest_on(
    job, monkeypatch, cost, processes, is_urgent
):
    made = board(job, a=1, b=1)
    monkeypatch.setattr(made, "_rest", lambda _: 10.0)
    small, large = (
        _Group(Unit("a", "attack", "cw", block), 1, size, 0)
        for block, size in enumerate((0.5, cost))
    )
    found = made._urgent({"a": {"fgsm": large}, "b": {"cw": small}}, processes)
    assert found == (large.first if is_urgent else None)


def test_alone_a_process_does_attacks_in_the_order_of_their_images(job, monkeypatch):
    """Two images of C&W and four of FGSM are a unit."""
    monkeypatch.setattr(units, "size", lambda _, what: {"cw": 2}.get(what, 4))
    settings = dataclasses.replace(job.settings, parts=("attacks",))
    made = Board(dataclasses.replace(job, settings=settings), Costs(job, {}))
    for unit in made.left:
        made.drop(unit)
    made.know("a", 6)
    order: list[tuple[str, int]] = []
    while unit := made.next([], processes=1):
        order.append((unit.what, unit.block))
        made.drop(unit)
    assert order == [("fgsm", 0), ("cw", 0), ("cw", 1), ("fgsm", 1), ("cw", 2)]


def dispatcher(job: plan.Job, directory, owner: str, done: set[Unit]) -> Dispatcher:
    claims = Claims(directory, owner=owner)
    claims.open()
    return Dispatcher(
        board(job, a=1, b=1), claims, listed=lambda: done.__contains__, exists=done.__contains__
    )


def test_processes_share_all_units_and_do_each_once(job, tmp_path):
    done: set[Unit] = set()
    both = [dispatcher(job, tmp_path, owner, done) for owner in ("one", "two")]
    made = []
    while not all(one.board.is_empty() for one in both):
        for one in both:
            one.look_again()
            one.look()
            if taken := one.take([]):
                made.append(taken.unit)
                done.add(taken.unit)
                one.done(taken)
    assert len(made) == len(set(made)) == 36


def test_a_late_list_repeats_nothing(job, tmp_path):
    """A unit that a late list does not have is claimed, found done, and left."""
    done: set[Unit] = set()
    late = dispatcher(job, tmp_path, "late", done)
    late._listed = lambda: lambda unit: False
    late.look()
    done |= {unit for unit in late.board.left if unit.network == "a"}
    taken = late.take(["a"])
    assert taken is not None and taken.unit.network == "b"
    assert late._claims.taken() == {taken.unit.part: 0}
