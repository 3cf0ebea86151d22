"""Bad input to the Python surface ends in one line that names the value and what to do about it."""

import pickle
import re

import numpy as np
import pytest
from models import SIZE, inner_images, linear_apply, random_linear

import jaxadv
from jaxadv.core import targets
from jaxadv.support import checks
from model_ports.errors import said

pytestmark = pytest.mark.usefixtures("strict_numerics")

CLASSES = 4
IMAGES = inner_images(0, 3)
LABELS = np.array([0, 1, 2])
OTHERS = np.array([1, 2, 3])
NAN = IMAGES.copy()
NAN[1, 2, 3, 0] = np.nan


@pytest.fixture(scope="module")
def clf():
    return random_linear(0, CLASSES)


def expect(*parts: str):
    """An InputError, which is a ValueError, of one line with all ``parts`` in this order."""
    return pytest.raises(
        jaxadv.InputError,
        match="^" + ".*".join(re.escape(part) for part in ("", *parts, "")) + r"\Z",
    )


def test_input_error_is_a_value_error():
    assert issubclass(jaxadv.InputError, ValueError)


@pytest.mark.parametrize("length", [3, 10_000])
def test_a_text_without_end_keeps_the_value_and_the_remedy(length):
    text = f"'a.npz' is bad ({'x' * length}\n); copy it again"
    error = pickle.loads(pickle.dumps(jaxadv.InputError(text)))
    assert len(str(error)) < 1000 and "\n" not in str(error)
    assert (str(error) == text.replace("\n", " ")) is (length == 3)
    assert str(error).startswith("'a.npz' is bad (xxx") and str(error).endswith("); copy it again")


SETTINGS = [
    (jaxadv.FGSM(0.0), ["eps is 0.0", "above 0"]),
    (jaxadv.FGSM(-0.1), ["eps is -0.1", "above 0"]),
    (jaxadv.FGSM(float("nan")), ["eps is nan", "above 0"]),
    (jaxadv.FGSM(float("inf")), ["eps is inf", "above 0"]),
    (jaxadv.FGSM("0.1"), ["eps is '0.1'", "number"]),
    (jaxadv.FGSM(True), ["eps is True", "number"]),
    (jaxadv.FGSM(0.1, loss="hinge"), ["loss is 'hinge'", "'logit'", "'cross_entropy'"]),
    (jaxadv.IFGSM(), ["eps is None", "initial_eps is None", "exactly one"]),
    (jaxadv.IFGSM(eps=0.1, initial_eps=0.1), ["eps is 0.1", "initial_eps is 0.1", "exactly one"]),
    (jaxadv.IFGSM(eps=0), ["eps is 0", "above 0"]),
    (jaxadv.IFGSM(initial_eps=-1.0), ["initial_eps is -1.0", "above 0"]),
    (jaxadv.IFGSM(eps=0.1, steps=0), ["steps is 0", "at least 1"]),
    (jaxadv.IFGSM(eps=0.1, steps=2.5), ["steps is 2.5", "whole number"]),
    (jaxadv.IFGSM(initial_eps=0.1, attempts=0), ["attempts is 0", "at least 1"]),
    (jaxadv.IFGSM(eps=0.1, loss=None), ["loss is None", "'logit'"]),
    *(
        (attack(**{name: value}), [f"{name} is {value!r}", allowed])
        for attack in (jaxadv.CarliniWagnerL2, jaxadv.ElasticNetL1)
        for name, value, allowed in (
            ("confidence", -1.0, "at least 0"),
            ("confidence", float("inf"), "at least 0"),
            ("steps", 0, "at least 1"),
            ("steps", 10.0, "whole number"),
            ("search_steps", 0, "at least 1"),
            ("learning_rate", 0.0, "above 0"),
            ("initial_const", 0.0, "above 0"),
            ("initial_const", float("nan"), "above 0"),
            ("abort_early", "no", "True, False"),
        )
    ),
    (jaxadv.CarliniWagnerL2(warm_start=2), ["warm_start is 2", "True, False"]),
    (jaxadv.ElasticNetL1(beta=-1e-3), ["beta is -0.001", "at least 0"]),
]


@pytest.mark.parametrize(("attack", "parts"), SETTINGS, ids=lambda value: str(value)[:60])
def test_settings_out_of_range(clf, attack, parts):
    with expect(*parts):
        jaxadv.run_attack(clf, attack, IMAGES, LABELS)


BAD_IMAGES = [
    ((IMAGES * 255).astype(np.uint8), ["uint8", "[0, 1]", "255"]),
    (IMAGES * 255, ["range from", "[0, 1]", "rescale"]),
    (IMAGES - 0.5, ["range from -", "[0, 1]", "rescale"]),
    (NAN, ["nan", "[0, 1]", "remove NaN"]),
    (np.where(np.isnan(NAN), np.float32(np.inf), NAN), ["inf", "[0, 1]", "remove"]),
    (IMAGES[0], ["(8, 8, 3)", "(N, 8, 8, 3)", "images[None]"]),
    (IMAGES[:, :4], ["(3, 4, 8, 3)", "(N, 8, 8, 3)", "refit"]),
    (IMAGES[:, :4, :4], ["(3, 4, 4, 3)", "(N, 8, 8, 3)", "refit"]),
    (IMAGES[..., :1], ["(3, 8, 8, 1)", "(N, 8, 8, 3)"]),
    ([["a"]], ["<U1", "floating"]),
]


@pytest.mark.parametrize(("images", "parts"), BAD_IMAGES, ids=lambda value: str(value)[:0])
def test_images(clf, images, parts):
    weights = np.zeros((3, CLASSES), np.float32)
    for call in (
        lambda: jaxadv.run_attack(clf, jaxadv.FGSM(0.1), images, LABELS),
        lambda: jaxadv.clever_scores(clf, images, LABELS, OTHERS),
        lambda: clf.logits(images),
        lambda: clf.raw_logits(images),
        lambda: clf.predict(images),
        lambda: clf.logits_and_gradient(images, weights),
    ):
        with expect(*parts):
            call()


BAD_CLASSES = [
    (np.array([0, 1, 4]), ["[2] is 4", "0..3", "background"]),
    (np.array([0, -1, 2]), ["[1] is -1", "0..3"]),
    (np.array([0.0, 1.0, 2.0]), ["float64", "integers 0..3", "astype(int)"]),
    (np.array([0, 1]), ["(2,)", "(3,)", "each image"]),
    (np.eye(3, dtype=int), ["(3, 3)", "(3,)"]),
]


@pytest.mark.parametrize(("classes", "parts"), BAD_CLASSES)
def test_labels_and_targets(clf, classes, parts):
    success = np.ones(3, bool)
    for name, call in (
        ("labels", lambda: jaxadv.run_attack(clf, jaxadv.FGSM(0.1), IMAGES, classes)),
        (
            "targets",
            lambda: jaxadv.run_attack(clf, jaxadv.FGSM(0.1), IMAGES, OTHERS[::-1], classes),
        ),
        ("labels", lambda: jaxadv.clever_scores(clf, IMAGES, classes, OTHERS)),
        ("targets", lambda: jaxadv.clever_scores(clf, IMAGES, LABELS, classes)),
        ("labels", lambda: jaxadv.transfer_rates(IMAGES, IMAGES, classes, None, success, clf)),
        ("targets", lambda: jaxadv.transfer_rates(IMAGES, IMAGES, LABELS, classes, success, clf)),
    ):
        with expect(name, *parts):
            call()


def test_target_that_is_the_label(clf):
    same = np.array([1, 2, 2])
    parts = ("targets[2] is 2", "its label", "another class", "leave the image out")
    with expect(*parts):
        jaxadv.run_attack(clf, jaxadv.FGSM(0.1), IMAGES, LABELS, same)
    with expect(*parts):
        jaxadv.clever_scores(clf, IMAGES, LABELS, same)
    with expect(*parts):
        jaxadv.transfer_rates(IMAGES, IMAGES, LABELS, same, np.ones(3, bool), clf)


@pytest.mark.parametrize("lanes", [0, -1, 2.0, True])
def test_lanes(clf, lanes):
    with expect(f"lanes is {lanes!r}", "at least 1"):
        jaxadv.run_attack(clf, jaxadv.FGSM(0.1), IMAGES, LABELS, lanes=lanes)
    with expect(f"lanes is {lanes!r}", "at least 1"):
        jaxadv.clever_scores(clf, IMAGES, LABELS, OTHERS, lanes=lanes)


CLEVER = [
    ({"norms": (3,)}, ["norms", "3", "1, 2 or inf"]),
    ({"norms": ()}, ["norms", "1, 2 or inf"]),
    ({"norms": ("two",)}, ["norms", "two", "1, 2 or inf"]),
    ({"norms": 2}, ["norms", "2", "1, 2 or inf"]),
    ({"seed": 2**40}, ["seed is 1099511627776"]),
    ({"seed": 1.5}, ["seed is 1.5", "whole number"]),
    ({"ids": [1]}, ["ids", "(1,)", "(3,)"]),
    ({"ids": [0.0, 1.5, 2.0]}, ["ids", "float64", "integers"]),
    ({"batches": 1}, ["batches is 1", "at least 2"]),
    ({"samples": 0}, ["samples is 0", "at least 1"]),
    ({"radius": 0.0}, ["radius is 0.0", "above 0"]),
    ({"radius": float("nan")}, ["radius is nan", "above 0"]),
    ({"protocol": "relaesed"}, ["'relaesed'", "released"]),
    ({"method": "mlee"}, ["'mlee'", "mle"]),
]


@pytest.mark.parametrize(("options", "parts"), CLEVER, ids=lambda value: str(value)[:40])
def test_clever(clf, options, parts):
    small = {"batches": 2, "samples": 1} | options
    with expect(*parts):
        jaxadv.clever_scores(clf, IMAGES, LABELS, OTHERS, **small)


def test_unknown_method_is_noticed_before_the_work():
    asked = []

    def apply(params, images):
        asked.append(images.shape[0])
        return linear_apply(params, images)

    clf = random_linear(0, CLASSES, apply=apply)
    asked.clear()
    with expect("'mlee'", "mle"):
        jaxadv.clever_scores(clf, IMAGES, LABELS, OTHERS, batches=2, samples=1, method="mlee")
    assert not asked


@pytest.mark.parametrize("attack", ["fgsm", jaxadv.FGSM, None])
def test_what_is_no_attack(clf, attack):
    with expect("attack", "FGSM", "IFGSM", "CarliniWagnerL2", "ElasticNetL1"):
        jaxadv.run_attack(clf, attack, IMAGES, LABELS)


def test_classifier():
    build = jaxadv.Classifier
    params = {
        "weights": np.zeros((SIZE * SIZE * 3, 5), np.float32),
        "bias": np.zeros(5, np.float32),
    }
    with expect("wrong", "(1, 5)", "(1, 4)", "num_classes=4", "label_offset=0"):
        build(linear_apply, params, input_size=SIZE, num_classes=4, name="wrong")
    with expect("(1, 5)", "(1, 6)", "label_offset=1"):
        build(linear_apply, params, input_size=SIZE, num_classes=5, name="wrong", label_offset=1)
    for options, parts in (
        ({"input_size": 0}, ("input_size is 0", "at least 1")),
        ({"num_classes": 1}, ("num_classes is 1", "at least 2")),
        ({"label_offset": -1}, ("label_offset is -1", "at least 0")),
    ):
        with expect(*parts):
            build(
                linear_apply,
                params,
                **({"input_size": SIZE, "num_classes": 5, "name": "wrong"} | options),
            )
    kept = build(linear_apply, params, input_size=SIZE, num_classes=4, name="right", label_offset=1)
    assert kept.logits(IMAGES).shape == (3, 4) and kept.raw_logits(IMAGES).shape == (3, 5)
    with expect("weights", "(3, 5)", "(3, 4)", "one row of class weights for each image"):
        kept.logits_and_gradient(IMAGES, np.zeros((3, 5)))


def test_unknown_names():
    with expect("vgg61", "did you mean 'vgg_16'?"):
        jaxadv.load_classifier("vgg61")
    with expect("mnist", "digits", "imagenet"):
        jaxadv.load_classifier("vgg_16", zoo="mnist")
    with expect("targets is 'top1'", "'top2'"):
        targets.choose("top1", np.zeros((1, 3)), np.zeros(1, int), ids=np.zeros(1, int), seed=0)
    with pytest.raises(AttributeError, match="no attribute 'PGD'.*IFGSM"):
        _ = jaxadv.PGD


@pytest.mark.parametrize("size", [0, -3, 2.5])
def test_refit(size):
    with expect(f"size is {size!r}", "at least 1"):
        jaxadv.refit(IMAGES, size)
    with expect("uint8", "floating point"):
        jaxadv.refit(IMAGES.astype(np.uint8), 4)


def test_transfer(clf):
    with expect("adversarial", "(2, 8, 8, 3)", "(3, 8, 8, 3)"):
        jaxadv.transfer_rates(IMAGES[:2], IMAGES, LABELS, None, np.ones(3, bool), clf)
    with expect("success", "(2,)", "(3,)"):
        jaxadv.transfer_rates(IMAGES, IMAGES, LABELS, None, np.ones(2, bool), clf)
    with expect("nan", "[0, 1]"):  # NaN stands for a failure, so a success may not be NaN
        jaxadv.transfer_rates(NAN, IMAGES, LABELS, None, np.ones(3, bool), clf)
    with expect("clean", "range from", "[0, 1]"):
        jaxadv.transfer_rates(IMAGES, IMAGES * 2, LABELS, None, np.ones(3, bool), clf)


def test_what_is_allowed_passes():
    assert checks.images(np.zeros((0, 8, 8, 3), np.float64)).dtype == np.float32
    assert (
        checks.classes(np.arange(3, dtype=np.uint8), count=3, num_classes=3, name="labels").dtype
        == np.int32
    )
    checks.number("eps", np.float32(0.5), low=0, above=True)
    checks.number("confidence", 0, low=0)
    checks.count("steps", np.int64(3))


def test_targets_by_kind():
    logits = np.array([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, -1.0, 4.0]])
    labels, ids = np.array([0, 1]), np.array([7, 8])
    choose = {kind: targets.choose(kind, logits, labels, ids=ids, seed=1) for kind in targets.KINDS}
    np.testing.assert_array_equal(choose["untargeted"], labels)
    np.testing.assert_array_equal(choose["least"], [3, 2])
    np.testing.assert_array_equal(choose["top2"], [2, 3])
    many = targets.choose(
        "random", np.zeros((4000, 4)), np.zeros(4000, int), ids=np.arange(4000), seed=1
    )
    np.testing.assert_allclose(
        np.bincount(many, minlength=4) / 4000, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.03
    )
    one = targets.choose("random", np.zeros((1, 4)), np.zeros(1, int), ids=np.array([17]), seed=1)
    assert one[0] == many[17]  # of (seed, image) alone


def test_another_librarys_message_is_one_line_of_200_letters():
    assert said(ValueError("a\n  b\tc")) == "a b c"
    assert said(ValueError("x" * 201)) == "x" * 200
    assert said(KeyboardInterrupt()) == "KeyboardInterrupt"
