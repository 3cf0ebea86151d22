"""Items of attacks: what each attack needs, and nothing else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jaxadv.core.items import check_classes, items_of
from jaxadv.core.probe import AttackNeeds
from model_ports.errors import InputError

IMAGES = np.arange(3, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 3), np.float32)
CLASSES = np.array([0, 1, 2], np.int32)
LOGITS = np.array([[9, 1, 2, 3], [4, 9, 6, 5], [7, 3, 9, 8]], np.float32)


def attack(**needs) -> SimpleNamespace:
    return SimpleNamespace(needs=AttackNeeds(**needs))


def made(attacks, **given) -> list[Any]:
    """The items. The network says `LOGITS`, of which it is asked once at most."""
    asked = []

    def logits(images, batch):
        asked.append(batch)
        return LOGITS[images[:, 0, 0, 0].astype(int)]

    given = {"targeted": np.zeros(3, bool), "lanes": 5} | given
    items = items_of(SimpleNamespace(logits_in_batches=logits), attacks, IMAGES, CLASSES, **given)
    assert asked == ([] if "logits" in given or not any(a.needs.others for a in attacks) else [5])
    return items


def test_an_attack_without_needs_gets_an_image_and_its_class():
    for number, item in enumerate(made([attack()] * 3, targeted=np.array([True, False, True]))):
        np.testing.assert_array_equal(item.image, IMAGES[number])
        assert (item.label, bool(item.targeted)) == (number, number != 1)
        assert item.draw is item.others is None


@pytest.mark.parametrize("logits", [None, LOGITS + [0, 0, 0, 100]])
def test_other_classes_are_ranked_by_the_logits_that_are_known(logits):
    """The network is asked if none are."""
    attacks = [attack(others=2), attack(), attack(others=1)]
    given = {} if logits is None else {"logits": logits}
    first, second, third = made(attacks, **given)
    assert first.others.tolist() == [3, 2] and second.others is None
    assert third.others.tolist() == [3]
    attacks = [attack(), attack(others=3), attack()]
    ranked = [2, 3, 0] if logits is None else [3, 2, 0]
    assert made(attacks, **given)[1].others.tolist() == ranked


def test_draws_begin_at_seed_0_and_at_the_images_numbers():
    attacks = [attack(draw=True), attack(), attack(draw=True)]
    first, second, third = made(attacks)
    assert first.draw == (0, 0) and second.draw is None and third.draw == (0, 2)
    first, _, third = made(attacks, seed=7, ids=[30, 40, 50])
    assert first.draw == (7, 30) and third.draw == (7, 50)
    for wrong in ({"seed": 0.5}, {"ids": [1, 2]}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            made(attacks, **wrong)
    assert len(made([attack()] * 3, ids=["a", "b", "c"])) == 3  # of no use, and not read


def test_an_attack_without_a_targeted_form_takes_no_target():
    free, bound = attack(), attack(untargeted=True)
    targeted = np.array([True, False, False])
    assert len(made([free, bound, bound], targeted=targeted)) == 3
    with pytest.raises(InputError, match="has no targeted form"):
        made([bound, free, free], targeted=targeted)


def test_a_network_has_neither_too_few_classes_nor_too_many():
    one = attack(classes=4, most_classes=10)
    for right in (4, 10):
        check_classes(one, "net", right)
    with pytest.raises(InputError, match="net has 3 classes; .* needs at least 4"):
        check_classes(one, "net", 3)
    with pytest.raises(InputError, match="net has 11 classes; .* takes at most 10"):
        check_classes(one, "net", 11)
    check_classes(attack(), "net", 2)
    check_classes(attack(), "net", 10**6)
