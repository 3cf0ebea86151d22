"""FGSM and I-FGSM in the norms 1 and 2, EAD's elastic-net rule, and the flags of both, where the
answer is known.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from models import PIXELS, inner_images, linear, random_linear

import jaxadv
from jaxadv.attacks import catalog
from jaxadv.attacks.elastic_net import CANDIDATE, SLACK
from jaxadv.core import oracle
from jaxadv.core.probe import AttackItem
from jaxadv.evaluation.settings import Settings, sweep

pytestmark = pytest.mark.usefixtures("strict_numerics")

COUNT = 6
NORMS = pytest.mark.parametrize("norm", [1, 2])


def lengths(changes, norm):
    return np.linalg.norm(changes.reshape(len(changes), -1).astype(np.float64), ord=norm, axis=1)


@NORMS
@pytest.mark.parametrize("targeted", [False, True])
def test_fgsm_moves_by_exactly_eps_along_the_gradient(norm, targeted):
    classifier, images, eps = random_linear(2, 5), inner_images(3, COUNT), {1: 9.0, 2: 0.8}[norm]
    labels = classifier.predict(images)
    targets = ((labels + 1) % 5).astype(np.int32)
    result = jaxadv.run_attack(
        classifier, jaxadv.FGSM(eps, norm=norm), images, labels, targets if targeted else None
    )
    weights = classifier.params["weights"].astype(np.float64)
    ascent = (weights[:, targets] if targeted else -weights[:, labels]).T
    expected = images + eps * (
        ascent / np.linalg.norm(ascent, ord=norm, axis=1, keepdims=True)
    ).reshape(images.shape)
    np.testing.assert_allclose(result.adversarial, expected, atol=1e-6)
    np.testing.assert_allclose(lengths(result.adversarial - images, norm), eps, rtol=1e-5)
    measured = {1: result.l1, 2: result.l2}[norm][result.success]
    assert len(measured) and np.abs(measured / eps - 1).max() < 1e-5


@pytest.mark.few("2")
@NORMS
def test_ifgsm_search_brackets_the_smallest_eps(norm):
    """With weights w and -w the search ends at margin / (slope . direction): margin / ||slope||_2
    in the second norm.
    """
    half = np.random.default_rng(5).normal(size=(PIXELS, 1), scale=0.3).astype(np.float32)
    classifier, images = (
        linear(np.hstack([half, -half]), [-0.5 * half.sum(), 0.5 * half.sum()]),
        inner_images(1, COUNT),
    )
    logits = (
        images.reshape(COUNT, -1).astype(np.float64) @ classifier.params["weights"]
        + classifier.params["bias"]
    )
    slope = 2 * half.astype(np.float64).ravel()
    smallest = (
        np.abs(logits[:, 0] - logits[:, 1]) * np.linalg.norm(slope, ord=norm) / (slope @ slope)
    )
    attack = jaxadv.IFGSM(initial_eps={1: 1.0, 2: 0.1}[norm], attempts=12, steps=3, norm=norm)
    result = jaxadv.run_attack(classifier, attack, images, logits.argmax(1).astype(np.int32))
    assert result.success.all()
    tried = result.details["eps"].astype(np.float64)
    upper = np.where(tried >= smallest[:, None], tried, np.inf).min(1)
    np.testing.assert_allclose(lengths(result.adversarial - images, norm), upper, rtol=1e-4)
    assert (smallest <= upper).all() and (upper < 1.01 * smallest).all()


@pytest.mark.slow
@NORMS
def test_iterated_steps_are_those_of_the_release(norm):
    """Against its formulas in double precision, on a network with kinks and pictures that reach the
    edge of the pixel range.
    """
    known, eps, steps = recorded.net("tiny"), {1: 60.0, 2: 3.0}[norm], 4
    clean, labels = known.images[:COUNT].astype(np.float64) - 0.5, known.labels[:COUNT]
    away, params = jax.vmap(oracle.linear)(-jnp.eye(10)[labels]), known.classifier.params
    eta, binds = np.zeros_like(clean), []
    for _ in range(steps):
        gradient = np.asarray(
            known.classifier.oracle.ask(
                params, (clean + eta + 0.5).astype(np.float32), away
            ).gradient,
            np.float64,
        )
        free = clean + eta + eps / steps * gradient / lengths(gradient, norm)[:, None, None, None]
        stepped = np.clip(free, -0.5, 0.5)
        binds.append((stepped != free).any())
        eta = eps * (stepped - clean) / lengths(stepped - clean, norm)[:, None, None, None]
    result = jaxadv.run_attack(
        known.classifier,
        jaxadv.IFGSM(eps=eps, steps=steps, norm=norm),
        known.images[:COUNT],
        labels,
    )
    expected = np.clip(clean + eta, -0.5, 0.5) + 0.5
    assert all(binds)
    np.testing.assert_allclose(result.adversarial, expected, atol=2e-4)
    assert np.median(np.abs(result.adversarial - expected)) < 1e-6


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_an_image_without_a_gradient_stays(norm):
    """Where the release divides zero by zero."""
    classifier = linear(np.zeros((PIXELS, 2), np.float32), [2.0, 0.0])
    images, labels = inner_images(4, 2), np.zeros(2, np.int32)
    for attack in (jaxadv.FGSM(0.5, norm=norm), jaxadv.IFGSM(eps=0.5, steps=2, norm=norm)):
        np.testing.assert_array_equal(
            jaxadv.run_attack(classifier, attack, images, labels).adversarial, images
        )


def test_a_gradient_whose_squares_vanish_has_a_direction():
    classifier, images = (
        linear(np.full((PIXELS, 2), [-1e-25, 1e-25]), [0.0, 1e-30]),
        inner_images(4, 2),
    )
    result = jaxadv.run_attack(classifier, jaxadv.FGSM(0.5, norm=2), images, np.zeros(2, np.int32))
    np.testing.assert_allclose(result.adversarial, images + 0.5 / PIXELS**0.5, atol=1e-6)


def replay(classifier, attack, image, label):
    """Every success of EAD, one by one: candidates (C, S, S, 3)."""
    item, tell = (
        AttackItem(jnp.asarray(image), jnp.int32(label), jnp.array(False)),
        jax.jit(attack.tell, static_argnums=3),
    )

    def iterate(state):
        for phase in (SLACK, CANDIDATE):
            asked, objective = attack.ask(item, state, phase, 5)
            answers = classifier.oracle.ask(
                classifier.params,
                asked[None],
                jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], objective),
            )
            answer = jax.tree.map(lambda leaf: leaf[0], answers)
            state = tell(item, state, answer, phase)
        return state, asked, answer.logits.argmax() != label

    state, found = attack.init(item), []
    for _ in range(attack.steps * attack.search_steps):
        state, candidate, success = iterate(state)
        if success:
            found.append(np.asarray(candidate))
    return np.stack(found)


@pytest.mark.slow
def test_each_rule_of_elastic_net_picks_its_least_success():
    """Rules change no step, so both choose from the same candidates."""
    classifier, images = random_linear(2, 5), inner_images(3, 2)
    labels = classifier.predict(images)
    settings = {
        "beta": 0.02,
        "steps": 20,
        "search_steps": 3,
        "initial_const": 1.0,
        "learning_rate": 0.1,
        "abort_early": False,
    }
    attacks = {rule: jaxadv.ElasticNetL1(**settings, rule=rule) for rule in ("l1", "elastic_net")}
    results = {
        rule: jaxadv.run_attack(classifier, attack, images, labels)
        for rule, attack in attacks.items()
    }
    differ = []
    for number, image in enumerate(images):
        candidates = replay(classifier, attacks["l1"], image, labels[number])
        l1, l2 = lengths(candidates - image, 1), lengths(candidates - image, 2)
        least = {"l1": np.argmin(l1), "elastic_net": np.argmin(l2**2 + 0.02 * l1)}
        for rule, place in least.items():
            np.testing.assert_allclose(
                results[rule].adversarial[number], candidates[place], atol=1e-6
            )
            np.testing.assert_allclose(
                [results[rule].l1[number], results[rule].l2[number]],
                [l1[place], l2[place]],
                rtol=1e-4,
            )
        differ.append(least["l1"] != least["elastic_net"])
    assert any(differ)


def attempts(*names: str, **swept) -> list:
    """Attempts towards random targets, with these values of the flags."""
    probes = sweep(names, **{"eps": [0.1, 1.0]} | swept)
    return Settings(attacks=probes, targets=("random",)).attempts()


def test_labels_name_a_norm_rule_or_loss_that_is_not_the_studys():
    def labels(*names, **swept):
        return [attempt.label for attempt in attempts(*names, **swept)]

    assert labels("fgsm") == ["eps=0.1", "eps=1"]
    made = attempts("fgsm", "ifgsm_search", fgsm_norm=["linf", "l2"])
    expected = [
        "eps=0.1",
        "eps=0.1,norm=l2",
        "eps=1",
        "eps=1,norm=l2",
        "initial_eps=0.02",
        "initial_eps=0.02,norm=l2",
    ]
    assert [attempt.label for attempt in made] == expected
    assert [attempt.probe.norm for attempt in made] == [np.inf, 2] * 3
    assert labels("ifgsm", fgsm_norm=["l1"]) == [
        "eps=0.1,steps=10,norm=l1",
        "eps=1,steps=10,norm=l1",
    ]
    assert labels("ead", ead_rule=["l1", "elastic_net"]) == [
        "confidence=0",
        "confidence=0,rule=elastic_net",
    ]
    assert labels("ifgsm_search", loss=["logit", "cross_entropy"]) == [
        "initial_eps=0.02",
        "initial_eps=0.02,loss=cross_entropy",
    ]
    assert labels("fgsm", loss=["cross_entropy"]) == [
        "eps=0.1,loss=cross_entropy",
        "eps=1,loss=cross_entropy",
    ]
    for name, wrong in (("fgsm", {"fgsm_norm": ["2"]}), ("ead", {"ead_rule": ["l2"]})):
        with pytest.raises(jaxadv.InputError, match=r"'[l2]+'"):
            labels(name, **wrong)


def test_the_law_is_fitted_to_the_distance_that_is_made_small():
    for attack, plain, distance in (
        ("ifgsm_search", {"norm": "linf"}, "linf"),
        ("ifgsm_search", {"norm": "l2"}, "l2"),
        ("fgsm", {"norm": "l2"}, None),
        ("ead", {"rule": "l1"}, "l1"),
        ("ead", {"rule": "elastic_net"}, "l2"),
        ("cw", {}, "l2"),
    ):
        assert catalog.get(attack).minimises(plain) == distance, (attack, plain)
