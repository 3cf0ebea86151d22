"""AutoAttack: every stage breaks what those before it cannot, and robust accuracy as recorded."""

import json

import driven
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from models import PIXELS, inner_images, linear_apply, random_linear

import jaxadv
from jaxadv.api import run_attacks
from jaxadv.core import engine
from jaxadv.core.journal import Journal
from model_ports.errors import InputError

COUNT = 4
SHORT = {"steps": 30, "queries": 100}
"""All tests have these, so that they share programs."""


def broken_by(classifier, attack, images, labels) -> list[str]:
    result = jaxadv.run_attack(classifier, attack, images, labels, lanes=4)
    np.testing.assert_array_equal(result.success, result.details["broken_by"] != "")
    moved = np.abs(result.adversarial - images).max((1, 2, 3))
    assert (moved <= attack.eps * (1 + 1e-5)).all() and (moved[~result.success] == 0).all()
    return result.details["broken_by"].tolist()


@pytest.fixture(scope="module")
def pictures():
    return inner_images(50, COUNT)


@pytest.mark.slow
def test_cross_entropy_breaks_a_plain_network(pictures):
    clf = random_linear(51, 5)
    labels = clf.predict(pictures)
    found = broken_by(clf, jaxadv.AutoAttack(0.1, **SHORT), pictures, labels)
    assert found == ["apgd-ce"] * COUNT


@pytest.mark.slow
def test_ratios_of_logits_break_a_saturated_network():
    """Logits so large that the cross-entropy's gradient is 0 in float32. DLR does not mind their
    size.

    The factor is a power of two: another one leaves rounding that XLA makes a gradient of.
    """
    clf = random_linear(
        51, 5, apply=lambda params, images: 2.0**17 * linear_apply(params, images), name="saturated"
    )
    clf.params["bias"][0] += 0.4  # all logits are 0 at mid-grey
    found = broken_by(clf, jaxadv.AutoAttack(0.03, **SHORT), GREY, np.zeros(COUNT, int))
    assert found == ["apgd-t"] * COUNT


GREY = np.full((COUNT, 8, 8, 3), 0.5, np.float32)
BUMP = np.array([[-1.2, -0.1, 0.3, 0.5, 1.2], [-0.05, -1.4, 0.2, -5.0, -9.0]])


def decoy(params, images):
    """Along the weights' signs, in budgets of 0.1 from mid-grey: class 1 wins around 0.3 alone.

    At mid-grey its logit rises towards that. From -0.1 on it rises the other way too, and never
    gets there.
    """
    along = (images.reshape(len(images), -1) - 0.5) @ jnp.sign(params["weights"][:, 0])
    logit = jnp.interp(along / PIXELS / 0.1, *jnp.asarray(BUMP, jnp.float32))
    others = jnp.broadcast_to(jnp.array([-20.0, -21.0, -22.0]), (len(images), 3))
    return jnp.column_stack([jnp.zeros_like(logit), logit, others])


@pytest.mark.slow
def test_steps_to_the_boundary_break_what_long_steps_leap_over():
    """APGD's first step is as long as the ball: it leaps over the bump, and climbs the slope that
    leads nowhere.
    """
    clf = random_linear(52, 5, apply=decoy, name="decoy")
    labels = np.zeros(COUNT, int)
    assert (clf.predict(GREY) == 0).all()
    found = broken_by(clf, jaxadv.AutoAttack(0.1, **SHORT), GREY, labels)
    assert found == ["fab-t"] * COUNT


def stairs(params, images):
    """Pixels in eighths: no gradient anywhere."""
    return linear_apply(params, jnp.floor(images * 8) / 8)


@pytest.fixture(scope="module")
def flat():
    """(classifier, images, labels): a step that lies at 0.9 of the budget 0.05 upwards, and beyond
    it downwards.

    Few pixels of a random start take it.
    """
    images = np.full((COUNT, 8, 8, 3), 0.58, np.float32)
    clf = random_linear(53, 5, apply=stairs, name="stairs")
    clf.params["bias"] -= clf.logits(images)[0] - np.array([0.2, 0, 0, 0, 0], np.float32)
    return clf, images, np.zeros(COUNT, int)


@pytest.mark.slow
def test_questions_of_logits_alone_break_a_network_without_gradients(flat):
    result = jaxadv.run_attack(flat[0], jaxadv.AutoAttack(0.05, **SHORT), *flat[1:], lanes=4)
    assert result.details["broken_by"].tolist() == ["square"] * COUNT
    assert not result.zero_gradient.any() and result.success.all()


def test_gradients_of_zero_are_told_of_what_stands(flat):
    attack = jaxadv.AutoAttack(0.05, stages="apgd-ce+fab-t", steps=30)
    result = jaxadv.run_attack(flat[0], attack, *flat[1:], lanes=4)
    assert not result.success.any() and result.zero_gradient.all()
    np.testing.assert_array_equal(result.adversarial, flat[1])
    np.testing.assert_array_equal(result.predicted, flat[2])


def test_order_and_attacks_are_settings(pictures):
    clf = random_linear(51, 5)
    labels = clf.predict(pictures)
    attack = jaxadv.AutoAttack(0.1, stages="square+fab-t", **SHORT)
    assert [stage.name for stage in attack.sequence] == ["square", "fab-t"]
    assert set(broken_by(clf, attack, pictures, labels)) <= {"square", "fab-t"}
    plus = jaxadv.AutoAttack(0.1, stages="plus").sequence
    assert [stage.probe.restarts for stage in plus if hasattr(stage.probe, "restarts")] == [
        *(5, 5, 5),
        *(1, 1),
    ]
    in_l1 = dict(jaxadv.AutoAttack(5.0, 1).sequence)
    assert in_l1["apgd-ce"].restarts == 5 and in_l1["apgd-ce"].larger_first
    assert in_l1["apgd-t"].targets == 5 and in_l1["square"].norm == 1
    for stages in ("apgd", "apgd-ce+apgd-ce", ""):
        with pytest.raises(InputError, match="stages is"):
            jaxadv.AutoAttack(0.1, stages=stages).check()


def test_targets_and_few_classes_are_refused_in_one_line(pictures):
    clf = random_linear(51, 3)
    labels = clf.predict(pictures)
    with pytest.raises(InputError, match="has 3 classes.*needs at least 4"):
        jaxadv.run_attack(clf, jaxadv.AutoAttack(0.1), pictures, labels)
    other = random_linear(51, 5)
    labels = other.predict(pictures)
    with pytest.raises(InputError, match="no targeted form"):
        jaxadv.run_attack(other, jaxadv.AutoAttack(0.1), pictures, labels, (labels + 1) % 5)
    with pytest.raises(InputError, match="has no targeted form"):
        jaxadv.run_attack(other, jaxadv.FAB(), pictures, labels, (labels + 1) % 5)


def test_evaluations_are_those_of_the_stages_that_an_image_met(pictures):
    clf = random_linear(51, 5)
    labels = clf.predict(pictures)
    result = jaxadv.run_attack(clf, jaxadv.AutoAttack(1e-4, **SHORT), pictures, labels, lanes=4)
    assert not result.success.any()
    # four other classes; a judgement for each stage
    assert (result.gradients == 31 + 4 * 31 + 4 * 30).all()
    assert (result.forwards == 4 * 30 + 101 + 4).all()


@pytest.mark.slow
def test_a_sequence_is_continued_where_it_was(flat, tmp_path):
    """Interrupted in every stage, to the bit."""
    attacks = [jaxadv.AutoAttack(0.05, **SHORT)] * COUNT
    arguments = flat[0], attacks, *flat[1:], np.zeros(COUNT, bool)
    whole = run_attacks(*arguments, lanes=4)

    class Impatient(Journal):
        left = 3

        def due(self, name=""):
            return True

        def of_stage(self, number):
            stage = Impatient(tmp_path, f"queue.stage{number}", seconds=0)
            self._stages.append(stage)
            return stage

        def write(self, *given):
            super().write(*given)
            Impatient.left -= 1
            if Impatient.left == 0:
                raise KeyboardInterrupt

    interrupted = 0
    for _ in range(60):
        Impatient.left = 12
        try:
            again = run_attacks(
                *arguments, lanes=4, journal=Impatient(tmp_path, "queue", seconds=0)
            )
            break
        except KeyboardInterrupt:
            interrupted += 1
    assert interrupted >= 3
    for name, value in vars(whole).items():
        if name != "details":
            np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    np.testing.assert_array_equal(again.details["broken_by"], whole.details["broken_by"])
    journal = Journal(tmp_path, "queue", seconds=0)
    for number in range(4):
        journal.of_stage(number)
    journal.remove()
    assert not list(tmp_path.iterdir())


def test_each_stage_is_a_queue_of_those_who_stand(flat, monkeypatch):
    """Engine runs get fewer and fewer images."""
    sizes, run = [], engine.run

    def counted(classifier, probes, items, **options):
        sizes.append((type(probes[0]).__name__, len(items)))
        return run(classifier, probes, items, **options)

    monkeypatch.setattr(engine, "run", counted)
    clf, images, labels = flat
    attack = jaxadv.AutoAttack(0.05, stages="square+apgd-ce", steps=30, queries=3)
    result = jaxadv.run_attack(clf, attack, images, labels, lanes=4)
    broken = int((result.details["broken_by"] == "square").sum())
    assert sizes == [("Square", COUNT), ("APGD", COUNT - broken)]


@pytest.mark.few(slow=("smooth-Linf-0.1",))
@pytest.mark.parametrize(
    ("net", "norm", "eps"),
    [("smooth", "Linf", 0.1), ("smooth", "L2", 4), ("tiny", "Linf", 0.02), ("tiny", "L2", 1)],
)
def test_recorded_robust_accuracy(net, norm, eps):
    """Within the spread of the recorded seeds, and one image; who is broken agrees where all seeds
    do.
    """
    known = json.loads((driven.GOLDEN / f"ensemble_{net}.json").read_text())
    runs = [run for key, run in known.items() if key.startswith(f"{norm}__eps{eps:g}__")]
    assert runs
    robust = np.array([run["robust"] for run in runs])
    data = recorded.net(net)
    attack = jaxadv.AutoAttack(eps, {"Linf": np.inf, "L2": 2}[norm])
    result = jaxadv.run_attack(data.classifier, attack, data.images, data.labels, lanes=16)
    count = int((~result.success).sum())
    assert robust.sum(1).min() - 1 <= count <= robust.sum(1).max() + 1
    agreed = (robust == robust[0]).all(0)
    assert (~result.success == robust[0])[agreed].mean() >= 0.93
    assert set(result.details["broken_by"]) - {""} <= {"apgd-ce", "apgd-t", "fab-t", "square"}
    spent = result.gradients.mean(), result.forwards.mean()
    reference = np.mean([_least(run["by"]) for run in runs], axis=0)
    print(f"{net} {norm} {eps:g}: {spent} evaluations an image, reference {reference}")
    assert (np.array(spent) <= reference).all()


STAGES = {"apgd-ce": (101, 1), "apgd-t": (909, 9), "fab-t": (900, 918), "square": (0, 5001)}
"""Gradients, and other passes, that the reference spends on an image that withstands a stage."""
BROKEN = {"apgd-ce": (101, 1), "apgd-t": (101, 1), "fab-t": (100, 102), "square": (0, 1)}
"""The least that it spends on an image that the stage breaks: its first class, the start."""


def _least(broken_by: list[str | None]) -> np.ndarray:
    """The least evaluations an image of the reference's ensemble: gradients, and other passes."""
    spent = np.zeros(2)
    for by in broken_by:
        for stage, costs in STAGES.items():
            if by == stage:
                spent += BROKEN[stage]
                break
            spent += costs
    return spent / len(broken_by)
