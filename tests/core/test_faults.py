"""NaN, infinities and zero gradients while a network is attacked: rows of their own, never a class,
a success or robustness.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from models import inner_images, linear_apply, random_linear

import jaxadv
from jaxadv.core import faults, metrics
from jaxadv.core.oracle import Answer
from jaxadv.core.transfer import judge_transfer, seen

pytestmark = pytest.mark.usefixtures("strict_numerics")

ATTACKS = {
    "fgsm": jaxadv.FGSM(0.05),
    "ifgsm": jaxadv.IFGSM(eps=0.05, steps=3),
    "ifgsm_search": jaxadv.IFGSM(initial_eps=0.02, attempts=3, steps=3),
    "cw": jaxadv.CarliniWagnerL2(steps=12, search_steps=2, learning_rate=0.02, initial_const=0.5),
    "ead": jaxadv.ElasticNetL1(steps=12, search_steps=2, initial_const=0.5),
}
EVERY_ATTACK = pytest.mark.parametrize("name", ATTACKS)
LANES = 4


def marked(value, column=slice(None)):
    """A linear network of four classes that gives ``value`` for pictures whose first row is
    dark.
    """

    def apply(params, images):
        logits = linear_apply(params, images)
        broken = jnp.zeros_like(logits).at[:, column].set(value)
        return jnp.where(images[:, 0].mean((1, 2))[:, None] < 0.2, logits + broken, logits)

    return random_linear(3, 4, apply=apply, scale=0.3)


def half_dark(count=4) -> np.ndarray:
    """Pictures, the even ones dark in their first row, and the others not."""
    images = inner_images(4, count)
    images[::2, 0] = 0.05
    return images


@pytest.mark.few("inf-column1-fgsm", slow=("nan-column0-cw", "-inf-column2-ifgsm_search"))
@EVERY_ATTACK
@pytest.mark.parametrize(
    ("value", "column"), [(np.nan, slice(None)), (np.inf, slice(0, 1)), (-np.inf, slice(1, 3))]
)
def test_an_image_whose_logits_are_no_numbers_is_neither_fooled_nor_robust(name, value, column):
    clf, images = marked(value, column), half_dark()
    labels = random_linear(3, 4, scale=0.3).predict(images)
    result = jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=LANES)
    np.testing.assert_array_equal(result.invalid, [True, False, True, False])
    np.testing.assert_array_equal(result.predicted < 0, result.invalid)
    assert not result.success[::2].any() and np.isnan(result.l2[::2]).all()
    assert result.success[1::2].all()  # as if the others were not there
    assert (
        "2 with NaN or infinite logits" in repr(result)
        and result.summary().loc["success", "n"] == 2
    )


@pytest.mark.few("ifgsm", slow=("cw",))
@EVERY_ATTACK
def test_infinite_logits_on_the_way_are_no_failure(name):
    """The network breaks where the attack must go: a search that finds nothing there has shown
    nothing.
    """

    def apply(params, images):
        logits = linear_apply(params, images)
        away = jnp.abs(images - 0.5).max((1, 2, 3)) > 1e-3
        return jnp.where(away[:, None], jnp.inf, logits)

    clf = random_linear(5, 3, apply=apply, scale=0.3)
    clf.contract.is_exempt = True  # or no picture of noise would pass
    images = np.full((3, 8, 8, 3), 0.5, np.float32) + inner_images(6, 3, width=1e-4) - 0.5
    labels = random_linear(5, 3, scale=0.3).predict(images)
    result = jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=LANES)
    assert result.invalid.all() and not result.success.any()
    assert np.isfinite(result.adversarial).all()


def test_gradients_that_are_no_numbers_count_as_well():
    """A norm has no gradient at 0: the logits are fine, and FGSM does not move."""

    def apply(params, images):
        grey = images - images[:, :, :1, :1]
        return linear_apply(params, images) + jnp.sqrt((grey * grey).sum((1, 2, 3)))[:, None]

    clf = random_linear(7, 3, apply=apply)
    images = np.full((2, 8, 8, 3), 0.5, np.float32)
    result = jaxadv.run_attack(clf, jaxadv.FGSM(0.1), images, clf.predict(images), lanes=LANES)
    assert result.invalid.all() and not result.zero_gradient.any() and (result.predicted >= 0).all()


MASKS = {
    "rounded pixels": lambda images: jnp.round(images * 16) / 16,
    "signs": lambda images: jnp.sign(images - 0.5),
    "none": lambda images: images,
}


@pytest.mark.few("fgsm-none", "cw-rounded pixels", "ead-signs", "ifgsm_search-rounded pixels")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ["fgsm", "ifgsm_search", "cw", "ead"])
def test_zero_gradients_are_told_from_robustness(name, mask):
    images = inner_images(9, 3, width=0.02) + 0.01
    clf = random_linear(
        8, 4, scale=0.5, apply=lambda params, images: linear_apply(params, MASKS[mask](images))
    )
    result = jaxadv.run_attack(clf, ATTACKS[name], images, clf.predict(images), lanes=LANES)
    assert result.zero_gradient.tolist() == [mask != "none"] * 3 and not result.invalid.any()
    np.testing.assert_array_equal((result.adversarial == images).all((1, 2, 3)), mask != "none")
    assert result.to_pandas()["zero_gradient"].sum() == (0 if mask == "none" else 3)


@pytest.mark.parametrize("attack", [jaxadv.FGSM(1e-6), jaxadv.Square(1e-6, queries=3)])
def test_a_failure_with_a_slope_is_robustness(attack):
    """So is the failure of an attack that asks for no gradient."""
    clf, images = random_linear(8, 4), inner_images(9, 3)
    result = jaxadv.run_attack(clf, attack, images, clf.predict(images), lanes=LANES)
    assert not result.success.any() and not result.zero_gradient.any()


@pytest.mark.slow
def test_a_network_that_is_broken_for_one_image_keeps_the_scores_of_the_others():
    images, options = half_dark(3), {"batches": 3, "samples": 4, "radius": 0.02, "lanes": LANES}
    images[2] = inner_images(10, 1)[0]
    labels = random_linear(3, 4, scale=0.3).predict(images)
    for targets in (None, (labels + 1) % 4):
        broken = jaxadv.clever_scores(marked(np.nan), images, labels, targets, **options)
        whole = jaxadv.clever_scores(
            random_linear(3, 4, scale=0.3), images, labels, targets, **options
        )
        np.testing.assert_array_equal(broken.invalid, [True, False, False])
        assert np.isnan(broken.score[0]).all() and np.isnan(broken.fit.lipschitz[0]).all()
        np.testing.assert_allclose(broken.score[1:], whole.score[1:], rtol=1e-5)
        assert "1 without a score" in repr(broken)
        assert broken.summary()[["n", "invalid"]].to_numpy().tolist() == [[2, 1]] * 3


def test_infinite_logits_give_no_infinite_score():
    images = half_dark(2)
    scores = jaxadv.clever_scores(
        marked(-np.inf, slice(1, 2)),
        images,
        [0, 0],
        [1, 1],
        batches=2,
        samples=3,
        radius=0.02,
        lanes=LANES,
    )
    np.testing.assert_array_equal(scores.invalid, [True, False])


def test_a_class_of_no_number_is_none_at_all():
    logits = np.array([[0, np.nan, 1], [np.inf, 0, 0], [0, -np.inf, 3], [0, 2, 1]], np.float32)
    np.testing.assert_array_equal(metrics.predicted(logits), [-1, -1, -1, 1])
    for classes, targeted in (([1, 1, 0, 1], True), ([0, 1, 0, 0], False)):
        fooled = metrics.fooled(logits, np.array(classes), np.full(4, targeted))
        np.testing.assert_array_equal(fooled, [False, False, False, True])
    assert not metrics.near_ties(
        np.array([[np.inf, np.inf, 0]]), np.array([1]), np.array([True])
    ).any()
    clf = marked(np.nan)
    np.testing.assert_array_equal(clf.predict(half_dark()) < 0, [True, False, True, False])


def test_transfer_leaves_out_what_has_no_class():
    images = half_dark()
    clf = marked(np.inf, slice(0, 1))
    labels = random_linear(3, 4, scale=0.3).predict(images)
    adversarial = images.copy()
    adversarial[:, 0] = np.array([0.5, 0.05, 0.05, 0.5])[
        :, None, None
    ]  # broken: 0 and 2 as clean, 1 and 2 as adversarial
    rates = jaxadv.transfer_rates(adversarial, images, labels, None, np.ones(4, bool), clf)
    np.testing.assert_array_equal(rates.invalid, [False, True, True, False])
    np.testing.assert_array_equal(rates.attacked, [False, False, False, True])
    assert (
        rates.released.n == rates.left_out.n == 1
        and not rates.success[1:3].any()
        and not rates.released_success[1:3].any()
    )
    targets = (labels + 1) % 4
    found = seen(np.full((4, 4), np.nan, np.float32))
    aimed = judge_transfer(
        found, labels, labels, targets, np.ones(4, bool), source_success=np.ones(4, bool), clf=clf
    )
    assert aimed.released.n == 0 and not aimed.top5.any() and not aimed.released_top5.any()


def test_faults_add_up_over_the_answers():
    """A slope seen once stays, and so does a number that is none."""
    flat, slope = jnp.zeros((2, 2, 3)), jnp.zeros((2, 2, 3)).at[0, 1, 2].set(-0.5)
    fine, broken = jnp.array([0.0, 1.0]), jnp.array([0.0, jnp.inf])

    def seen(*answers):
        found = faults.none_yet()
        for answer in answers:
            found = faults.after(found, Answer(*answer))
        return bool(found.invalid), bool(found.sloped)

    assert seen() == (False, False)
    assert seen((fine, None)) == (False, False) and seen((broken, None)) == (True, False)
    assert seen((fine, flat)) == (False, False) and seen((fine, slope)) == (False, True)
    assert seen((fine, flat + 1)) == (False, True)
    assert seen((fine, slope), (fine, flat)) == (False, True)
    assert seen((broken, flat), (fine, None), (fine, flat)) == (True, False)
    assert seen((fine, slope), (broken, None)) == (True, True)
    assert seen((fine, flat.at[0, 0, 0].set(jnp.nan)))[0]


def test_faults_are_noted_of_each_item():
    watch = faults.Watch(4)
    watch.note(0, faults.Faults(jnp.array(True), jnp.array(False)), asks_gradients=True)
    watch.note(1, faults.Faults(jnp.array(False), jnp.array(True)), asks_gradients=True)
    watch.note(3, faults.Faults(jnp.array(False), jnp.array(False)), asks_gradients=False)
    assert watch.invalid.tolist() == [True, False, False, False]
    assert watch.zero_gradient.tolist() == [True, False, False, False]
