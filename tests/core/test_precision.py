"""Gradients of another precision: what is computed in it, and what becomes of successes that it
alone sees.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from models import PIXELS, SIZE, inner_images, linear_apply, random_linear

import jaxadv
from model_ports.errors import InputError
from model_ports.layers import conv_general_dilated


def convolved(params, images):
    """A convolution with a gradient of our own, then a matrix product."""
    return linear_apply(params, conv_general_dilated(images, params["kernel"], (1, 1), "SAME"))


@pytest.fixture(scope="module")
def network() -> jaxadv.Classifier:
    params = {
        "kernel": np.ones((3, 3, 3, 3), np.float32),
        "weights": np.ones((PIXELS, 2), np.float32),
        "bias": np.ones(2, np.float32),
    }
    return jaxadv.Classifier(convolved, params, input_size=SIZE, num_classes=2, name="convolved")


def products(program, *question) -> list[str]:
    """The convolutions and matrix products of a program, a line each."""
    lines = program.lower(*question).as_text().splitlines()
    return [
        line for line in lines if "stablehlo.convolution" in line or "stablehlo.dot_general" in line
    ]


def precisions(line: str) -> set[str]:
    return set(re.findall(r"\b(HIGHEST|HIGH|DEFAULT)\b", line)) or {"DEFAULT"}


@pytest.mark.parametrize("precision", ["highest", "high", "default"])
def test_the_gradient_program_has_that_precision_forward_and_backward(network, precision):
    other = network.with_gradient_precision(precision)
    of_gradient = products(other.oracle.ask, network.params, *network.grey(2))
    assert [precisions(line) for line in of_gradient] == 4 * [{precision.upper()}]
    of_logits = products(other.oracle.logits, network.params, network.grey(2)[0])
    assert [precisions(line) for line in of_logits] == 2 * [{"HIGHEST"}]


def test_bfloat16_rounds_the_whole_network_and_an_ensembles_members(network):
    both = jaxadv.ensemble([network, random_linear(0, 2)], name="both").with_gradient_precision(
        "bfloat16"
    )
    of_gradient = products(both.oracle.ask, both.params, *both.grey(2))
    assert len(of_gradient) == 6 and all(
        "xbf16>" in line and "xf32>" not in line for line in of_gradient
    )
    answer = both.logits_and_gradient(inner_images(1, 2), np.eye(2, dtype=np.float32))
    assert answer.logits.dtype == answer.gradient.dtype == jnp.float32
    assert not any(
        "bf16" in line for line in products(both.oracle.logits, both.params, both.grey(2)[0])
    )


@pytest.mark.slow
def test_a_success_of_rough_logits_alone_is_revoked():
    """C&W takes its gradient program's word.

    Here that sees class 1 sooner: who flees from class 0 is believed too early.
    """

    def hasty(params, images):
        return linear_apply(params, images) + jnp.where(
            images.dtype == jnp.bfloat16, jnp.float32([0, 0.5]), 0
        )

    exact, images = random_linear(5, 2, scale=0.3, apply=hasty), inner_images(6, 12)
    labels = exact.predict(images)
    cw = jaxadv.CarliniWagnerL2(steps=40, search_steps=3, learning_rate=0.02, initial_const=0.5)
    assert jaxadv.run_attack(exact, cw, images, labels).success.all()
    result = jaxadv.run_attack(exact.with_gradient_precision("bfloat16"), cw, images, labels)
    np.testing.assert_array_equal(result.revoked, labels == 0)
    np.testing.assert_array_equal(result.success, labels == 1)
    np.testing.assert_array_equal(result.adversarial[labels == 0], images[labels == 0])
    np.testing.assert_array_equal(result.predicted, 0)
    np.testing.assert_array_equal(np.isnan(result.l2), result.revoked)


def test_what_cannot_be_is_one_line(network):
    with pytest.raises(InputError, match="precision is 'half'; it must be one of 'highest'"):
        network.with_gradient_precision("half")

    def mixed(params, images):  # shifted by a constant in float32
        return linear_apply(
            params,
            lax.conv(images - jnp.float32([0.5, 0.5, 0.5]), params["kernel"], (1, 1), "SAME"),
        )

    stubborn = jaxadv.Classifier(
        mixed,
        network.params | {"kernel": np.ones((SIZE, SIZE, 3, 3), np.float32)},
        **known(network),
    )
    with pytest.raises(InputError, match="stubborn cannot be computed in bfloat16"):
        stubborn.with_gradient_precision("bfloat16")
    assert jax.tree.structure(
        stubborn.with_gradient_precision("high").params
    ) == jax.tree.structure(stubborn.params)


def known(classifier) -> dict:
    return {
        "input_size": classifier.input_size,
        "num_classes": classifier.num_classes,
        "name": "stubborn",
    }
