"""Networks with fast layers equal the stock ones, values and gradients, whatever calls the layers."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import jaxadv
from jaxadv.core import fast_layers
from jaxadv.evaluation import own_models

LAYOUTS = {"NHWC": ("NHWC", "HWIO", "NHWC"), "NCHW": ("NCHW", "OIHW", "NCHW")}
LAYOUTS["mixed"] = ("CHWN", "IHWO", "NCHW")
GRID = [
    *itertools.product(LAYOUTS, [(3, 3)], [(1, 1), (2, 1)], ["SAME", "VALID"], [1, 2, 4]),
    *itertools.product(["NHWC"], [(1, 1), (2, 5)], [(3, 2)], ["SAME", "VALID"], [1, 4]),
    *itertools.product(["NCHW"], [(5, 4)], [(1, 1)], [((2, 0), (1, 3))], [1, 2, 4]),
]
"""Layout, kernel, strides, padding, groups of the 4 channels."""


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def assert_same(apply, *arguments: np.ndarray, layers: int = 1) -> None:
    """Value and gradients with and without fast layers; how many layers were replaced."""
    fast = fast_layers.rewritten(lambda params, images: apply(images, *params))
    image, *params = arguments
    text = str(jax.make_jaxpr(fast)(params, image))
    stock = str(jax.make_jaxpr(lambda params, images: apply(images, *params))(params, image))
    assert len(re.findall("custom_vjp_call", text)) - stock.count("custom_vjp_call") == layers

    def both(function):
        value, back = jax.vjp(function, params, image)
        return value, back(jnp.asarray(draw(9, *value.shape)))

    found = jax.tree.leaves(jax.jit(lambda: both(fast))())
    expected = jax.tree.leaves(jax.jit(lambda: both(lambda p, x: apply(x, *p)))())
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(b).max())))


def shaped(letters: str, **sizes: int) -> list[int]:
    return [sizes[letter] for letter in letters]


@pytest.mark.parametrize(
    ("layout", "kernel", "strides", "padding", "groups"),
    [
        pytest.param(*case, marks=pytest.mark.slow if number % 4 else ())
        for number, case in enumerate(GRID)
    ],
)
def test_convolutions(layout, kernel, strides, padding, groups):
    names = LAYOUTS[layout]
    image = draw(0, *shaped(names[0], N=2, H=7, W=8, C=4))
    taps = draw(1, *shaped(names[1], H=kernel[0], W=kernel[1], I=4 // groups, O=8))

    def apply(x, w):
        return lax.conv_general_dilated(
            x, w, strides, padding, dimension_numbers=names, feature_group_count=groups
        )

    # Two groups are two convolutions.
    assert_same(apply, image, taps, layers=2 if groups == 2 else 1)


@pytest.mark.parametrize(
    ("window", "strides", "padding"),
    [
        ((1, 3, 3, 1), (1, 2, 2, 1), "SAME"),
        ((1, 2, 3, 1), (1, 1, 2, 1), "VALID"),
        ((1, 1, 3, 2), (1, 1, 2, 2), "SAME"),
        ((1, 1, 3, 1), (1, 1, 2, 1), "VALID"),
        ((3, 1, 1, 2), (1, 1, 1, 2), "VALID"),
    ],
)
def test_pools(window, strides, padding):
    image = np.round(draw(0, 4, 6, 7, 5), 1)  # ties: the gradient goes to the first maximum
    for start, join in ((-np.inf, lax.max), (0.0, lax.add)):
        assert_same(
            lambda x, start=start, join=join: lax.reduce_window(
                x, start, join, window, strides, padding
            ),
            image,
        )


def test_an_output_with_its_width_before_its_height():
    image, taps = draw(0, 2, 5, 6, 3), draw(1, 3, 2, 3, 4)
    names = ("NHWC", "HWIO", "NWHC")
    assert_same(
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=names),
        image,
        taps,
    )


@pytest.mark.parametrize(
    ("window", "layers"),
    [
        ((1, 3, 1, 1), 1),
        ((1, 16, 8, 1), 1),
        ((1, 16, 9, 1), 0),  # of 144 taps
        ((1, 2, 2, 2), 0),
        ((1, 1, 1, 1), 0),
    ],
)
def test_pools_of_one_or_two_axes_and_of_128_taps_at_most(window, layers):
    assert_same(
        lambda x: lax.reduce_window(x, 0.0, lax.add, window, (1, 1, 1, 1), "VALID"),
        draw(0, 2, 17, 10, 3),
        layers=layers,
    )


def test_layers_that_stay_stock():
    image, taps = draw(0, 1, 8, 8, 4), draw(1, 3, 3, 4, 4)
    numbers = LAYOUTS["NHWC"]
    for given in ({"lhs_dilation": (2, 2)}, {"rhs_dilation": (2, 2)}):
        assert_same(
            lambda x, w, given=given: lax.conv_general_dilated(
                x, w, (1, 1), ((2, 2), (2, 2)), dimension_numbers=numbers, **given
            ),
            image,
            taps,
            layers=0,
        )
    whole = draw(0, 1, 16, 16, 2)
    assert_same(lambda x: nnx.max_pool(x, (12, 12)), whole, layers=0)  # 144 taps
    assert_same(lambda x: lax.conv(x, x, (1,), "SAME"), draw(0, 3, 3, 3), layers=0)


def block(x, w):
    return jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC))


NHWC = LAYOUTS["NHWC"]


@pytest.mark.parametrize(
    "apply",
    [
        jax.jit(block),
        jax.checkpoint(block),
        lambda x, w: lax.scan(lambda y, _: (block(y, w), y.sum()), x, None, length=3)[0],
        lambda x, w: lax.cond(x.sum() > 0, block, lambda x, w: -block(x, w), x, w),
        lambda x, w: jax.vmap(lambda y: block(y[None], w)[0])(x),
        lambda x, w: lax.cond(x.sum() > 0, lambda y: jax.jit(block)(y, w), lambda y: y, x),
    ],
    ids=["jit", "checkpoint", "scan", "cond", "vmap", "jit in cond"],
)
def test_layers_inside_other_functions(apply):
    program = str(jax.make_jaxpr(apply)(draw(0, 2, 6, 6, 4), draw(1, 3, 3, 4, 4)))
    assert_same(
        apply, draw(0, 2, 6, 6, 4), draw(1, 3, 3, 4, 4), layers=program.count("conv_general")
    )


def test_gradients_of_a_users_own_stay():
    """relu's derivative at 0 is 0, by a rule of JAX. Another rule is a user's."""

    @jax.custom_vjp
    def doubled(x):
        return x

    doubled.defvjp(lambda x: (x, None), lambda _, gradient: (2 * gradient,))
    image, taps = np.zeros((1, 4, 4, 2), np.float32), draw(1, 3, 3, 2, 2)
    assert_same(lambda x, w: doubled(block(x, w)), image, taps)


def test_outputs_that_nobody_uses():
    def apply(x, w):
        largest, _ = lax.top_k(block(x, w).reshape(x.shape[0], -1), 3)
        return largest

    assert_same(apply, draw(0, 2, 5, 5, 3), draw(1, 3, 3, 3, 3))


def network() -> jaxadv.Classifier:
    def apply(w, x):
        return nnx.avg_pool(block(x, w), (8, 8))[:, 0, 0]

    return jaxadv.Classifier(apply, draw(1, 3, 3, 3, 5), input_size=8, num_classes=5, name="one")


def test_a_classifier_has_them_and_its_fingerprint_does_not():
    one, images = network(), np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    stock = one.with_stock_layers()
    programs = [str(c.oracle.logits.lower(c.params, images).as_text()) for c in (one, stock)]
    assert programs[0] != programs[1]
    assert own_models.fingerprint(one) == own_models.fingerprint(stock)
    np.testing.assert_allclose(one.logits(images), stock.logits(images), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_they_can_be_switched_off(tmp_path):
    images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    labels = network().predict(images)
    settings = {"parts": ("attacks",), "attacks": (jaxadv.FGSM(0.01),), "progress": False}
    for is_fast in (True, False):
        made = jaxadv.Settings(**settings, fast_layers=is_fast)
        run = jaxadv.evaluate([network()], (images, labels), made, out=tmp_path / str(is_fast))
        assert run.manifest["settings"]["fast_layers"] is is_fast
    with pytest.raises(jaxadv.InputError, match="fast_layers"):
        jaxadv.evaluate(
            [network()],
            (images, labels),
            jaxadv.Settings(**settings, fast_layers=False),
            out=tmp_path / "True",
        )
