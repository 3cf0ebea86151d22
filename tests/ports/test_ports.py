"""The ports give the numbers of the original implementations, and the registry hands them out as
pure functions.
"""

import contextlib
import dataclasses
import re
import time
from functools import partial

import golden_weights as golden
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxadv.core.oracle import compiler_options
from model_ports import registry
from model_ports.errors import InputError
from model_ports.weight_map import assemble, flatten

RECORDINGS = {
    entry.name: (entry.name, entry.input_size) for entry in registry.MODELS
} | {  # recording: (model, input size)
    "mobilenet_v1_025_128": ("mobilenet_v1_025", 128),
    "mobilenet_v1_050_160": ("mobilenet_v1_050", 160),
}
NAMES = [entry.name for entry in registry.MODELS]
BRIEF = ("mobilenet_v1_025_128",)
"""Recordings of the quick suite; the others are slow."""
LONG = (
    "resnet_v2_101",
    "resnet_v2_152",
    "densenet169",
    "densenet161",
    "inception_v4",
    "inception_resnet_v2",
    "vgg_19",
    "mobilenet_v1_050",
    "inception_v2",
    "inception_v3",
    "nasnet",
)
"""Networks that another one of their family stands for, and NASNet, which takes two minutes."""
LEARN = ("alexnet", "mobilenet_v1_025")
"""Small networks that CI trains. The others take a minute each."""
BRIEF_NAMES = ("mobilenet_v1_025",)


def slow_but(brief: tuple[str, ...], names) -> list:
    """The names as parameters.

    All but a few are slow. Those of `LONG` take minutes.
    """

    def marks(name: str) -> tuple:
        if name in brief:
            return ()
        deep = any(name.startswith(one) for one in LONG)
        return (pytest.mark.long if deep else pytest.mark.slow,)

    return [pytest.param(name, marks=marks(name)) for name in names]


QUICK = compiler_options() | {"xla_backend_optimization_level": 0}
"""Half the time to compile, for tests that a processor's vectors and fused loops are nothing to."""


@contextlib.contextmanager
def strict(*, double: bool = False):
    with (
        jax.enable_x64(double),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.default_matmul_precision("highest"),
    ):
        yield


def distance(found, expected) -> float:
    """Relative L2 distance."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="module", params=slow_but(BRIEF, RECORDINGS))
def case(request):
    """(recording, network, params assembled from the original names, x of each kind in [-0.5,
    0.5]).
    """
    record = golden.recording(request.param)
    name, size = RECORDINGS[request.param]
    net = registry.network(name, zoo="imagenet", input_size=size)
    images = {kind: golden.images(kind, size) for kind in ("uniform", "smooth")}
    assert {kind: golden.digest(x) for kind, x in images.items()} == record.meta["input_sha256"]
    return (
        record,
        net,
        assemble(net.spec.weight_map, golden.weights(record.meta), net.abstract()),
        images,
    )


def evaluated(net, params, images, *, double: bool) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and the gradient of logit 7 minus logit 3, of the first image of each kind: nothing
    mixes the images of a batch.
    """
    dtype = jnp.float64 if double else jnp.float32

    def objective(images, params):
        logits = net.apply(params, images)
        return jnp.sum(logits[:, 7] - logits[:, 3]), logits

    with strict(double=double):
        params = jax.tree.map(lambda a: jnp.asarray(a, dtype), params)
        pixels = jnp.concatenate(
            [jnp.asarray(images[kind][:1], dtype) + 0.5 for kind in ("uniform", "smooth")]
        )
        program = jax.jit(
            jax.grad(objective, has_aux=True), compiler_options={} if double else QUICK
        )  # some loops of doubles need it
        gradient, logits = program(pixels, params)
        assert logits.dtype == gradient.dtype == dtype
    return np.asarray(logits), np.asarray(gradient)


def hold(case, *, double: bool, logits: float, gradient: float) -> None:
    record, net, params, images = case
    found, slopes = evaluated(net, params, images, double=double)
    for number, kind in enumerate(("uniform", "smooth")):
        assert distance(found[number], record.logits[kind][0]) < logits, kind
        assert (
            distance(slopes[number].reshape(-1)[record.sample_index], record.gradient[kind][0])
            < gradient
        ), kind


def test_double_precision_logits_and_gradients_are_the_originals(case):
    # The same double-precision arithmetic in another order: 1e-8 leaves room for nothing but
    # rounding.
    hold(case, double=True, logits=1e-8, gradient=1e-8)


@pytest.mark.long  # double precision proves the port, and is compiled anyway
def test_single_precision_is_within_rounding(case):
    # The original's own float32 error is about 1e-6 in the logits, and 1e-5 for MobileNets; one
    # ReLU or maximum that rounding flips moves the whole gradient, by up to 7e-3 in the original,
    # and by up to 5.5e-2 in its MobileNets (which unit flips is chance).
    mobile = case[1].spec.family == "MobileNet"
    hold(case, double=False, logits=5e-5 if mobile else 5e-6, gradient=0.1 if mobile else 5e-2)


def test_parameter_counts_are_the_originals(case):
    record, net, _, _ = case
    sizes = jax.tree.map(lambda a: int(np.prod(a.shape)), net.abstract())
    trainable = jax.tree.map(lambda size, yes: size if yes else 0, sizes, net.trainable())
    assert sum(jax.tree.leaves(sizes)) == record.meta["totals"]["all"]
    assert sum(jax.tree.leaves(trainable)) == record.meta["totals"]["trainable"]


# --- the weight map ----------------------------------------------------------


def _source() -> tuple[registry.Network, dict]:
    net = registry.network("mobilenet_v1_025", zoo="imagenet")
    shapes = golden.recording("mobilenet_v1_025").meta["variables"]
    return net, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def test_assemble_ignores_only_what_it_is_told_to():
    net, source = _source()
    params = assemble(net.spec.weight_map, source | {"global_step": np.zeros(())}, net.abstract())
    assert {path: a.shape for path, a in flatten(params).items()} == {
        path: a.shape for path, a in flatten(net.abstract()).items()
    }
    with pytest.raises(InputError, match="global_step matches no row"):
        assemble(
            net.spec.weight_map, source | {"global_step": np.zeros(())}, net.abstract(), ignored=()
        )


def test_assemble_lists_every_problem_in_one_line():
    net, source = _source()
    stem = "MobilenetV1/Conv2d_0"
    source["stranger"] = np.zeros(3)
    source[f"{stem}/BatchNorm/beta"] = np.zeros(9)
    source["MobilenetV1/Conv2d_1_depthwise/depthwise_weights"] = np.zeros((3, 3, 8))
    source["MobilenetV1/Conv2d_77_pointwise/weights"] = np.zeros((1, 1, 8, 8))
    del source[f"{stem}/BatchNorm/gamma"]
    twice = (*net.spec.weight_map, (f"{stem}/weights", "layers/conv_0/convolution/kernel", None))
    with pytest.raises(InputError) as error:
        assemble(twice, source, net.abstract())
    message = str(error.value)
    assert "\n" not in message
    for problem in (
        "stranger matches no row",
        f"{stem}/BatchNorm/beta has shape (9,), layers/conv_0/norm/bias needs (8,)",
        "MobilenetV1/Conv2d_1_depthwise/depthwise_weights has shape (3, 3, 8) as stored",
        "MobilenetV1/Conv2d_77_pointwise/weights has no place",
        f"{stem}/weights matches {stem}/weights and {stem}/weights",
        "layers/conv_0/norm/scale is filled by nothing",
    ):
        assert problem in message, problem


def test_assemble_refuses_two_sources_of_one_array():
    rows = (("[ab]", "kernel", None),)
    with pytest.raises(InputError, match="kernel is filled by a and b"):
        assemble(
            rows,
            {"a": np.zeros(2), "b": np.zeros(2)},
            {"kernel": jax.ShapeDtypeStruct((2,), np.float32)},
        )


# --- the registry ------------------------------------------------------------


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(
        InputError, match=re.escape("unknown model 'vgg61'; did you mean 'vgg_16'? known: alexnet")
    ):
        registry.spec("vgg61")
    with pytest.raises(InputError, match="unknown zoo 'digit'; did you mean 'digits'"):
        registry.network("alexnet", zoo="digit")


def test_another_input_size_is_refused_where_parameters_depend_on_it():
    with pytest.raises(InputError, match="input size 128 for vgg_16"):
        registry.network("vgg_16", zoo="imagenet", input_size=128)
    small, large = (
        registry.network("mobilenet_v1_100", zoo="digits", input_size=size) for size in (24, 30)
    )
    assert small.abstract() == large.abstract()


def test_apply_is_one_function_object():
    net = registry.network("alexnet", zoo="digits")
    assert net.apply is net.apply and net.train_apply is net.train_apply


def test_abstract_allocates_nothing_large_and_is_quick():
    before = time.monotonic()
    net = registry.network("vgg_16", zoo="imagenet")
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(net.abstract()))
    assert time.monotonic() - before < 2.0  # 138 million parameters would take longer to draw


@pytest.mark.parametrize("name", slow_but(BRIEF_NAMES, NAMES))
def test_small_network_is_small_and_a_pure_function(name):
    net = registry.network(name, zoo="digits")
    params = net.init(jax.random.key(0))
    assert jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params) == net.abstract()
    assert sum(a.size for a in jax.tree.leaves(params)) <= 100_000
    assert net.num_classes == 10 and net.num_outputs == 10 + net.label_offset
    images = jax.random.uniform(jax.random.key(1), (3, net.input_size, net.input_size, 3))
    with strict():
        apply = jax.jit(net.apply, compiler_options=QUICK)
        logits = apply(params, images)
        assert logits.shape == (3, net.num_outputs)
        assert bool(jnp.all(jnp.isfinite(logits))) and float(jnp.std(logits)) > 0
        # Nothing mixes the images of a batch at evaluation; rounding differs with the batch's
        # shape.
        np.testing.assert_allclose(apply(params, images[:1]), logits[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in LEARN else pytest.mark.long) for name in NAMES]
)
def test_small_network_learns(name):
    """A few steps on a task of two brightnesses lower the loss, and batch statistics reach the
    moving ones.

    Of sign descent, which is Adam without its memory and compiles sooner.
    """
    net = registry.network(name, zoo="digits")
    params = net.init(jax.random.key(0))
    labels = jnp.arange(16) % 2 + net.label_offset
    noise = 0.1 * jax.random.uniform(jax.random.key(1), (16, net.input_size, net.input_size, 3))
    images = noise + 0.8 * (jnp.arange(16) % 2).astype(jnp.float32).reshape(-1, 1, 1, 1)
    optimizer = optax.sign_sgd(3e-3)

    def loss(params):
        logits, updated = net.train_apply(params, images)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels)), updated

    @partial(jax.jit, compiler_options=QUICK)
    def step(params, state):
        (value, updated), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(gradient, state)
        moved = optax.apply_updates(params, updates)
        mask = net.trainable()
        return (
            jax.tree.map(lambda yes, new, stats: new if yes else stats, mask, moved, updated),
            state,
            value,
        )

    state, values, start = optimizer.init(params), [], params
    for _ in range(20):
        params, state, value = step(params, state)
        values.append(float(value))
    assert values[-1] < 0.5 * values[0]
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), start, params)
    still = [path for path, yes in flatten(moved).items() if not yes]
    assert not still, still


def test_entries_are_complete_and_distinct():
    assert len({entry.name for entry in registry.MODELS}) == len(registry.MODELS)
    for entry in registry.MODELS:
        assert entry.label_offset in (0, 1) and entry.input_size > entry.digits_input_size
        assert dataclasses.is_dataclass(entry.config) and type(entry.config) is type(
            entry.digits_config
        )
        assert entry.config != entry.digits_config


def test_listed_facts_are_the_networks_own():
    """`facts` is read without JAX: its counts and sizes are those of the networks."""
    for name in BRIEF_NAMES:
        for zoo in registry.ZOOS:
            net = registry.network(name, zoo=zoo)
            size = net.spec.input_size if zoo == "imagenet" else net.spec.digits_input_size
            assert net.input_size == size
    counts = {name: golden.recording(name).meta["totals"]["all"] for name in NAMES}
    assert {entry.name: entry.parameters for entry in registry.MODELS} == counts
