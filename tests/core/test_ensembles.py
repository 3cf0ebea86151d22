"""Ensembles: the mean of logits, and members of other sizes."""

import numpy as np
import pytest
from models import PIXELS, SIZE, inner_images, linear, random_linear

import jaxadv
from jaxadv.support import values

pytestmark = pytest.mark.usefixtures("strict_numerics")


def other_size(seed, side):
    weights = np.random.default_rng(seed).normal(size=(side * side * 3, 5), scale=0.1)
    return linear(weights, name=f"side_{side}")


def test_logits_and_gradients_are_the_members_means():
    members, images = (
        [random_linear(seed, 5, name=f"m{seed}") for seed in range(3)],
        inner_images(4, 3),
    )
    both = jaxadv.ensemble(members, name="all")
    np.testing.assert_allclose(
        both.logits(images), np.mean([member.logits(images) for member in members], 0), atol=1e-6
    )
    weights = np.eye(5, dtype=np.float32)[[0, 3, 4]]
    expected = np.mean(
        [member.logits_and_gradient(images, weights).gradient for member in members], 0
    )
    np.testing.assert_allclose(
        both.logits_and_gradient(images, weights).gradient, expected, atol=1e-6
    )
    assert (both.input_size, both.num_classes, both.name) == (SIZE, 5, "all")


@pytest.mark.parametrize("input_size", [None, 7])
def test_members_of_other_sizes_see_the_image_by_the_studys_rule(input_size):
    members = [other_size(0, SIZE), other_size(1, 5), other_size(2, 11)]
    both = jaxadv.ensemble(members, name="all", input_size=input_size)
    assert both.input_size == (input_size or 11)
    images = (
        np.random.default_rng(3)
        .uniform(size=(2, both.input_size, both.input_size, 3))
        .astype(np.float32)
    )
    expected = np.mean(
        [member.logits(jaxadv.refit(images, member.input_size)) for member in members], 0
    )
    np.testing.assert_allclose(both.logits(images), expected, atol=1e-5)


@pytest.mark.slow
def test_an_ensemble_is_fooled_as_a_linear_model_is():
    """Its members' mean is one linear model, on which C&W finds the least L2."""
    first, second = random_linear(0, 2, scale=0.3), random_linear(1, 2, scale=0.3)
    images, both = inner_images(1, 4), jaxadv.ensemble([first, second], name="both")
    weights, bias = (
        (first.params[name] + second.params[name]).astype(np.float64) / 2
        for name in ("weights", "bias")
    )
    logits = images.reshape(4, PIXELS) @ weights + bias
    result = jaxadv.run_attack(
        both, jaxadv.CarliniWagnerL2(steps=300), images, logits.argmax(1).astype(np.int32)
    )
    least = np.abs(logits[:, 0] - logits[:, 1]) / np.linalg.norm(weights[:, 0] - weights[:, 1])
    assert result.success.all()
    assert (result.l2 / least).min() > 1 - 1e-4 and (result.l2 / least).mean() < 1.02


def test_bad_members():
    with pytest.raises(jaxadv.InputError, match="at least two"):
        jaxadv.ensemble([random_linear(0, 2)], name="one")
    with pytest.raises(jaxadv.InputError, match="a 2, b 5"):
        jaxadv.ensemble(
            [random_linear(0, 2, name="a"), random_linear(0, 5, name="b")], name="mixed"
        )
    for wrong in ("vgg_16", "vgg_16+", "vgg_16+vgg_16"):
        with pytest.raises(jaxadv.InputError, match="joined by"):
            values.ensembles([wrong])
