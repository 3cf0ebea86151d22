"""How the two programs of a network are compiled."""

import jax.numpy as jnp
import numpy as np

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
