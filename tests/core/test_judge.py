"""Attacks are judged as they end, in whatever order that is, and all alike."""

import threading
import time
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models import inner_images, random_linear

import jaxadv
from jaxadv.api import run_attacks
from jaxadv.core import judge, metrics
from jaxadv.core.judge import Judge
from jaxadv.core.probe import AttackOutcome

COUNT, CLASSES = 8, 4


@pytest.fixture(scope="module")
def ended():
    """Attacks away from what the network says of the clean images: 0..5 with other pictures, 6 and
    7 with pictures that fool nobody.
    """
    clf, images = random_linear(7, CLASSES, scale=0.3), inner_images(8, COUNT)
    adversarial = inner_images(9, COUNT)
    adversarial[6:] = images[6:]
    classes = (clf.predict(adversarial) + 1).astype(np.int32) % CLASSES
    classes[6:] = clf.predict(images[6:])
    return clf, images, adversarial, classes


def outcome(image, number: int) -> AttackOutcome:
    """Number 6 is of an attack that does not search; with one detail that others have in another
    shape, and one that they do not have.
    """
    details = {
        "best_const": np.float32(number),
        "const": np.arange(2 + (number == 1), dtype=np.float32),
    }
    if number == 6:
        details = {"best_const": np.float32(6), "eps": np.zeros(1, np.float32)}
    return AttackOutcome(
        image, np.bool_(number != 5), np.int32(number), np.int32(2 * number), details
    )


@pytest.mark.parametrize("lanes", [1, 3, 8, 20])
@pytest.mark.parametrize("order", [range(COUNT), (3, 0, 7, 1, 6, 2, 5, 4)])
def test_every_attack_is_judged_by_its_own_image(ended, order, lanes):
    clf, images, adversarial, classes = ended
    with closing(Judge(clf, images, classes, np.zeros(COUNT, bool), lanes)) as judge:
        for number in order:
            judge.add(number, outcome(adversarial[number], number), searches=number != 6)
        result = judge.result()
    np.testing.assert_array_equal(result.adversarial, adversarial)
    np.testing.assert_array_equal(result.predicted, clf.predict(adversarial))
    np.testing.assert_array_equal(result.success, [True] * 5 + [False] * 3)  # 5 was not found
    np.testing.assert_array_equal(
        result.revoked, [False] * 7 + [True]
    )  # 6 did not say that it had been
    for name, values in metrics.distances(adversarial, images).items():
        np.testing.assert_array_equal(
            getattr(result, name), np.where(result.success, values, np.nan), err_msg=name
        )
    np.testing.assert_array_equal(result.gradients, np.arange(COUNT))
    np.testing.assert_array_equal(result.forwards, 2 * np.arange(COUNT) + 1)
    assert not (result.invalid | result.zero_gradient | result.near_tie).any()
    assert set(result.details) == {"best_const"}
    np.testing.assert_array_equal(result.details["best_const"], np.arange(COUNT))


def test_a_revoked_success_is_the_clean_image(ended):
    clf, images, adversarial, _ = ended
    claimed = clf.predict(adversarial)  # untargeted attacks that ended where they had to leave
    with closing(Judge(clf, images, claimed, np.zeros(COUNT, bool), 3)) as judge:
        for number in range(4):
            judge.add(number, outcome(adversarial[number], number), searches=True)
        for number in range(4, COUNT):
            judge.add(number, outcome(images[number], 4), searches=True)
        result = judge.result()
    assert (
        result.revoked[:4].all() and not result.success[:4].any() and np.isnan(result.l2[:4]).all()
    )
    np.testing.assert_array_equal(result.adversarial, images)
    np.testing.assert_array_equal(result.predicted, clf.predict(images))


def test_distances_on_the_device_are_those_of_the_host(ended):
    _, images, adversarial, _ = ended
    found = judge.distances_on_device(jnp.asarray(adversarial), jnp.asarray(images))
    for name, values in metrics.distances(adversarial, images).items():
        assert found[name].dtype == jnp.float32
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert (np.asarray(found["l0"])[6:] == 0).all() and (np.asarray(found["l0"])[:6] > 0).all()


ATTACKS = {
    "fgsm": jaxadv.FGSM(eps=0.05),
    "ifgsm": jaxadv.IFGSM(eps=0.05, steps=3),
    "ifgsm_search": jaxadv.IFGSM(initial_eps=0.01, attempts=3, steps=3),
    "cw": jaxadv.CarliniWagnerL2(steps=6, search_steps=2, learning_rate=0.02, initial_const=1.0),
    "ead": jaxadv.ElasticNetL1(steps=6, search_steps=2, learning_rate=0.02, initial_const=1.0),
}


@pytest.mark.few("cw", "fgsm")
@pytest.mark.parametrize("name", ATTACKS)
def test_judged_on_the_device_every_bit_is_the_same(ended, name, monkeypatch):
    """11 attacks in 4 lanes: whole waves, a part of one, and lanes that end one by one."""
    clf, images, _, _ = ended
    images = np.tile(images, (2, 1, 1, 1))[:11]
    given = (clf, [ATTACKS[name]] * 11, images, clf.predict(images), np.zeros(11, bool))
    expected, looked, look = run_attacks(*given, lanes=4), [], judge.Judge._look_at_once

    def watched(self, there, numbers, *rest):
        looked.extend(numbers)
        look(self, there, numbers, *rest)

    monkeypatch.setattr(judge, "AT_ONCE", (jax.default_backend(),))
    monkeypatch.setattr(judge.Judge, "_look_at_once", watched)
    jax.tree.map(np.testing.assert_array_equal, run_attacks(*given, lanes=4), expected)
    assert len(looked) == len(set(looked)) > 0
    if name in ("fgsm", "ifgsm", "ifgsm_search"):
        assert looked == list(range(11))


def test_nothing_to_judge(ended):
    clf, images, _, classes = ended
    with closing(Judge(clf, images[:0], classes[:0], np.zeros(0, bool), 4)) as judge:
        result = judge.result()
    assert (
        result.adversarial.shape == (0, *images.shape[1:])
        and len(result.success) == len(result.l1) == 0
        and result.details == {}
    )


def test_a_success_is_neither_invalid_nor_without_gradient(ended):
    """A failure is invalid, or had no gradient, or neither."""
    clf, images, adversarial, classes = ended
    clf = broken_at(clf, adversarial[7])
    with closing(Judge(clf, images, classes, np.zeros(COUNT, bool), COUNT)) as one:
        for number in range(COUNT):
            image = images[number] if number in (1, 3, 5) else adversarial[number]
            one.add(
                number,
                outcome(image, 0)._replace(found=np.bool_(number in (0, 2, 4, 7))),
                searches=True,
                invalid=number in (0, 1, 5),
                zero_gradient=number in (2, 3, 5, 7),
            )
        result = one.result()
    assert result.success.tolist() == [True, False, True, False, True, False, False, False]
    assert result.invalid.tolist() == [False, True, False, False, False, True, False, True]
    assert result.zero_gradient.tolist() == [False, False, False, True] + [False] * 4


def broken_at(clf: jaxadv.Classifier, image: np.ndarray) -> jaxadv.Classifier:
    """The network, but with NaN for one image."""

    def apply(params, images):
        broken = images[:, :1, 0, 0] == image[0, 0, 0]
        return jnp.where(broken, jnp.nan, clf.oracle.apply(params, images))

    return jaxadv.Classifier(
        apply, clf.params, input_size=clf.input_size, num_classes=CLASSES, name="broken"
    )


@pytest.mark.parametrize(("lanes", "devices", "batches"), [(3, 1, 2), (2, 2, 2), (8, 1, 1)])
def test_attacks_are_judged_as_soon_as_they_fill_the_lanes(
    ended, lanes, devices, batches, monkeypatch
):
    clf, images, adversarial, classes = ended
    monkeypatch.setattr(type(clf), "devices", jax.local_devices()[:1] * devices)
    with closing(Judge(clf, images, classes, np.zeros(COUNT, bool), lanes)) as one:
        for number in range(COUNT):
            one.add(number, outcome(adversarial[number], number), searches=True)
        assert [len(numbers) for numbers, _ in one._logits] == [lanes * devices] * batches


def test_a_closed_judge_measures_no_more(ended):
    clf, images, _, classes = ended
    one = Judge(clf, images, classes, np.zeros(COUNT, bool), 4)
    may_end = threading.Event()
    busy = [one._workers.submit(may_end.wait, 1) for _ in range(judge.WORKERS)]
    waiting = one._workers.submit(int)
    thread = threading.Thread(target=one.close)
    thread.start()
    while not (waiting.cancelled() or all(work.done() for work in busy)):
        time.sleep(0.01)
    may_end.set()
    thread.join()
    assert waiting.cancelled()


def test_one_large_image_is_measured(ended, monkeypatch):
    clf, images, adversarial, classes = ended
    monkeypatch.setattr(metrics, "BLOCK", 1)
    with closing(Judge(clf, images[:1], classes[:1], np.zeros(1, bool), 1)) as one:
        one.add(0, outcome(adversarial[0], 0), searches=False)
        assert one.result().l1 == metrics.distances(adversarial[:1], images[:1])["l1"]


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_distances_of_large_images_are_shared_by_threads(ended, monkeypatch, workers):
    """Each image is in one share, however many threads there are."""
    clf, images, adversarial, classes = ended
    monkeypatch.setattr(metrics, "BLOCK", images[0].size * 3 // 2)
    monkeypatch.setattr(judge, "WORKERS", workers)
    with closing(Judge(clf, images, classes, np.zeros(COUNT, bool), COUNT)) as one:
        for number in range(COUNT):
            one.add(number, outcome(adversarial[number], number), searches=False)
        shares = [list(numbers) for numbers, _ in one._distances]
        result = one.result()
    assert sum(shares, []) == list(range(COUNT)) and len(shares) == min(workers, COUNT)
    expected = metrics.distances(adversarial, images)["l1"]
    np.testing.assert_array_equal(result.l1, np.where(result.success, expected, np.nan))
