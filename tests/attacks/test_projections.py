"""Projections, steps to hyperplanes and losses against golden/modern/units.npz, in double precision to 1e-6."""

import driven
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxadv.attacks import projections
from jaxadv.core import oracle


@pytest.fixture(scope="module", autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def units():
    return driven.arrays("units")


def test_onto_the_l1_ball_in_the_box(units):
    for x, y, eps, delta in zip(
        units["l1_x"], units["l1_y"], units["l1_eps"], units["l1_delta"], strict=True
    ):
        found = projections.onto_l1_ball_in_box(jnp.asarray(y), jnp.asarray(x), jnp.asarray(eps))
        np.testing.assert_allclose(found, y + delta, atol=1e-6)


def test_onto_the_l1_ball(units):
    for y, eps, known in zip(units["l1_y"], units["l1_eps"], units["duchi"], strict=True):
        found = projections.onto_l1_ball(jnp.asarray(y), jnp.asarray(eps))
        np.testing.assert_allclose(found, known, atol=1e-6)


@pytest.mark.parametrize("norm", [np.inf, 2, 1])
def test_to_hyperplanes(units, norm):
    """Rows with zero weights, with weights of 5e-9, and where the box is too small are among them."""
    name = {np.inf: "fab_linf", 2: "fab_l2", 1: "fab_l1"}[norm]
    for point, normal, offset, known in zip(
        units["t"], units["w"], units["b"], units[name], strict=True
    ):
        excess = jnp.asarray(normal @ point - offset)
        found = projections.to_hyperplane(jnp.asarray(point), jnp.asarray(normal), excess, norm)
        np.testing.assert_allclose(found, known, atol=1e-6)


def test_ratios_of_logits(units):
    """DLR of the best other class, towards a target, and cross-entropy; row 0 has all logits equal."""
    for row, (logits, label, target) in enumerate(
        zip(units["logits"], units["y"], units["target"], strict=True)
    ):
        logits, minus = jnp.asarray(logits), jnp.asarray(-1.0)
        label = jnp.int32(label)
        for aim, fourth, name in ((oracle.NO_AIM, False, "dlr"), (target, True, "dlr_t")):
            objective = oracle.ratio(label, minus, 10, aim=jnp.int32(aim), fourth=jnp.array(fourth))
            np.testing.assert_allclose(
                oracle.value(objective, logits), units[name][row], rtol=1e-6, atol=1e-9
            )
        entropy = oracle.value(oracle.cross_entropy(label, jnp.asarray(1.0), 10), logits)
        np.testing.assert_allclose(entropy, units["ce"][row], rtol=1e-6, atol=1e-9)
