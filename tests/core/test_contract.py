"""A network that breaks the contract is refused before any work.

One line has the reason and the remedy.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models import SIZE, inner_images, linear_apply, random_linear

import jaxadv
from jaxadv.core import contract
from jaxadv.core.ensembles import ensemble

LANES, CLASSES = 8, 5
IMAGES = inner_images(1, 3)
LABELS = np.array([0, 1, 2])


def network(change, name="mine", **options) -> jaxadv.Classifier:
    """A linear network, whose logits (N, 5) ``change`` is applied to."""
    return random_linear(
        2,
        CLASSES,
        scale=0.3,
        name=name,
        apply=lambda params, x: change(linear_apply(params, x)),
        **options,
    )


def refused(*parts: str):
    """An InputError of one line with all ``parts`` in this order."""
    return pytest.raises(
        jaxadv.InputError,
        match="^" + ".*".join(re.escape(part) for part in ("", *parts, "")) + r"\Z",
    )


def softmax_in_bfloat16(logits):
    return jax.nn.softmax(logits.astype(jnp.bfloat16)).astype(jnp.float32)


def other_draws(logits):
    """Noise of another seed each time, which a pure function cannot have."""
    shape = jax.ShapeDtypeStruct(logits.shape, jnp.float32)
    draw = functools.partial(np.random.default_rng().normal, size=logits.shape)
    return logits + jax.pure_callback(lambda _: draw().astype(np.float32), shape, logits)


def every_third(logits):
    """A function that counts its calls."""
    shape, calls = jax.ShapeDtypeStruct((), jnp.float32), iter(range(10**6))
    count = jax.pure_callback(lambda _: np.float32(next(calls) % 3), shape, logits)
    return logits + count


ALONE = "logits must not depend on other images"
WRONG = {
    "softmax": (
        jax.nn.softmax,
        ["gives probabilities", "sums to 1", "leave the softmax out", "log_softmax"],
    ),
    "softmax, clipped": (
        lambda z: jnp.clip(jax.nn.softmax(z), 1e-7, 1 - 1e-7),
        ["gives probabilities"],
    ),
    "softmax, saturated": (lambda z: jax.nn.softmax(1000 * z), ["gives probabilities"]),
    "softmax in bfloat16": (softmax_in_bfloat16, ["gives probabilities"]),
    "per cent": (
        lambda z: 100 * jax.nn.softmax(z),
        ["gives probabilities", "between 0 and 100", "sums to 100"],
    ),
    "of 255": (lambda z: 255 * jax.nn.softmax(z), ["gives probabilities", "sums to 255"]),
    "of the number of classes": (lambda z: 5 * jax.nn.softmax(z), ["gives probabilities"]),
    "a tenth, cold": (
        lambda z: 0.1 * jax.nn.softmax(30 * z),
        ["gives probabilities", "sums to 0.1"],
    ),
    "shares": (lambda z: z**2 / (z**2).sum(1, keepdims=True), ["gives probabilities"]),
    "centred on the batch": (lambda z: z - z.mean(0), ["other logits beside other images", ALONE]),
    "largest of the batch": (
        lambda z: z / jnp.abs(z).max(),
        ["other logits beside other images", ALONE],
    ),
    "normalised by the batch": (
        lambda z: z / z.std(0),
        ["other logits beside other images", ALONE],
    ),
    "attention over the batch": (
        lambda z: jax.nn.softmax(z @ z.T) @ z,
        ["other logits beside other images", ALONE],
    ),
    "neighbour": (
        lambda z: z + 0.01 * jnp.roll(z, 1, 0),
        ["other logits beside other images", ALONE],
    ),
    "noise of the batch's shape": (
        lambda z: z + 0.1 * jax.random.normal(jax.random.key(0), z.shape),
        ["other logits at another position in the batch", "treat all positions alike"],
    ),
    "position": (
        lambda z: z + 0.1 * jnp.arange(len(z))[:, None],
        ["other logits at another position in the batch"],
    ),
    "noise": (other_draws, ["is random", "differ by", "switch dropout and noise off"]),
    "NaN": (lambda z: z * jnp.nan, ["gives NaN for 8 of 8 pictures", "finite logits"]),
    "logarithm": (lambda z: jnp.log(z), ["gives NaN for"]),
    "infinite": (lambda z: jnp.exp(z * 1e4), ["gives infinite logits for"]),
    "masked": (
        lambda z: z.at[:, 1:3].set(-jnp.inf),
        ["-inf for class 1, 2", "num_classes", "-1e4"],
    ),
    "logarithm of softmax": (
        lambda z: jnp.log(jax.nn.softmax(1000 * z)),
        ["-inf for class", "jax.nn.log_softmax"],
    ),
    "smoothed": (lambda z: 0.9 * jax.nn.softmax(z) + 0.1 / 5, ["gives probabilities"]),
    "votes": (lambda z: jax.nn.one_hot(z.argmax(1), 5), ["gives probabilities"]),
    "probabilities of large batches alone": (
        lambda z: z if len(z) < 4 else jax.nn.softmax(z),
        ["gives probabilities"],
    ),
    "ranks in the batch": (
        lambda z: jnp.sort(z, axis=0),
        ["other logits"],
    ),
    "padded with the first": (
        lambda z: jnp.where(jnp.arange(len(z))[:, None] < 4, z, z[0]),
        ["other logits"],
    ),
    "each third call": (every_third, ["is random"]),
    "one row": (
        lambda z: z.mean(0, keepdims=True),
        ["gives 1 rows for 8 images", "a row of 5 for each"],
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_a_network_must_not_do(kind):
    change, parts = WRONG[kind]
    clf = network(change)
    for attempt in (
        lambda: jaxadv.run_attack(clf, jaxadv.FGSM(0.1), IMAGES, LABELS, lanes=LANES),
        lambda: jaxadv.clever_scores(clf, IMAGES, LABELS, batches=2, samples=1, lanes=LANES),
        lambda: jaxadv.transfer_rates(
            IMAGES, IMAGES, LABELS, None, np.ones(3, bool), clf, lanes=LANES
        ),
    ):
        with refused("mine", *parts):
            attempt()


RIGHT = {
    "logits": lambda z: z,
    "log-probabilities": jax.nn.log_softmax,
    "large": lambda z: 1e6 * z,
    "small": lambda z: 1e-6 * z,
    "with an offset": lambda z: z + 1e4,
    "not negative": lambda z: jax.nn.relu(z) + 0.1,
    "low for some classes": lambda z: z.at[:, 0].set(-1e4),
    "sum of 0": lambda z: z - z.mean(1, keepdims=True),
    "sum of 0 with a large offset": lambda z: z - z.mean(1, keepdims=True) - 3.0,
    "one class moves": lambda z: jnp.full((len(z), 5), 2.0).at[:, 0].set(jnp.abs(z[:, 0])),
    "cosines": lambda z: z / jnp.linalg.norm(z, axis=1, keepdims=True),
    "constant": lambda z: 0 * z + jnp.arange(5.0),
    "fixed noise": lambda z: z + jax.random.normal(jax.random.key(0), (5,)),
}


@pytest.mark.parametrize("kind", RIGHT)
@pytest.mark.parametrize("lanes", [1, 2, 3, LANES])
def test_what_a_network_may_do(kind, lanes, capsys):
    clf = network(RIGHT[kind])
    contract.check(clf, lanes)
    assert clf.contract.batches == {lanes} and capsys.readouterr().err == ""


def test_a_background_column_does_not_hide_probabilities():
    weights = random_linear(2, CLASSES, scale=0.3).params
    for change, is_right in ((jax.nn.softmax, False), (lambda z: z, True)):
        options = {
            "input_size": SIZE,
            "num_classes": CLASSES - 1,
            "label_offset": 1,
            "name": "mine",
        }
        clf = jaxadv.Classifier(
            lambda p, x, change=change: change(linear_apply(p, x)), weights, **options
        )
        if is_right:
            contract.check(clf, LANES)
        else:
            with refused("mine gives probabilities"):
                contract.check(clf, LANES)


class Output(dict):
    logits = None


STRUCTURES = [
    (lambda z: (z, z), ["a tuple of 2 arrays", "output[0]"]),
    (lambda z: [z], ["a list of 1 array"]),
    (
        lambda z: {"logits": z, "features": z},
        ["a dict of 'features', 'logits'", "output['logits']"],
    ),
    (lambda z: {"head": z}, ["a dict of 'head'", "return them"]),
    (lambda z: None, ["nothing"]),
    (lambda z: z.astype(jnp.bfloat16), ["bfloat16", "compute in float32 from the first layer"]),
    (lambda z: z.astype(jnp.float16), ["float16", "compute in float32 from the first layer"]),
    (
        lambda z: jnp.argmax(z, 1, keepdims=True) + jnp.zeros((1, 5), int),
        ["int32", "not the class"],
    ),
    (lambda z: z > 0, ["bool", "not the class"]),
    (lambda z: z.astype(jnp.complex64), ["complex64"]),
    (lambda z: z.astype(jnp.float8_e4m3fn), ["float8_e4m3fn"]),
    (lambda z: z.astype(jnp.uint8), ["uint8", "not the class"]),
    (lambda z: z[:, :, None], ["(1, 5, 1)", "(1, 5)"]),
    (lambda z: z[:, :4], ["(1, 4)", "(1, 5)"]),
    (lambda z: z[0], ["(5,)", "(1, 5)"]),
    (lambda z: z.T, ["(5, 1)", "(1, 5)"]),
    (
        lambda z: z.reshape(4, -1),
        ["fails for images of shape (1, 8, 8, 3)", "TypeError", "do not fix a batch size"],
    ),
    (lambda z: z @ jnp.ones((3, 3)), ["fails for images of shape (1, 8, 8, 3)"]),
    (lambda z: z if z.max() > 0 else -z, ["cannot be traced by JAX", "jax.numpy"]),
    (lambda z: np.asarray(z), ["cannot be traced by JAX", "jax.numpy"]),
]


@pytest.mark.parametrize(("change", "parts"), STRUCTURES)
def test_what_is_no_array_of_logits_is_refused_when_the_classifier_is_made(change, parts):
    with refused("mine", *parts):
        network(change)


def test_float64_is_refused():
    with jax.enable_x64(True), refused("mine gives float64", ".astype(jnp.float32)"):
        network(lambda z: z.astype(jnp.float64))


def test_a_function_of_one_batch_size_is_refused_at_another():
    clf = network(lambda z: (z.reshape(-1) @ jnp.eye(5))[None])  # of one image
    contract.check(clf, 1)
    with refused(
        "mine fails for images of shape (8, 8, 8, 3)",
        "any number of images: do not fix a batch size",
    ):
        jaxadv.run_attack(clf, jaxadv.FGSM(0.1), IMAGES, LABELS, lanes=LANES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (jax.nn.sigmoid, "between 0 and 1"),
        (lambda z: z.astype(jnp.bfloat16).astype(jnp.float32), "bfloat16 numbers"),
    ],
)
def test_what_may_be_meant_is_a_warning(capsys, change, words):
    contract.check(network(change), LANES)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mine: all ") and words in line


def test_nothing_is_compiled_for_it_and_it_is_asked_once():
    traced, batches = [], []

    def apply(params, images):
        traced.append(images.shape)
        jax.debug.callback(lambda: batches.append(1))
        return linear_apply(params, images)

    clf = random_linear(2, CLASSES, apply=apply, scale=0.3)
    for _ in range(2):
        jaxadv.run_attack(clf, jaxadv.FGSM(0.1), IMAGES, LABELS, lanes=LANES)
    jax.effects_barrier()
    # Made; logits, and logits with gradient, which share a trace on a CPU.
    assert traced == [(1, SIZE, SIZE, 3), (LANES, SIZE, SIZE, 3)]
    assert (
        len(batches) == 3 + 2 * 2
    )  # three of the contract, once; a gradient and a judgement for each attack


def test_copies_of_a_classifier_are_not_asked_again_and_the_zoo_never():
    clf = network(lambda z: z)
    contract.check(clf.at_rest(), LANES)
    assert clf.contract.batches == {LANES} == clf.awake().contract.batches
    embedded = jaxadv.load_classifier("mobilenet_v1_025")
    assert (
        embedded.contract.is_exempt
        and ensemble([embedded, embedded], name="both").contract.is_exempt
    )
    known = {
        "num_classes": 10,
        "input_size": embedded.input_size,
        "name": "other",
        "label_offset": embedded.label_offset,
    }
    other = jaxadv.Classifier(embedded.oracle.apply, embedded.params, **known | {"label_offset": 0})
    assert (
        not other.contract.is_exempt
        and not ensemble([embedded, other], name="mixed").contract.is_exempt
    )


def test_made_up_pictures_are_pictures_of_several_kinds():
    made = contract.pictures(64, SIZE)
    assert made.dtype == np.float32 and made.min() >= 0 and made.max() <= 1
    assert np.ptp(made.mean((1, 2, 3))) > 0.2 and np.ptp(made.std((1, 2, 3))) > 0.05
    assert (
        made.std((1, 2, 3)) > 0.01
    ).all()  # none is plain: networks that normalise a picture would divide by 0
