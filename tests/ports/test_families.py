"""What single families add: auxiliary heads left out, pools, reductions and residual blocks, and
depth that differs in the small versions.

That every port gives the original's numbers is tested in test_ports.py.
"""

import re

import golden_weights as golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_ports import strict

from model_ports import inception_layers as inception
from model_ports import registry
from model_ports.errors import InputError
from model_ports.layers import average_pool
from model_ports.nasnet import FactorizedReduction
from model_ports.weight_map import assemble

WITH_AUXILIARY_HEAD = ("inception_v3", "inception_v4", "inception_resnet_v2", "nasnet_large")


@pytest.mark.few("inception_v3", "inception_resnet_v2")
@pytest.mark.parametrize("name", WITH_AUXILIARY_HEAD)
def test_only_the_auxiliary_head_is_left_out(name):
    meta, net = golden.recording(name).meta, registry.network(name, zoo="imagenet")
    source = {
        name: np.broadcast_to(np.float32(0), shape) for name, shape in meta["variables"].items()
    }
    assemble(net.spec.weight_map, source, net.abstract())
    with pytest.raises(InputError) as error:
        assemble(net.spec.weight_map, source, net.abstract(), ignored=())
    assert sorted(re.findall(r"(\S+) matches no row", str(error.value))) == sorted(
        meta["auxiliary"]
    )
    assert str(error.value).startswith(f"{len(meta['auxiliary'])} of ")


# --- what the families add to the layers -------------------------------------


def _mean_weights(size: int, window: int, stride: int, padding: str) -> np.ndarray:
    """(outputs, size): what each pixel of a line contributes to each window's mean."""
    outputs = -(-size // stride) if padding == "SAME" else (size - window) // stride + 1
    before = max((outputs - 1) * stride + window - size, 0) // 2 if padding == "SAME" else 0
    weights = np.zeros((outputs, size))
    for output in range(outputs):
        start = output * stride - before
        weights[output, max(start, 0) : start + window] = 1
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    "window, stride", [(2, 2), *(pytest.param(3, by, marks=pytest.mark.long) for by in (1, 2))]
)
def test_average_pool_leaves_the_padding_out(window, stride, padding):
    random = np.random.default_rng(0)
    for height, width in [(7, 8), (6, 5), (4, 3)]:
        x = random.standard_normal((2, height, width, 3))
        rows, columns = (_mean_weights(size, window, stride, padding) for size in (height, width))
        expected = np.einsum("ph,qw,nhwc->npqc", rows, columns, x)
        with strict(double=True):
            found, pull = jax.vjp(
                lambda x: average_pool(x, window, stride, padding=padding), jnp.asarray(x)
            )
            (gradient,) = pull(jnp.asarray(expected))
        np.testing.assert_allclose(found, expected, atol=1e-14)
        np.testing.assert_allclose(
            gradient, np.einsum("ph,qw,npqc->nhwc", rows, columns, expected), atol=1e-14
        )
        assert (
            average_pool(jnp.ones((1, height, width, 1)), window, stride, padding=padding).dtype
            == jnp.float32
        )


@pytest.mark.parametrize("size", [5, 6])
def test_factorized_reduction_shifts_its_second_path_by_a_pixel(size):
    module = FactorizedReduction(1, 2, rngs=nnx.Rngs(0))
    module.path_1.kernel[...] = jnp.ones((1, 1, 1, 1))
    module.path_2.kernel[...] = jnp.ones((1, 1, 1, 1))
    x = np.arange(1.0, size * size + 1, dtype=np.float32).reshape(1, size, size, 1)
    beyond = np.pad(x, ((0, 0), (0, 2), (0, 2), (0, 0)))
    half = (size + 1) // 2
    expected = np.concatenate(
        [x[:, ::2, ::2], beyond[:, 1 : 2 * half : 2, 1 : 2 * half : 2]], axis=3
    )
    np.testing.assert_allclose(module(jnp.asarray(x)), expected / np.sqrt(1 + 1e-3), rtol=1e-5)


def test_residual_block_adds_its_scaled_branches_before_the_relu():
    conv = (inception.Conv("0a", 4),)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3, 3, 2)), jnp.float32)
    blocks = {
        (scale, active): inception.ResidualModule(
            2, inception.Residual((conv, conv), scale=scale, active=active), rngs=nnx.Rngs(0)
        )
        for scale, active in [(0.0, False), (1.0, False), (0.1, False), (0.1, True)]
    }
    plain, whole, tenth, active = (block(x) for block in blocks.values())
    np.testing.assert_array_equal(plain, x)
    np.testing.assert_allclose(tenth - x, 0.1 * (whole - x), atol=1e-5)
    np.testing.assert_array_equal(active, jnp.maximum(tenth, 0))


# --- the small versions ------------------------------------------------------


def _kernels(name: str) -> list[tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(registry.network(name, zoo="digits").abstract())
    return [leaf.shape for path, leaf in leaves if path[-1].key == "kernel"]


@pytest.mark.parametrize(
    "names",
    [
        ("vgg_16", "vgg_19"),
        ("resnet_v2_50", "resnet_v2_101", "resnet_v2_152"),
        ("densenet121_k32", "densenet169_k32"),
        ("inception_v1", "inception_v2", "inception_v3", "inception_v4"),
    ],
)
def test_members_of_a_family_differ_in_depth_as_the_originals_do(names):
    depths = [len(_kernels(name)) for name in names]
    assert depths == sorted(set(depths))


def test_the_wide_densenet_is_the_widest():
    names = ("densenet121_k32", "densenet169_k32", "densenet161_k48")
    growth = {
        name: min(shape[3] for shape in _kernels(name) if shape[:2] == (3, 3)) for name in names
    }
    assert growth["densenet161_k48"] > growth["densenet169_k32"] == growth["densenet121_k32"]
