"""Projections, steps to hyperplanes and losses against golden/modern/units.npz, in double precision
to 1e-6.
"""

import functools

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


def every(function, *rows):
    """The function at each row, in one program."""
    return jax.jit(jax.vmap(function))(*map(jnp.asarray, rows))


def test_onto_the_l1_ball_in_the_box(units):
    found = every(projections.onto_l1_ball_in_box, units["l1_y"], units["l1_x"], units["l1_eps"])
    np.testing.assert_allclose(found, units["l1_y"] + units["l1_delta"], atol=1e-6)


def test_onto_the_l1_ball(units):
    found = every(projections.onto_l1_ball, units["l1_y"], units["l1_eps"])
    np.testing.assert_allclose(found, units["duchi"], atol=1e-6)


@pytest.mark.parametrize("norm", [np.inf, 2, 1])
def test_to_hyperplanes(units, norm):
    """Rows with zero weights, with weights of 5e-9, and where the box is too small are among
    them.
    """
    name = {np.inf: "fab_linf", 2: "fab_l2", 1: "fab_l1"}[norm]
    excess = (units["w"] * units["t"]).sum(1) - units["b"]
    step = functools.partial(projections.to_hyperplane, norm=norm)
    found = every(step, units["t"], units["w"], excess)
    np.testing.assert_allclose(found, units[name], atol=1e-6)


def test_ratios_of_logits(units):
    """DLR of the best other class, towards a target, and cross-entropy; row 0 has all logits
    equal.
    """
    labels, targets = (units[name].astype(np.int32) for name in ("y", "target"))
    for aims, fourth, name in ((np.full(6, oracle.NO_AIM), False, "dlr"), (targets, True, "dlr_t")):

        def ratio(logits, label, aim, fourth=fourth):
            minus = jnp.asarray(-1.0)
            objective = oracle.ratio(label, minus, 10, aim=aim, fourth=jnp.array(fourth))
            return oracle.value(objective, logits)

        found = every(ratio, units["logits"], labels, aims.astype(np.int32))
        np.testing.assert_allclose(found, units[name], rtol=1e-6, atol=1e-9)

    def entropy(logits, label):
        return oracle.value(oracle.cross_entropy(label, jnp.asarray(1.0), 10), logits)

    found = every(entropy, units["logits"], labels)
    np.testing.assert_allclose(found, units["ce"], rtol=1e-6, atol=1e-9)
