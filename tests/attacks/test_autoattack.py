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
SHORT = {"steps": 30, "queries": 200}


def broken_by(classifier, attack, images, labels) -> list[str]:
    result = jaxadv.run_attack(classifier, attack, images, labels, lanes=4)
    np.testing.assert_array_equal(result.success, result.details["broken_by"] != "")
    moved = np.abs(result.adversarial - images).max((1, 2, 3))
    assert (moved <= attack.eps * (1 + 1e-5)).all() and (moved[~result.success] == 0).all()
    return result.details["broken_by"].tolist()


@pytest.fixture(scope="module")
def pictures():
    return inner_images(50, COUNT)


def test_cross_entropy_breaks_a_plain_network(pictures):
    clf = random_linear(51, 5)
    labels = clf.predict(pictures)
    found = broken_by(clf, jaxadv.AutoAttack(0.1, **SHORT), pictures, labels)
    assert found == ["apgd-ce"] * COUNT


def test_ratios_of_logits_break_a_saturated_network(pictures):
    """Logits so large that the cross-entropy's gradient is 0 in float32. DLR does not mind their size."""
    clf = random_linear(
        51, 5, apply=lambda params, images: 1e5 * linear_apply(params, images), name="saturated"
    )
    labels = clf.predict(pictures)
    found = broken_by(clf, jaxadv.AutoAttack(0.03, **SHORT), pictures, labels)
    assert found == ["apgd-t"] * COUNT


def shell(params, images):
    """Class 0 but in a thin shell, where class 1 is: at 0.6 of the budget, along the weights' signs.

    The margin has its zero at the shell's first face and its lowest point in the middle.
    """
    direction = jnp.sign(params["weights"][:, 0])
    along = images.reshape(len(images), -1) @ direction / PIXELS - params["bias"][0]
    margin = jnp.abs(along - 0.06) - 4e-6
    others = jnp.tile(jnp.array([[-5.0, -6.0, -7.0]]), (len(images), 1))
    return jnp.concatenate([margin[:, None] * 50, jnp.zeros_like(margin)[:, None], others], axis=1)


def test_steps_to_the_boundary_break_a_thin_shell(pictures):
    """APGD's last steps are eps / 128: it leaps over a shell a fifteen-thousandth of eps wide."""
    clf = random_linear(52, 5, apply=shell, name="shell")
    direction = np.sign(clf.params["weights"][:, 0])
    flat = pictures.reshape(COUNT, -1)
    clf.params["bias"][:] = (flat[:1] @ direction).mean() / PIXELS
    images = np.repeat(pictures[:1], COUNT, axis=0)
    labels = np.zeros(COUNT, int)
    assert (clf.predict(images) == 0).all()
    found = broken_by(clf, jaxadv.AutoAttack(0.1, **SHORT), images, labels)
    assert found == ["fab-t"] * COUNT


def stairs(params, images):
    """Pixels in eighths: no gradient anywhere."""
    return linear_apply(params, jnp.floor(images * 8) / 8)


def test_questions_of_logits_alone_break_a_network_without_gradients(pictures):
    clf = random_linear(53, 5, apply=stairs, name="stairs")
    labels = clf.predict(pictures)
    attack = jaxadv.AutoAttack(0.06, **SHORT)
    result = jaxadv.run_attack(clf, attack, pictures, labels, lanes=4)
    found = result.details["broken_by"].tolist()
    assert found.count("square") >= 2 and set(found) <= {"apgd-ce", "square", ""}
    assert not result.zero_gradient[result.success].any()
    assert result.zero_gradient[~result.success].all()


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
    with pytest.raises(InputError, match="has 3 classes.*needs 4 at least"):
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
    attack = jaxadv.AutoAttack(1e-4, stages="apgd-ce+apgd-t+fab-t+square", steps=5, queries=7)
    result = jaxadv.run_attack(clf, attack, pictures, labels, lanes=4)
    assert not result.success.any()
    # four other classes; a judgement for each stage
    assert (result.gradients == 6 + 4 * 6 + 4 * 5).all()
    assert (result.forwards == 4 * 5 + 8 + 4).all()


def test_a_sequence_is_continued_where_it_was(pictures, tmp_path):
    """Interrupted in every stage, to the bit."""
    clf = random_linear(53, 5, apply=stairs, name="stairs")
    labels = clf.predict(pictures)
    attacks = [jaxadv.AutoAttack(0.05, steps=6, queries=20)] * COUNT
    arguments = clf, attacks, pictures, labels, np.zeros(COUNT, bool)
    whole = run_attacks(*arguments, lanes=2)

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
    for _ in range(40):
        Impatient.left = 3
        try:
            again = run_attacks(
                *arguments, lanes=2, journal=Impatient(tmp_path, "queue", seconds=0)
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


def test_each_stage_is_a_queue_of_those_who_stand(pictures, monkeypatch):
    """Engine runs get fewer and fewer images."""
    clf = random_linear(53, 5, apply=stairs, name="stairs")
    labels = clf.predict(pictures)
    sizes, run = [], engine.run

    def counted(classifier, probes, items, **options):
        sizes.append((type(probes[0]).__name__, len(items)))
        return run(classifier, probes, items, **options)

    monkeypatch.setattr(engine, "run", counted)
    jaxadv.run_attack(clf, jaxadv.AutoAttack(0.06, steps=5, queries=50), pictures, labels, lanes=4)
    assert [name for name, _ in sizes] == ["APGD", "APGD", "FAB", "Square"]
    assert [size for _, size in sizes] == sorted((size for _, size in sizes), reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "norm", "eps"),
    [("smooth", "Linf", 0.1), ("smooth", "L2", 4), ("tiny", "Linf", 0.02), ("tiny", "L2", 1)],
)
def test_recorded_robust_accuracy(net, norm, eps):
    """Within the spread of the recorded seeds, and one image; who is broken agrees where all seeds do."""
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
