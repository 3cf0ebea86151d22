"""What networks are shown of each other's images: adapted on the device, where a batch goes
once.
"""

from types import SimpleNamespace
from typing import Any

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


def told(predicted, top_five=None) -> transfer.Seen:
    return transfer.Seen(np.array(predicted), np.array(top_five or [[-1] * 5] * len(predicted)))


def judged(found, clean, labels, targets, *, has_image, source, offset=0, classes=9):
    clf: Any = SimpleNamespace(label_offset=offset, num_classes=classes)
    return transfer.judge_transfer(
        found,
        *map(np.array, (clean, labels, targets, has_image)),
        source_success=np.array(source),
        clf=clf,
    )


YES, NO = True, False


def test_rates_of_untargeted_attacks():
    """Six images of class 2: the second is misread when clean, the third has no class, the fourth
    and the fifth failed at the source; of the fifth the release has an image.
    """
    rates = judged(
        told([3, 3, -1, 2, 4, 2]),
        [2, 5, 2, 2, 2, 2],
        [2] * 6,
        [-1] * 6,
        has_image=[YES, YES, YES, NO, YES, YES],
        source=[YES, YES, YES, NO, NO, YES],
    )
    assert rates.invalid.tolist() == [NO, NO, YES, NO, NO, NO]
    assert rates.attacked.tolist() == [YES, NO, NO, YES, YES, YES]
    assert rates.success.tolist() == rates.top5.tolist() == [YES, YES, NO, NO, YES, NO]
    assert rates.released_success.tolist() == [YES, YES, NO, YES, YES, NO]
    assert rates.released_top5.tolist() == rates.released_success.tolist()
    assert rates.released == transfer.Rate(4, 3, 0.75, 0.75)
    assert rates.left_out == transfer.Rate(2, 1, 0.5, 0.5)
    assert rates.as_failures == transfer.Rate(4, 1, 0.25, 0.25)


def test_rates_of_targeted_attacks():
    """Images of class 2: the targets are 3, 3, 0, 4, 8 and 0. Of the last three, which failed at
    the source, the release has no image: the network's class is the first, its five best the last.
    """
    among = [[2, 3, 5, 6, 7]] * 6
    rates = judged(
        told([3, 5, 0, 4, 2, 2], among),
        [2] * 6,
        [2] * 6,
        [3, 3, 0, 4, 8, 0],
        has_image=[YES, YES, YES, NO, NO, NO],
        source=[YES, YES, YES, NO, NO, NO],
    )
    assert rates.success.tolist() == [YES, NO, YES, YES, NO, NO]
    assert rates.top5.tolist() == [YES, YES, NO, NO, NO, NO]
    assert rates.released_success.tolist() == [YES, NO, YES, NO, NO, YES]
    assert rates.released_top5.tolist() == [YES, YES, NO, YES, YES, NO]
    assert rates.released == transfer.Rate(6, 3, 3 / 6, 4 / 6)
    assert rates.left_out == transfer.Rate(3, 2, 2 / 3, 2 / 3)
    assert rates.as_failures == transfer.Rate(6, 2, 2 / 6, 2 / 6)


def test_a_background_class_is_what_an_image_of_nan_shows():
    """It is an untargeted success and never a targeted one."""
    failed = {"has_image": [NO, NO, NO], "source": [NO, NO, NO], "offset": 1}
    rates = judged(told([0, 1, 2]), [0, 1, 2], [0, 1, 2], [-1] * 3, **failed)
    assert rates.released_success.all() and not rates.success.any()
    rates = judged(told([0, 1, 2]), [0, 1, 2], [0, 1, 2], [1, 0, 0], **failed)
    assert not rates.released_success.any()


def test_the_last_five_classes_are_the_best_of_an_image_of_nan():
    targets = list(range(1, 8))
    rates = judged(
        told([0] * 7), [0] * 7, [0] * 7, targets, has_image=[NO] * 7, source=[NO] * 7, classes=8
    )
    assert rates.released_top5.tolist() == [target >= 3 for target in targets]


def test_rates_of_no_image_are_no_numbers():
    rate = transfer._rate(*np.ones((2, 3), bool), np.zeros(3, bool))
    assert (rate.n, rate.successes) == (0, 0) and np.isnan([rate.rate, rate.top5_rate]).all()


def test_the_five_best_classes_of_logits():
    found = transfer.seen(np.float32([[5, 0, 4, 1, 3, 2, 9], [5, 0, 4, np.nan, 3, 2, 9]]))
    assert found.predicted.tolist() == [6, -1]
    assert found.top_five.tolist() == [[5, 4, 2, 0, 6], [-1] * 5]


@pytest.mark.parametrize(
    ("source", "size", "rows"),
    [
        (5, 2, [1, 2]),
        (4, 3, [1, 2, 3]),
        (6, 3, [2, 3, 4]),
        (3, 3, [0, 1, 2]),
        (2, 5, [None, 0, 1, None, None]),
        (1, 2, [0, None]),
        (3, 7, [None, None, 0, 1, 2, None, None]),
    ],
)
def test_crop_and_border_by_hand(source, size, rows):
    """Each row has its number as its value; None is the border, of mid-grey."""
    images = np.broadcast_to(np.arange(source)[None, :, None, None], (2, source, source, 3))
    images = images.astype(np.float32)
    expected = [0.5 if row is None else row for row in rows]
    inside = [column for column, row in enumerate(rows) if row is not None]
    for fitted in (jaxadv.refit(images, size), jaxadv.refit(images.swapaxes(1, 2), size)):
        assert fitted.shape == (2, size, size, 3)
    fitted = jaxadv.refit(images, size)
    for column in range(size):
        told_rows = fitted[1, :, column, 2].tolist()
        assert told_rows == (expected if column in inside else [0.5] * size)


@pytest.fixture
def two_pictures(classifiers, images):
    clean = images[:2]
    labels = classifiers[0].predict(clean)
    return classifiers[0], clean, labels


def test_nan_stands_for_a_failed_source_alone(two_pictures):
    clf, clean, labels = two_pictures
    broken = clean.copy()
    broken[1, 3, 2, 1] = np.nan
    rates = jaxadv.transfer_rates(broken, clean, labels, None, [True, False], clf, lanes=2)
    assert rates.predicted.tolist() == labels.tolist() and not rates.success.any()
    with pytest.raises(jaxadv.InputError):
        jaxadv.transfer_rates(broken, clean, labels, None, [True, True], clf, lanes=2)


def test_shapes_of_images_and_successes_must_fit(two_pictures):
    clf, clean, labels = two_pictures
    for adversarial, success in ((clean[:1], [True, True]), (clean, [True])):
        with pytest.raises(jaxadv.InputError, match=r"adversarial has shape .* and success \("):
            jaxadv.transfer_rates(adversarial, clean, labels, None, success, clf, lanes=2)


@pytest.mark.parametrize("kept", [{}, {"failed_kept": False}, {"failed_kept": True}])
def test_a_failed_attempts_image_counts_where_it_is_kept(two_pictures, kept):
    """The image of a failure is the clean one here: kept, it is no success in the release."""
    clf, clean, labels = two_pictures
    found = [False, False]
    rates = jaxadv.transfer_rates(clean, clean, labels, None, found, clf, lanes=2, **kept)
    of_nan = [bool(label != 0) for label in labels]
    assert rates.released_success.tolist() == ([False] * 2 if kept.get("failed_kept") else of_nan)
    assert any(of_nan)
