"""How the two programs of a network are compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxadv
from jaxadv.core import oracle
from model_ports.layers import conv_general_dilated

SIZE, CHANNELS = 16, 64


def convolved(params, images):
    """Two convolutions: the first makes channels of the three."""
    for kernel in params:
        images = jnp.tanh(conv_general_dilated(images, kernel, (1, 1), "SAME"))
    return jnp.mean(images, axis=(1, 2))[:, :2]


def library_calls(program, *question) -> int:
    """Convolutions among them; products of matrices, as the gradient at the image is one, are
    welcome there.
    """
    lines = program.lower(*question).compile().as_text().splitlines()
    return sum("kind=kCustom" in line and "conv_general_dilated" in line for line in lines)


def test_no_convolution_is_left_to_a_slower_library():
    random = np.random.default_rng(0)
    params = [
        random.normal(size=(3, 3, channels, CHANNELS)).astype(np.float32)
        for channels in (3, CHANNELS)
    ]
    network = jaxadv.Classifier(convolved, params, input_size=SIZE, num_classes=2, name="convolved")
    images, objectives = network.grey(8)
    assert (
        library_calls(network.oracle.logits, params, images)
        == library_calls(network.oracle.ask, params, images, objectives)
        == 0
    )


def test_a_jaxlib_without_the_option_is_not_given_it(monkeypatch):
    monkeypatch.setattr(oracle, "_OPTIONS", {"cpu": {"xla_cpu_no_such_option": "1"}})
    assert oracle.compiler_options.__wrapped__() == {}


def test_a_gpu_is_given_its_own(monkeypatch):
    """As far as a jaxlib can tell without one: the option is known."""
    monkeypatch.setattr(oracle.jax, "default_backend", lambda: "gpu")
    assert oracle.compiler_options.__wrapped__() == oracle._OPTIONS["gpu"] != {}


def ratio_by_formula(logits, label, sign, *, aim, fourth, floor, offset) -> float:
    """DLR, targeted or not (Croce & Hein 2020, equations 6 and 7), as it is printed there."""
    order = np.sort(logits)[::-1]
    last = order[min(3, len(order) - 1)]
    third = order[min(2, len(order) - 1)]
    spread = order[0] - ((third + last) / 2 if fourth else third)
    other = np.delete(logits, label).max() if aim is None else logits[aim]
    return (sign * (logits[label] - other) + offset) / (spread + floor)


@pytest.mark.parametrize("classes", [3, 4, 7])
@pytest.mark.parametrize("fourth", [False, True])
@pytest.mark.parametrize("aim", [None, 2])
def test_the_ratio_is_that_of_the_paper(classes, fourth, aim):
    logits = np.random.default_rng(classes).normal(size=(5, classes)).astype(np.float32)
    for row in logits:
        for label, sign, floor, offset in ((0, 1, 1e-12, 0.0), (1, -1, 0.5, 0.25)):
            made = oracle.ratio(
                jnp.int32(label),
                jnp.float32(sign),
                classes,
                aim=jnp.int32(oracle.NO_AIM if aim is None else aim),
                fourth=jnp.array(fourth),
                floor=floor,
                offset=jnp.float32(offset),
            )
            expected = ratio_by_formula(
                row.astype(np.float64),
                label,
                sign,
                aim=aim,
                fourth=fourth,
                floor=floor,
                offset=offset,
            )
            np.testing.assert_allclose(oracle.value(made, jnp.asarray(row)), expected, rtol=2e-5)


def test_terms_of_an_objective_are_their_formulas():
    logits = np.array([0.5, -1.0, 2.0, 1.5], np.float32)
    weights = np.array([1.0, 2.0, -0.5, 0.0], np.float32)
    value = lambda objective: float(oracle.value(objective, jnp.asarray(logits)))  # noqa: E731
    assert value(oracle.linear(jnp.asarray(weights))) == pytest.approx(weights @ logits)
    entropy = np.log(np.exp(logits).sum()) - logits[1]
    made = oracle.cross_entropy(jnp.int32(1), jnp.float32(-2), 4)
    assert value(made) == pytest.approx(-2 * entropy, rel=1e-6)
    for targeted, label, confidence in ((True, 3, 0.25), (False, 2, 0.25), (True, 2, 0.0)):
        gap = (-1 if targeted else 1) * (logits[label] - np.delete(logits, label).max())
        made = oracle.hinge(jnp.int32(label), jnp.array(targeted), jnp.float32(confidence), 4)
        assert value(made) == pytest.approx(max(0, gap + confidence))
    made = oracle.signed_margin(jnp.int32(0), jnp.float32(-1), 4)
    slope = jax.grad(oracle.value, argnums=1)(made, jnp.asarray(logits))
    np.testing.assert_array_equal(slope, [-1, 0, 1, 0])
