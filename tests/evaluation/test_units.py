"""Units of work: shares that are balanced, and the disk that a plan states."""

from dataclasses import replace

import numpy as np
import pytest
from models import random_linear

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import estimate, plan, units
from jaxadv.evaluation.settings import Settings


@pytest.fixture
def job() -> plan.Job:
    images = np.zeros((50, 8, 8, 3), np.uint8)
    source = from_arrays(images, np.arange(50) % 4)
    settings = Settings(
        attacks=(jaxadv.FGSM(eps=0.1), jaxadv.IFGSM(eps=0.1, steps=7)),
        targets=("random",),
        attacked_images=20,
        block_images=4,
        lanes=4,
    )
    return plan.job(settings, ["a", "b", "c"], {}, source)


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_shares_are_balanced_and_leave_nothing_out(job, processes):
    """No process has more than another by more than one unit costs, and each unit has one owner."""
    listed = [
        units.Unit(name, "attack", attack, block)
        for name in job.models
        for attack in job.attacks
        for block in range(5)
    ]
    shares = [
        units.share(job, listed, process=process, processes=processes)
        for process in range(processes)
    ]
    assert sorted(unit for share in shares for unit in share) == sorted(listed)
    loads = [sum(units.cost(job, unit) for unit in share) for share in shares]
    assert max(loads) - min(loads) <= max(units.cost(job, unit) for unit in listed)


def test_the_disk_of_a_plan_has_examples_scores_transfer_and_images(job):
    classifiers = {name: random_linear(0, 4, name=name) for name in job.models}
    pairs = dict.fromkeys(job.models, 10)

    def kept(**changes) -> float:
        changed = replace(job, settings=replace(job.settings, **changes))
        return estimate.disk(changed, classifiers, pairs, processes=1)[0]

    attempts = 20 * 2
    without = kept(parts=("attacks", "clever"))
    scores = 3 * 10 * 3 * (estimate.ROW["clever"] + 4 * job.settings.clever.batches)
    assert without == pytest.approx(3 * estimate.ROW["examples"] * attempts + scores)
    assert kept() - without == pytest.approx(3 * 2 * estimate.ROW["transfer"] * attempts)
    pictures = 3 * 12 * attempts * 8**2
    assert kept(save_adversarial=True) - kept() == pytest.approx(estimate.PICTURE * pictures)
