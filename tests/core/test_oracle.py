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


def test_a_ratio_has_no_offset_and_next_to_no_floor_unless_given():
    """(1 - 4) / (4 - 2): the spread is between the largest and the third logit."""
    logits = jnp.array([1.0, 4.0, 3.0, 2.0])
    made = oracle.ratio(
        jnp.int32(0), jnp.float32(1), 4, aim=jnp.int32(oracle.NO_AIM), fourth=jnp.array(False)
    )
    assert float(oracle.value(made, logits)) == pytest.approx(-1.5, rel=1e-6)


def test_a_ratio_may_aim_at_the_first_class():
    """(4 - 1) / (4 - 2), also where the first class is not the best other one."""
    made = oracle.ratio(
        jnp.int32(1), jnp.float32(1), 4, aim=jnp.int32(0), fourth=jnp.array(False), floor=0.0
    )
    assert float(oracle.value(made, jnp.array([1.0, 4.0, 3.0, 2.0]))) == pytest.approx(1.5)


def test_the_spread_of_two_classes_is_their_difference():
    made = oracle.ratio(
        jnp.int32(0),
        jnp.float32(1),
        2,
        aim=jnp.int32(oracle.NO_AIM),
        fourth=jnp.array(False),
        floor=0.5,
    )
    assert float(oracle.value(made, jnp.array([1.0, 3.0]))) == pytest.approx(-0.8)


def test_a_hinge_of_exactly_zero_has_no_slope():
    made = oracle.hinge(jnp.int32(0), jnp.array(False), 0.0, 3)
    slope = jax.grad(oracle.value, argnums=1)
    assert slope(made, jnp.array([1.0, 1.0, 0.0])).tolist() == [0, 0, 0]
    assert slope(made, jnp.array([1.5, 1.0, 0.0])).tolist() == [1, -1, 0]


def test_no_infinite_logit_enters_by_a_ratio_that_is_not_asked_for():
    made = oracle.cross_entropy(jnp.int32(0), jnp.float32(1), 3)
    slope = jax.grad(oracle.value, argnums=1)(made, jnp.array([0.0, 0.0, -jnp.inf]))
    assert slope.tolist()[:2] == [-0.5, 0.5]


def test_several_objectives_share_a_forward_pass():
    """Logits are sums of pixels, so the gradient of an objective is its weights everywhere."""
    made = oracle.Oracle(lambda scale, x: scale * x.sum((1, 2)), "highest")
    images = jnp.ones((2, 1, 1, 3))
    weights = jnp.arange(18, dtype=jnp.float32).reshape(2, 3, 3)
    answer = made.ask(jnp.float32(2), images, jax.vmap(oracle.linear)(weights))
    assert answer.logits.tolist() == [[2, 2, 2], [2, 2, 2]]
    np.testing.assert_array_equal(answer.asked_gradient()[:, :, 0, 0], 2 * weights)
    one = made.ask(jnp.float32(2), images, oracle.linear(weights[:, 1]))
    np.testing.assert_array_equal(one.asked_gradient()[:, 0, 0], 2 * weights[:, 1])


def test_linear_objectives_have_the_leading_axis_of_their_weights():
    made = oracle.linear(jnp.ones((5, 3)))
    shapes = [leaf.shape for leaf in jax.tree.leaves(made)]
    assert shapes == [(5, 3)] + [(5,)] * 9


def test_an_answer_without_a_gradient_says_so():
    logits = jnp.zeros(3)
    assert oracle.Answer(logits, logits).asked_gradient() is logits
    with pytest.raises(TypeError, match="no gradient"):
        oracle.Answer(logits, None).asked_gradient()


def test_only_floating_point_is_rounded_to_bfloat16():
    numbers = jnp.array([1.0, 1 + 2.0**-12])
    assert oracle._rounded(numbers).tolist() == [1, 1]
    assert oracle._rounded(jnp.array([257])).tolist() == [257]
    assert oracle._rounded(jnp.array([257])).dtype == jnp.int32


def test_a_gpu_adds_in_one_order():
    assert oracle._OPTIONS["gpu"] == {"xla_gpu_exclude_nondeterministic_ops": True}
    assert oracle.NO_AIM == -1
