"""Which unit a process does next: alone, beside others, and in the middle of a queue."""

import dataclasses

import numpy as np
import pytest

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import plan
from jaxadv.evaluation.board import Board
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
