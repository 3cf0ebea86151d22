"""The CPU layers equal the stock operations: value, input gradient and weight gradient, in both
precisions.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from model_ports import layers, plain_convolution

# Kernels 1..11, strides 1..4, both paddings, odd and even sizes: every kernel meets both paddings,
# every stride both parities. The large kernels come with images they do not fit into, where SAME
# pads more than it sees.
GEOMETRIES = [
    (1, 1, "SAME", 6),
    (1, 2, "VALID", 7),
    (1, 3, "SAME", 8),
    (2, 2, "VALID", 6),
    (2, 1, "SAME", 5),
    (2, 3, "VALID", 9),
    (3, 1, "SAME", 7),
    (3, 2, "SAME", 8),
    (3, 2, "SAME", 7),
    (3, 2, "VALID", 8),
    (3, 3, "SAME", 10),
    (3, 4, "VALID", 12),
    (4, 3, "SAME", 8),
    (4, 4, "VALID", 11),
    (5, 1, "VALID", 9),
    (5, 2, "SAME", 9),
    (5, 4, "SAME", 3),
    (6, 1, "SAME", 7),
    (6, 3, "VALID", 13),
    (7, 2, "SAME", 10),
    (7, 4, "VALID", 15),
    (8, 1, "VALID", 8),
    (8, 4, "SAME", 9),
    (9, 2, "VALID", 11),
    (9, 3, "SAME", 10),
    (10, 1, "SAME", 4),
    (10, 4, "VALID", 13),
    (11, 3, "SAME", 8),
    (11, 4, "VALID", 19),
]
# More padding than a kernel sees, on one side or on both, and none where an image ends in between.
PADDED = [
    (1, 2, ((0, 3), (2, 0)), 5),
    (3, 1, ((4, 0), (0, 5)), 4),
    (3, 2, ((3, 0), (0, 2)), 8),
    (3, 3, ((1, 6), (7, 1)), 6),
    (2, 4, ((0, 0), (5, 3)), 7),
]
QUICK = {"xla_backend_optimization_level": 0}
"""Two thirds of the time to compile; what is compared is the arithmetic, not a processor's vectors.
"""


def cases(geometries, few: int = 3):
    """Parameters of a test: the quick suite has one of a few, the slow one all others."""
    return [
        pytest.param(
            *geometry,
            id="k{}s{}{}n{}".format(*geometry[:2], _named(geometry[2]), geometry[3]),
            marks=pytest.mark.slow if number % few else (),
        )
        for number, geometry in enumerate(geometries)
    ]


def _named(padding) -> str:
    return padding if isinstance(padding, str) else "".join(map(str, sum(padding, ())))


EVERY_GEOMETRY = pytest.mark.parametrize("kernel, stride, padding, size", cases(GEOMETRIES))


@pytest.fixture(autouse=True)
def strict():
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.default_matmul_precision("highest"),
    ):
        yield


def _draw(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def _agree(ours, stock, *arrays: np.ndarray, double: bool):
    """Value and the gradients with respect to all arrays, for a random direction of the output."""

    def everything(function):
        def run(direction_seed, *arrays):
            value, pull = jax.vjp(function, *arrays)
            direction = jnp.asarray(_draw(direction_seed, value.shape), value.dtype)
            return value, pull(direction)

        return jax.jit(run, static_argnums=0, compiler_options=QUICK)

    dtype, tolerance = (np.float64, 1e-12) if double else (np.float32, 2e-5)
    with jax.enable_x64(double):
        arrays = [jnp.asarray(a, dtype) for a in arrays]
        found = jax.tree.leaves(everything(ours)(99, *arrays))
        expected = jax.tree.leaves(everything(stock)(99, *arrays))
    assert len(found) == len(arrays) + 1
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype and a.shape == b.shape
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(b).max()))
        )


def _convolutions(stride: int, padding, groups: int):
    ours = partial(
        layers.conv_general_dilated,
        window_strides=(stride, stride),
        padding=padding,
        feature_group_count=groups,
    )
    stock = partial(
        lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding=padding,
        feature_group_count=groups,
        dimension_numbers=layers.NHWC,
    )
    return ours, stock


@pytest.mark.few(
    "k3s2VALIDn8",
    "k5s2SAMEn9",
    "k8s1VALIDn8",
    "k1s1SAMEn6",
    slow=("k4s3SAMEn8", "k6s3VALIDn13", "k3s1SAMEn7", "k11s3SAMEn8"),
)
@EVERY_GEOMETRY
def test_depthwise_convolution(kernel, stride, padding, size):
    x, weights = _draw(0, (2, size, size + 1, 3)), _draw(1, (kernel, kernel, 1, 3))
    _agree(*_convolutions(stride, padding, 3), x, weights, double=kernel % 2 == 1)


@EVERY_GEOMETRY
def test_ordinary_convolution(kernel, stride, padding, size):
    x, weights = _draw(0, (2, size, size + 1, 3)), _draw(1, (kernel, kernel, 3, 4))
    _agree(*_convolutions(stride, padding, 1), x, weights, double=kernel % 2 == 0)


@pytest.mark.parametrize(
    "kernel, stride, padding, size",
    cases([geometry for geometry in GEOMETRIES if geometry[1] <= 2]),
)
@pytest.mark.parametrize("inputs, outputs", [(6, 2), (2, 12)], ids=["forward", "backward"])
def test_convolution_of_few_outputs(kernel, stride, padding, size, inputs, outputs):
    """In the backward pass, the remainders modulo a stride of 2 are outputs too. There are 8."""
    x, weights = _draw(0, (2, size, size + 1, inputs)), _draw(1, (kernel, kernel, inputs, outputs))
    _agree(*_convolutions(stride, padding, 1), x, weights, double=kernel % 2 == 0)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_that_is_a_dense_layer(stride):
    x, weights = _draw(0, (2, 4, 5, 3)), _draw(1, (4, 5, 3, 6))
    _agree(*_convolutions(stride, "VALID", 1), x, weights, double=stride == 2)


@pytest.mark.parametrize("kernel, stride, padding, size", cases(GEOMETRIES[::4]))
def test_grouped_convolution(kernel, stride, padding, size):
    x, weights = _draw(0, (2, size, size, 4)), _draw(1, (kernel, kernel, 2, 6))
    _agree(*_convolutions(stride, padding, 2), x, weights, double=True)


@pytest.mark.parametrize("double", [False, True])
def test_depthwise_convolution_with_a_multiplier_and_uneven_windows(double):
    x, weights = _draw(0, (2, 9, 8, 3)), _draw(1, (7, 3, 1, 24))
    _agree(*_convolutions(2, "SAME", 3), x, weights, double=double)


WAYS = [plain_convolution._by_taps, plain_convolution._by_phases, plain_convolution._in_one]


@pytest.mark.parametrize("kernel, stride, padding, size", cases([*GEOMETRIES, *PADDED], 8))
def test_every_way_of_the_gradient_of_a_convolution(kernel, stride, padding, size):
    """Which one is taken depends on the sizes. All of them are right for every size."""
    strides = (stride, max(1, stride - 1))
    shape, weights = (2, size, size + 1, 3), _draw(1, (kernel, kernel, 3, 4))
    with jax.enable_x64(True):
        x = jax.ShapeDtypeStruct(shape, np.float64)
        if isinstance(padding, str):
            padding = lax.padtype_to_pads(shape[1:3], (kernel, kernel), strides, padding)
        pads = tuple(map(tuple, padding))
        stock = partial(
            lax.conv_general_dilated,
            rhs=jnp.asarray(weights),
            window_strides=strides,
            padding=pads,
            dimension_numbers=layers.NHWC,
        )
        direction = jnp.asarray(_draw(99, jax.eval_shape(stock, x).shape))
        (expected,) = jax.linear_transpose(stock, x)(direction)
        for way in WAYS:
            found = jax.jit(partial(way, shape=shape, strides=strides, pads=pads, precision=None))(
                weights, direction
            )
            np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=way.__name__)


def test_explicit_padding():
    x, weights = _draw(0, (2, 8, 8, 3)), _draw(1, (3, 3, 3, 5))
    _agree(*_convolutions(2, ((1, 1), (1, 1)), 1), x, weights, double=True)
    _agree(*_convolutions(2, ((3, 0), (0, 2)), 3), x, _draw(1, (3, 3, 1, 3)), double=True)


def _stock_pool(pool, kernel: int, stride: int, padding: str):
    return partial(pool, window_shape=(kernel, kernel), strides=(stride, stride), padding=padding)


@pytest.mark.few(
    "ties-k11s3SAMEn8",
    "distinct-k3s2VALIDn8",
    "ties-k5s2SAMEn9",
    "distinct-k1s1SAMEn6",
    slow=(
        "ties-k3s2VALIDn8",
        "distinct-k11s3SAMEn8",
        "ties-k2s2VALIDn6",
        "distinct-k4s3SAMEn8",
        "distinct-k6s3VALIDn13",
        "ties-k3s1SAMEn7",
        "ties-k8s1VALIDn8",
    ),
)
@EVERY_GEOMETRY
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_max_pool(kernel, stride, padding, size, ties):
    """With ties the gradient goes where the stock operation sends it: to the first maximum."""
    x = _draw(0, (2, size, size + 1, 3))
    if ties:
        x = np.maximum(np.round(x), 0)
    ours = partial(layers.max_pool, window=kernel, stride=stride, padding=padding)
    _agree(ours, _stock_pool(nnx.max_pool, kernel, stride, padding), x, double=ties)


@pytest.mark.parametrize("kernel, stride, padding, size", cases(GEOMETRIES[::2]))
def test_average_pool(kernel, stride, padding, size):
    ours = partial(layers.average_pool, window=kernel, stride=stride, padding=padding)
    stock = partial(_stock_pool(nnx.avg_pool, kernel, stride, padding), count_include_pad=False)
    _agree(ours, stock, _draw(0, (2, size, size + 1, 3)), double=kernel % 2 == 0)


def test_first_maximum_takes_the_gradient():
    gradient = jax.grad(lambda x: jnp.sum(layers.max_pool(x, 2, 2)))(jnp.ones((1, 4, 4, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], np.kron(np.ones((2, 2)), [[1, 0], [0, 0]]))


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_local_response_normalization_is_its_formula(channels):
    x, alpha = _draw(0, (2, 3, 3, channels)) * 200, 2e-5

    def formula(x):
        near = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels))) <= 2
        total = jnp.einsum("nhwc,cd->nhwd", x * x, jnp.asarray(near, x.dtype))
        return x / (1 + alpha * total) ** 0.75

    ours = partial(layers.local_response_normalization, radius=2, alpha=alpha)
    for double in (False, True):
        _agree(ours, formula, x, double=double)


@pytest.mark.parametrize(("platform", "own"), [("tpu", 0), ("gpu", 1)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_other_platforms_use_the_stock_operations(groups, platform, own, monkeypatch):
    """On other devices the module uses JAX's convolution and pools, except for the maximum on a
    GPU.
    """
    module = layers.convolution(4, 8, 3, stride=2, groups=groups, rngs=nnx.Rngs(0))
    x = jnp.asarray(_draw(0, (1, 7, 7, 4)), jnp.float32)
    run = lambda x: layers.max_pool(layers.average_pool(module(x), 2, 1), 2, 2)  # noqa: E731
    here = run(x)
    monkeypatch.setattr(layers, "_platform", lambda: platform)
    jaxpr = str(jax.make_jaxpr(run)(x))
    assert (
        jaxpr.count("custom_vjp_call[") == own
        and ("custom_vjp" in jaxpr) == bool(own)
        and jaxpr.count("conv_general_dilated[") == 1
    )
    np.testing.assert_allclose(run(x), here, rtol=1e-5, atol=1e-5)


def test_initial_kernels_follow_their_key_and_fan_in():
    one, same, other = (
        layers.convolution(64, 128, 3, rngs=nnx.Rngs(seed)).kernel[...] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert float(jnp.std(one)) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    small = layers.linear(64, 128, gain=0.5, rngs=nnx.Rngs(1)).kernel[...]
    assert float(jnp.std(small)) == pytest.approx(0.5 * np.sqrt(2 / 64), rel=0.05)


def test_geometries_cover_what_they_claim():
    kernels, strides, paddings, sizes = (set(column) for column in zip(*GEOMETRIES, strict=True))
    assert (
        kernels == set(range(1, 12)) and strides == {1, 2, 3, 4} and paddings == {"SAME", "VALID"}
    )
    met = {(kernel, padding) for kernel, _, padding, _ in GEOMETRIES}
    assert met == set(itertools.product(kernels, paddings))
    parities = {(stride, size % 2) for _, stride, _, size in GEOMETRIES}
    assert parities == set(itertools.product(strides, (0, 1)))
