"""The classes that attacks aim at, worked out by hand."""

import numpy as np
import pytest

import jaxadv
from jaxadv.core import targets

LOGITS = np.array([[0.0, 3.0, 1.0, 2.0], [5.0, 5.0, -1.0, 0.0], [1.0, 0.0, 0.0, 4.0]], np.float32)
LABELS = np.array([1, 0, 3])
IDS = np.arange(3)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("untargeted", [1, 0, 3]), ("least", [0, 2, 1]), ("top2", [3, 0, 0])],
)
def test_classes_by_rank(kind, expected):
    """Of equal logits the class with the smaller number counts as the smaller logit."""
    chosen = targets.choose(kind, LOGITS, LABELS, ids=IDS, seed=0)
    assert chosen.tolist() == expected and chosen.dtype == np.int32


def test_random_classes_are_all_others_alike_and_never_the_label():
    count = 4000
    labels = np.arange(count) % 4
    logits = np.zeros((count, 4), np.float32)
    drawn = targets.choose("random", logits, labels, ids=np.arange(count), seed=7)
    table = np.zeros((4, 4), int)
    np.add.at(table, (labels, drawn), 1)
    assert (np.diag(table) == 0).all()
    others = table[~np.eye(4, dtype=bool)]
    assert abs(others - count / 12).max() < 5 * np.sqrt(count / 12)


def test_a_random_class_depends_on_seed_and_image_alone():
    def drawn(ids, seed=3):
        count = len(ids)
        logits, labels = np.zeros((count, 9)), np.zeros(count, int)
        return targets.choose("random", logits, labels, ids=np.array(ids), seed=seed).tolist()

    whole = drawn(range(20))
    assert drawn([13, 4]) == [whole[13], whole[4]] and drawn(range(20), seed=4) != whole


def test_an_unknown_kind_is_refused():
    with pytest.raises(jaxadv.InputError, match="'best'"):
        targets.choose("best", LOGITS, LABELS, ids=IDS, seed=0)


def test_all_other_classes_by_falling_logit():
    assert targets.ranked(LOGITS, LABELS).tolist() == [[3, 2, 0], [1, 3, 2], [0, 2, 1]]
