"""Units of work: their sizes, their costs, and the disk that a plan states."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

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
from jaxadv.store.belonging import file_name
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


@pytest.mark.parametrize(
    ("evaluations", "block", "expected"),
    [
        ((0, units.MOST // 5), 64, 8),  # 15 images of logits alone, which cost a third
        ((units.MOST // 12, 0), 12, 12),  # exactly a block, which is no power of two
        ((units.MOST // 12, 0), 13, 8),
        ((units.MOST // 12, units.MOST // 4), 64, 4),  # 6 images
        ((4 * units.MOST, 0), 64, 1),
    ],
)
def test_a_unit_ends_at_the_most_evaluations(evaluations, block, expected):
    job: Any = SimpleNamespace(
        settings=SimpleNamespace(block_images=block), evaluations={"attack": evaluations}
    )
    assert units.size(job, "attack") == expected


def test_blocks_of_classifications_have_eight_blocks_of_attacked_images():
    job = a_job(block_images=2)
    assert [unit.block for unit in units.classifications(job, "a")] == [0, 1, 2, 3]
    assert units.classified(job, 1).tolist() == list(range(16, 32))
    assert units.classified(job, 3).tolist() == [48, 49]


def test_attempts_are_in_the_order_of_their_images(monkeypatch):
    """Two images of I-FGSM for four of FGSM."""
    monkeypatch.setattr(units, "MOST", 14)
    job = a_job(parts=("attacks",))
    order = [(unit.what, unit.block) for unit in units.attempts(job, "a", 6)]
    assert order == [("fgsm", 0), ("ifgsm", 0), ("ifgsm", 1), ("fgsm", 1), ("ifgsm", 2)]
    assert units.counted(units.planned(job, "a")) == {"classification": 2, "fgsm": 5, "ifgsm": 10}
    assert units.most_images(a_job(attacked_images=None)) == 50


def test_a_block_has_the_targets_of_its_images():
    job = a_job(clever=CleverSettings(images=6))
    ids = np.arange(10)
    images = units.Attackable(ids, ids % 4, ids + 100, np.array([f"d{i}" for i in ids]))
    found = images.block(job, Unit("a", "attack", "fgsm", 1))
    assert found.ids.tolist() == [4, 5, 6, 7] and found.labels.tolist() == [0, 1, 2, 3]
    assert found.drawn is not None and found.drawn.tolist() == [104, 105, 106, 107]
    assert found.digests.tolist() == ["d4", "d5", "d6", "d7"]


@pytest.mark.parametrize(
    ("selection", "shared", "expected"),
    [("first", None, [0, 1, 4]), ("common", None, [1, 4, 5]), ("common", [4], [4])],
)
def test_attacked_images_are_the_first_right_ones(selection, shared, expected):
    """Network a is right on 0, 1, 4 and 5, and b on 1, 2, 4 and 5. Three are attacked."""
    right = {"a": [0, 1, 4, 5], "b": [1, 2, 4, 5], "c": range(50)}

    def read(kind: str, columns: list[str], part: str) -> pd.DataFrame:
        number = int(part[-1])
        ids = np.arange(32 * number, min(50, 32 * (number + 1)))
        wrong = ~np.isin(ids, list(right[part[0]]))
        frame = {"image_id": ids, "label": ids % 4, "predicted": ids % 4 + wrong, "digest": ""}
        return pd.DataFrame(frame)[columns]

    job = a_job(attacked_images=3)
    job = replace(job, settings=replace(job.settings, selection=selection))
    run: Any = SimpleNamespace(read=read)
    given = None if shared is None else np.array(shared)
    found = units.attackable(run, job, "a", shared=given)
    assert found.ids.tolist() == expected
    assert found.labels.tolist() == (found.ids % 4).tolist() and found.drawn is None


def an_ensemble(**settings: Any) -> plan.Job:
    return replace(a_job(**settings), ensembles={"c": ["a"]})


def test_adversarial_images_are_shown_to_networks_that_are_not_in_an_ensemble_with_theirs():
    job = an_ensemble()
    assert [units.shown_to(job, name) for name in "abc"] == [["b"], ["a"], ["b"]]
    assert units.shown_to(an_ensemble(parts=("attacks",)), "a") == []


@pytest.mark.parametrize("save", [False, True])
def test_the_parts_of_a_unit(save):
    """The first block has pictures for the report. Only attacks have adversarial images to save."""
    job = a_job(save_adversarial=save)
    assert [
        units.kinds(job, Unit("a", *rest))
        for rest in (("clean", "", 0), ("clever", "clever", 0), ("attack", "fgsm", 1))
    ] == [["dropped", "clean"], ["clever"], ["examples", "transfer"]]
    first = Unit("a", "attack", "fgsm", 0)
    assert units.kinds(job, first) == ["examples", "adversarial", "transfer"]
    alone = a_job(parts=("attacks",))
    assert units.kinds(alone, first) == ["examples", "adversarial"]
    names = [(kind, file_name("a-fgsm-0001")) for kind in ("examples", "transfer")]
    images = [(units.image_store.FOLDER, units.image_store.name("a-fgsm-0001"))] * save
    assert units.files(job, Unit("a", "attack", "fgsm", 1)) == names + images
    scores = Unit("a", "clever", "clever", 0)
    assert units.files(job, scores) == [("clever", file_name("a-clever-0000"))]


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("stage", ["clever", "attack"])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_unit_is_done_when_its_rows_and_saved_images_are_whole(
    monkeypatch, save, stage, stored, whole
):
    """Damaged images make room for others."""
    removed: list[str] = []
    monkeypatch.setattr(units.image_store, "has", lambda *_, **__: stored)
    monkeypatch.setattr(
        units.image_store, "make_room", lambda _, part, digest: removed.append(part)
    )
    run: Any = SimpleNamespace(
        directory="there",
        has=lambda kind, part: whole,
        belonging=SimpleNamespace(digest=lambda kind: kind),
    )
    unit = Unit("a", stage, "fgsm" if stage == "attack" else "clever", 0)
    saves = save and stage == "attack"
    done = units.is_done(run, a_job(save_adversarial=save), unit)
    assert done is (whole and (stored or not saves))
    assert removed == ([unit.part] if saves and not stored else [])


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
