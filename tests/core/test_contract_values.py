"""The rules of `jaxadv.core.contract` at their edges, on logits that are written down."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jaxadv.core import contract
from model_ports.errors import InputError

SIZE, CLASSES = 2, 3


def network(answer, *, label_offset: int = 0, exempt: bool = False) -> Any:
    """A network that gives ``answer(images)`` and keeps the batches that it was asked."""
    asked: list[np.ndarray] = []

    def of_batches(images, batch):
        assert len(images) == batch
        asked.append(images)
        yield np.asarray(answer(images), np.float32)

    made = SimpleNamespace(
        name="mine",
        input_size=SIZE,
        num_classes=CLASSES,
        label_offset=label_offset,
        contract=contract.Record(is_exempt=True) if exempt else contract.Record(),
        logits_of_batches=of_batches,
        asked=asked,
    )
    made.awake = lambda: made
    return made


def of_pixels(images) -> np.ndarray:
    return images[:, 0, 0] - 2 * images[:, 1, 1]


def test_each_picture_is_asked_again_in_the_next_lane_beside_others():
    clf = network(of_pixels)
    contract.check(clf, 5)
    pictures, *again = clf.asked
    assert len(again) == 2
    for number, picture in enumerate(pictures):
        lane = (number + 1) % 5
        kept, changed = again if number % 2 == 0 else again[::-1]
        np.testing.assert_array_equal(kept[lane], picture)
        np.testing.assert_allclose(changed[lane], picture**4, rtol=1e-6)


@pytest.mark.parametrize(
    ("batch", "sizes"), [(1, [1] * 5), (2, [2] * 4), (3, [3] * 4), (4, [4] * 3)]
)
def test_four_pictures_are_asked_at_least(batch, sizes):
    clf = network(of_pixels)
    contract.check(clf, batch)
    assert [len(images) for images in clf.asked] == sizes


def test_a_batch_size_is_checked_once_and_an_exempt_network_never():
    clf = network(of_pixels)
    for batch in (4, 4, 6, 4):
        contract.check(clf, batch)
    assert clf.contract.batches == {4, 6} and len(clf.asked) == 6
    exempt = network(of_pixels, exempt=True)
    contract.check(exempt, 4)
    assert not exempt.asked and not exempt.contract.batches


def test_made_up_pictures_are_the_same_in_every_call():
    """From 0.3 to 0.7 grey, with a noise of 0.1 to 0.6 from its darkest to its brightest."""
    expected = [0.72456449, 0.61771595, 0.59803164]
    np.testing.assert_allclose(contract.pictures(1, 2)[0, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 0.25), (0.5, 0.5), (0.75, 0.71875)])
def test_how_a_picture_is_made(monkeypatch, drawn, expected):
    draw = SimpleNamespace(random=lambda shape, dtype: np.full(shape, drawn, dtype))
    monkeypatch.setattr(contract.np.random, "default_rng", lambda seed: draw)
    made = contract.pictures(2, 4)
    assert made.shape == (2, 4, 4, 3)
    np.testing.assert_allclose(made, expected, rtol=1e-6)


def refusal(logits, label_offset: int = 0) -> str:
    """What `_check_values` says of logits; "" if they are fine."""
    try:
        contract._check_values("mine", np.asarray(logits, np.float32), label_offset)
    except InputError as error:
        return str(error)
    return ""


def test_masked_classes_are_named_up_to_five():
    logits = np.random.default_rng(0).normal(size=(4, 9))
    for count, told in (
        (1, "class 0;"),
        (5, "class 0, 1, 2, 3, 4;"),
        (6, "class 0, 1, 2, 3, 4...;"),
        (7, "class 0, 1, 2, 3, 4...;"),
    ):
        logits[1, count - 1] = -np.inf
        logits[2, :count] = -np.inf
        assert told in refusal(logits)


def test_other_faults_beside_masked_classes_come_first():
    logits = [[-np.inf, 1.0, 2.0], [0.0, np.nan, 3.0], [0.5, 1.0, 2.5]]
    assert "gives NaN for 2 of 3 pictures" in refusal(logits)
    logits[1][1] = np.inf
    assert "gives infinite logits for 2 of 3 pictures" in refusal(logits)


@pytest.mark.parametrize(
    ("rows", "label_offset", "are"),
    [
        ([1.0, 1.009, 0.991], 0, True),
        ([1.0, 1.02], 0, False),
        ([1.0, 0.98], 0, False),
        ([-1.0, -1.0], 0, False),
        ([99.0, 101.0], 0, True),  # off by one in a hundred
        ([100.0, 101.005], 0, False),
        ([100.0, 98.9], 0, False),
        ([150.0, 60.0], 0, False),
        ([0.3, 0.9], 0, False),
        ([0.3, 1.005], 1, True),  # the background class has the rest
        ([0.3, 1.5], 1, False),
        ([0.3, 0.0], 1, False),
        ([2.0, 7.0], 1, False),
    ],
)
def test_sums_of_shares(rows, label_offset, are):
    assert contract._are_shares(np.array(rows), label_offset) == are


def test_probabilities_may_be_exactly_zero():
    assert "between 0 and 1 and sums to 1" in refusal(np.eye(3))
    assert "between 0 and 100" in refusal(100 * np.eye(3))
    assert not refusal([[0.5, 0.75, -0.25]] * 3)  # sums to 1 alone


@pytest.mark.parametrize(
    ("logits", "warns"),
    [
        ([[0.1, 0.7, 0.9], [0.3, 0.3, 0.7]], True),
        ([[0.0, 0.7, 0.9], [0.3, 0.3, 0.7]], True),
        ([[0.1, 0.7, 1.0], [0.3, 0.3, 0.7]], True),
        ([[0.1, 0.7, 1.2], [0.3, 0.3, 0.7]], False),
        ([[-0.1, 0.7, 0.9], [0.3, 0.3, 0.7]], False),
        ([[0.7, 0.7, 0.7], [0.7, 0.7, 0.7]], False),  # nothing was squashed
    ],
)
def test_a_sigmoid_is_warned_of(logits, warns, capsys):
    assert not refusal(logits)
    assert ("if a sigmoid makes them" in capsys.readouterr().err) == warns


@pytest.mark.parametrize(
    ("logits", "warns"),
    [
        ([[1.5, 2.0, -3.0], [1.0, 2.0, -3.0]], True),
        ([[1.5, 2.0, -3.0], [1.001, 2.0, -3.0]], False),
        ([[1.5, 2.0, -3.0], [1.5, 2.0, -3.0]], False),  # the same for all pictures
    ],
)
def test_bfloat16_is_warned_of(logits, warns, capsys):
    assert not refusal(logits)
    assert ("bfloat16 numbers" in capsys.readouterr().err) == warns


def test_rounding_explains_a_share_of_the_spread_and_of_the_size():
    """Spread 0.5 and size 2; an offset to all logits of an image is not its spread."""
    first = np.array([[1.5, 2.0], [-1.0, -1.0]], np.float32)
    second = np.array([[1.5, 2.25], [-1.0, -1.0]], np.float32)
    difference, allowed = contract._difference(first, second)
    assert difference == 0.25 and allowed == pytest.approx(2e-4 * 0.5 + 1e-5 * 2)
    assert contract._difference(first, np.full((2, 2), np.nan))[0] == np.inf
    small = np.array([[0.25, 0.25]], np.float32)
    assert contract._difference(small, small) == (0, pytest.approx(1e-5 * 0.25))


def test_logits_of_zero_alone_are_no_fault():
    contract.check(network(lambda images: np.zeros((len(images), CLASSES))), 4)


def test_position_is_blamed_where_calls_and_companions_change_nothing():
    """Zeros in the lanes as they were; ones as soon as the lanes are moved."""
    first = contract.pictures(4, SIZE)[0]

    def answer(images):
        return np.full((len(images), CLASSES), float((images[0] != first).any()))

    with pytest.raises(InputError, match="at another position in the batch, by 1"):
        contract.check(network(answer), 4)


def test_rows_are_asked_for_with_the_background_class():
    clf = network(lambda images: np.zeros((1, CLASSES)), label_offset=1)
    with pytest.raises(InputError, match="1 rows for 4 images; a row of 4 for each"):
        contract.check(clf, 4)


def test_an_empty_tuple_has_no_logits_to_pick():
    assert contract._pick(()) == "return them"
    assert contract._pick([1]) == "return the array with the logits, such as output[0]"
