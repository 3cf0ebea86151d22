"""What networks are shown of each other's images: adapted on the device, where a batch goes
once.
"""

import jax
import numpy as np
import pytest
from models import linear

import jaxadv
from jaxadv.core import memory, transfer
from jaxadv.evaluation.compiled import Loaded
from jaxadv.evaluation.networks import Entry

pytestmark = pytest.mark.usefixtures("strict_numerics")
SIDES = (8, 5, 11, 8)


@pytest.fixture
def classifiers():
    weights = [
        np.random.default_rng(place).normal(size=(side * side * 3, 7))
        for place, side in enumerate(SIDES)
    ]
    return [linear(own, name=f"{place}") for place, own in enumerate(weights)]


@pytest.fixture
def images():
    return np.random.default_rng(9).uniform(size=(11, SIDES[0], SIDES[0], 3)).astype(np.float32)


def test_each_answers_at_the_images_as_refit_adapts_them(classifiers, images):
    through = []
    for classifier, found in zip(
        classifiers, transfer.show(classifiers, images, 4, advance=through.append), strict=True
    ):
        logits = classifier.logits_in_batches(jaxadv.refit(images, classifier.input_size), 4)
        np.testing.assert_array_equal(found.predicted, logits.argmax(1))
        np.testing.assert_array_equal(found.top_five, logits.argsort(1, kind="stable")[:, -5:])
    assert through == [4, 4, 3]
    assert [len(found.predicted) for found in transfer.show(classifiers, images[:0], 4)] == [0] * 4
    assert transfer.show([], images, 4) == []


def test_a_batch_goes_to_the_device_once_for_all(classifiers, images, monkeypatch):
    awake, put = [classifier.awake() for classifier in classifiers], []
    monkeypatch.setattr(
        jax,
        "device_put",
        lambda array, *on, put_on=jax.device_put: put.append(array.shape) or put_on(array, *on),
    )
    transfer.show(awake, images, 4)  # warm
    put.clear()
    with jax.transfer_guard_host_to_device("disallow"):  # but for what is put
        transfer.show(awake, images, 4)
    assert put == [(4, 8, 8, 3)] * 3


def test_networks_that_memory_cannot_hold_rest_on_the_host_and_answer_the_same(
    classifiers, images, monkeypatch
):
    entries = {one.name: Entry(one.input_size, 7, {}, one.awake) for one in classifiers}
    bytes_of = {one.name: one.bytes for one in classifiers}
    assert bytes_of["1"] == 4 * (5 * 5 * 3 * 7 + 7) < bytes_of["0"]
    monkeypatch.setattr(memory, "free_bytes", lambda: bytes_of["0"] / memory.WEIGHTS)
    loaded = Loaded(entries, "highest")
    assert [loaded[name].is_at_rest for name in entries] == [False, False, True, False]
    large, there = jaxadv.refit(images, 11), classifiers[2].awake()
    shown = transfer.show([loaded[name] for name in entries], images, 4)
    np.testing.assert_array_equal(shown[2].predicted, there.logits_in_batches(large, 4).argmax(1))
    attack, labels = jaxadv.IFGSM(eps=0.1, steps=3), there.predict(large)
    found, expected = (
        jaxadv.run_attack(one, attack, large, labels, lanes=4) for one in (loaded["2"], there)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert loaded["2"].is_at_rest and there.awake() is there
