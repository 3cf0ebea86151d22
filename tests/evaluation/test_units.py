"""Units of work: their sizes, their costs, and the disk that a plan states."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from models import random_linear

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import estimate, networks, plan, units
from jaxadv.evaluation.costs import Costs, Gigaflops, of_zoo
from jaxadv.evaluation.settings import CleverSettings, Settings
from jaxadv.evaluation.units import Unit
from model_ports import facts, registry


def a_job(**settings) -> plan.Job:
    images = np.zeros((50, 8, 8, 3), np.uint8)
    source = from_arrays(images, np.arange(50) % 4)
    given = {
        "attacks": (jaxadv.FGSM(eps=0.1), jaxadv.IFGSM(eps=0.1, steps=7)),
        "targets": ("random",),
        "attacked_images": 20,
        "block_images": 4,
        "lanes": 4,
    }
    return plan.job(Settings(**given | settings), ["a", "b", "c"], {}, source)


@pytest.fixture
def job() -> plan.Job:
    return a_job()


def test_units_of_costly_attacks_and_scores_are_small():
    """At the study's settings: 64 images of C&W, one image of CLEVER, whole blocks of FGSM."""
    job = a_job(
        attacks=(jaxadv.FGSM(eps=0.1), jaxadv.CarliniWagnerL2(), jaxadv.ElasticNetL1()),
        targets=("untargeted", "random", "least"),
        attack_targets={"clever": ("random", "least", "top2")},
        block_images=256,
    )
    sizes = {what: units.size(job, what) for what in ("", "fgsm", "cw", "ead", "clever")}
    assert sizes == {"": 2048, "fgsm": 256, "cw": 64, "ead": 32, "clever": 1}
    small = replace(job, settings=replace(job.settings, clever=CleverSettings(samples=4)))
    assert units.size(small, "clever") == 256


def test_every_image_is_in_one_unit_of_each_attack(job):
    """Also of scores, which end at their own number of images."""
    job = replace(job, settings=replace(job.settings, clever=CleverSettings(images=6)))
    images = units.Attackable(np.arange(20), np.zeros(20, np.int32), None, np.full(20, ""))
    listed = units.attempts(job, "a", 20)
    for what, count in (("fgsm", 20), ("ifgsm", 20), ("clever", 6)):
        ids = [images.block(job, unit).ids for unit in listed if unit.what == what]
        assert np.concatenate(ids).tolist() == list(range(count))
    assert len({unit.part for unit in listed}) == len(listed)


def test_the_cost_is_the_arithmetic_of_the_expected_evaluations(job):
    """A gradient of FGSM, 7 of I-FGSM; logits that judge the result; two other networks that look."""
    costs = Costs(job, {"a": Gigaflops(3.0, 1.0), "b": Gigaflops(30.0, 10.0)})
    assert costs.of_image("a", "") == pytest.approx(1e9)
    assert costs.of_image("a", "fgsm") == pytest.approx((3 + 1 + 10 + 1) * 1e9)
    assert costs.of_image("b", "ifgsm") == pytest.approx((7 * 30 + 10 + 1 + 1) * 1e9)
    assert costs.of(Unit("a", "attack", "fgsm", 4), 18) == pytest.approx(2 * 15e9)


def test_targets_of_clever_share_forward_passes():
    """Three targets: 3 backward passes for each forward pass."""
    job = a_job(attack_targets={"clever": ("random", "least", "top2")})
    costs = Costs(job, {"a": Gigaflops(3.0, 1.0)})
    assert costs.of_image("a", "clever") == pytest.approx((1 + 3 * 2) * 500 * 1024 * 1e9)


def test_attacks_that_end_early_cost_what_rows_show():
    """First half of the most; then the mean of other networks; then its own."""
    job = a_job(attacks=(jaxadv.CarliniWagnerL2(steps=10, search_steps=2),), parts=("attacks",))
    costs = Costs(job, {name: Gigaflops(3.0, 1.0) for name in "abc"})
    judged = 1e9
    assert costs.of_image("a", "cw") == pytest.approx(10 * 3e9 + judged)
    costs.learn("b", "cw", pd.DataFrame({"gradients": [4, 6], "forwards": [1, 1]}))
    assert costs.of_image("a", "cw") == pytest.approx(5 * 3e9 + 1e9 + judged)
    costs.learn("a", "cw", pd.DataFrame({"gradients": [2, 2, 2], "forwards": [0, 0, 0]}))
    assert costs.of_image("a", "cw") == pytest.approx(2 * 3e9 + judged)
    assert costs.of_image("b", "cw") == pytest.approx(5 * 3e9 + 1e9 + judged)


def test_a_cost_takes_microseconds():
    """Also at 9000 evaluations an attempt, of which no list is made."""
    job = a_job(attacks=(jaxadv.CarliniWagnerL2(steps=1000, search_steps=9),))
    costs = Costs(job, {})
    listed = [Unit("a", "attack", "cw", block) for block in range(5)] * 400
    began = time.perf_counter()
    for unit in listed:
        costs.of(unit, 20)
    assert (time.perf_counter() - began) / len(listed) < 50e-6  # 3 us on an idle core


def test_arithmetic_of_the_zoo_grows_with_the_pixels():
    usual = of_zoo("imagenet", "mobilenet_v1_100", 224)
    half = of_zoo("imagenet", "mobilenet_v1_100", 112)
    assert usual.gradient == pytest.approx(4 * half.gradient) and usual.gradient > usual.logits
    assert of_zoo("digits", "mobilenet_v1_100", 24) == usual
    assert of_zoo("imagenet", "unknown", 224) is None
    assert all(of_zoo("imagenet", name, 224) for name in facts.NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v1_025"])
def test_arithmetic_of_the_zoo_is_what_xla_counts(name):
    network = registry.network(name, zoo="imagenet")
    counted = estimate.gigaflops(networks.random_classifier(network))
    known = of_zoo("imagenet", name, network.input_size)
    assert tuple(known) == pytest.approx(counted, rel=0.02)


def test_the_disk_of_a_plan_has_examples_scores_transfer_and_images(job):
    classifiers = {name: random_linear(0, 4, name=name) for name in job.models}
    pairs = dict.fromkeys(job.models, 10)

    def kept(**changes) -> float:
        changed = replace(job, settings=replace(job.settings, **changes))
        return estimate.disk(changed, classifiers, pairs)[0]

    attempts = 20 * 2
    without = kept(parts=("attacks", "clever"))
    scores = 3 * 10 * 3 * (estimate.ROW["clever"] + 4 * job.settings.clever.batches)
    assert without == pytest.approx(3 * estimate.ROW["examples"] * attempts + scores)
    assert kept() - without == pytest.approx(3 * 2 * estimate.ROW["transfer"] * attempts)
    pictures = 3 * 12 * attempts * 8**2
    assert kept(save_adversarial=True) - kept() == pytest.approx(estimate.PICTURE * pictures)
