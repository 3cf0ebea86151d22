"""Tests the contract of every probe (`jaxadv.core.probe`), and the consequences of its
declarations.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models import inner_images, random_linear

import jaxadv
from jaxadv.clever.sampler import CleverSampler, SampleItem
from jaxadv.core.classifier import Classifier
from jaxadv.core.probe import (
    AttackItem,
    AttackNeeds,
    AttackProbe,
    Phase,
    Probe,
    Schedule,
    centred,
    fools,
    needs_of,
    never_done,
    uncentred,
)

SEARCHES = {
    "ifgsm, one attempt": jaxadv.IFGSM(initial_eps=0.5, attempts=1, steps=2),
    "ifgsm": jaxadv.IFGSM(initial_eps=0.5, attempts=3, steps=2),
    "cw": jaxadv.CarliniWagnerL2(steps=20, search_steps=1, learning_rate=0.05, initial_const=5.0),
    "ead": jaxadv.ElasticNetL1(steps=20, search_steps=2, learning_rate=0.1, initial_const=5.0),
}
FIXED = {
    "fgsm": jaxadv.FGSM(eps=0.5),
    "ifgsm": jaxadv.IFGSM(eps=0.5, steps=2),
    "ifgsm, attempts given": jaxadv.IFGSM(eps=0.5, steps=2, attempts=9),
}
PROBES = (
    {f"search: {name}": probe for name, probe in SEARCHES.items()}
    | FIXED
    | {"clever": CleverSampler(radius=1.0, samples=3)}
)


@pytest.mark.few("fgsm", "ifgsm", "ifgsm, attempts given", "clever")
@pytest.mark.parametrize("name", PROBES)
def test_every_probe_keeps_the_contract(name):
    """It has every member of the protocol, with the same names of arguments.

    It is done at the end of its schedule.
    """
    probe = PROBES[name]
    for member in ("check", "init", "ask", "tell", "done", "result"):
        expected, actual = (
            inspect.signature(getattr(Probe, member)),
            inspect.signature(getattr(type(probe), member)),
        )
        assert list(expected.parameters) == list(actual.parameters), member
    assert isinstance(probe, Probe) and isinstance(probe, AttackProbe) == (name != "clever")
    image, label = jnp.full((8, 8, 3), 0.5), jnp.int32(0)
    item = (
        SampleItem(image, label, jnp.int32(1), label, label, label)
        if name == "clever"
        else AttackItem(image, label, jnp.array(False))
    )
    classifier, state, schedule = random_linear(1, 3), probe.init(item), probe.schedule
    tell = jax.jit(probe.tell, static_argnums=3)
    for phase in schedule.phases():
        asked, objective = probe.ask(item, state, phase, 3)
        answer = classifier.oracle.ask(
            classifier.params,
            asked[None],
            jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], objective),
        )
        answer = jax.tree.map(lambda leaf: leaf[0], answer)
        state = tell(
            item, state, answer if phase.gradient else answer._replace(gradient=None), phase
        )
    assert bool(probe.done(state)) == (schedule.cycles is None)
    jax.tree.map(np.asarray, probe.result(item, state))


@pytest.fixture
def refuted(monkeypatch):
    """Attacks away from the clean class by 0.5 everywhere, which all succeed; but the last word
    says "the clean class" of every image.
    """
    classifier, images = random_linear(3, 4, scale=0.3), inner_images(4, 5)
    labels = classifier.predict(images)

    def stubborn(self, images, batch):
        for start in range(0, len(images), batch):
            yield jnp.tile(
                jnp.float32(np.eye(4)[labels[0]]), (len(images[start : start + batch]), 1)
            )

    def attack(probe):
        chosen = labels == labels[0]
        assert jaxadv.run_attack(classifier, probe, images[chosen], labels[chosen]).success.all()
        with monkeypatch.context() as patch:
            patch.setattr(Classifier, "logits_of_batches", stubborn)
            return images[chosen], jaxadv.run_attack(
                classifier, probe, images[chosen], labels[chosen]
            )

    return attack


@pytest.mark.few("cw", "ifgsm, one attempt")
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_the_last_word_refutes_is_revoked_and_handed_back_clean(refuted, name):
    images, result = refuted(SEARCHES[name])
    assert result.revoked.all() and not result.success.any()
    np.testing.assert_array_equal(result.adversarial, images)


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_budget_that_the_last_word_refutes_keeps_its_last_image(refuted, name):
    images, result = refuted(FIXED[name])
    assert not result.revoked.any() and not result.success.any()
    assert (np.abs(result.adversarial - images).max(axis=(1, 2, 3)) > 0.1).all()


@pytest.mark.parametrize(
    ("attack", "gradients", "forwards"),
    [
        (jaxadv.FGSM(0.1), 1, 0),
        (jaxadv.IFGSM(eps=0.1, steps=4), 4, 0),
        (jaxadv.IFGSM(initial_eps=0.1, attempts=3, steps=4), 1 + 3 * 3, 3),
        (jaxadv.CarliniWagnerL2(steps=20, search_steps=3), 60, 0),
        (jaxadv.ElasticNetL1(steps=20, search_steps=3), 60, 60),
    ],
)
def test_a_schedule_says_the_most_evaluations(attack, gradients, forwards):
    assert attack.schedule.evaluations() == (gradients, forwards)


@pytest.mark.parametrize("cycles", [4, None])
def test_a_schedule_is_its_prologue_and_its_cycles(cycles):
    first, second, third = Phase("first", True), Phase("second", False), Phase("third", True)
    schedule = Schedule((first,), (second, third, third), cycles, most=4)
    assert schedule.phases() == (first, *(second, third, third) * 4)
    assert schedule.evaluations() == (1 + 4 * 2, 4)
    assert Schedule((), (first,), None).phases() == ()


def test_cycles_and_the_most_of_them_are_told_apart():
    looks = (Phase("look", False),)
    assert Schedule((), looks, 2, most=7).evaluations() == (0, 2)
    assert len(Schedule((), looks, 2, most=7).phases()) == 2


def test_an_attack_that_says_no_needs_has_none():
    assert needs_of(object()) == AttackNeeds(
        draw=False, others=0, classes=2, most_classes=None, untargeted=False
    )
    assert not never_done()


def test_an_unchanged_pixel_gets_back_its_value():
    """0.1 is not what 0.1 - 0.5 + 0.5 is in float32."""
    image = jnp.full((1, 2, 3), 0.1, jnp.float32)
    item = AttackItem(image, jnp.int32(0), jnp.array(False))
    point = centred(image)
    assert point.tolist() == [[[pytest.approx(-0.4)] * 3] * 2] and ((point + 0.5) != image).all()
    moved = uncentred(point.at[0, 1, 2].set(0.25), item)
    np.testing.assert_array_equal(moved, image.at[0, 1, 2].set(0.75))


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize(("lead", "confidence"), [(0.5, None), (0.5, 0.25), (0.5, 1.0), (-1, None)])
def test_a_success_has_the_confidence(targeted, lead, confidence):
    """The class that should win leads by ``lead``; it must lead by more than the confidence."""
    item = AttackItem(jnp.zeros((1, 1, 3)), jnp.int32(1), jnp.array(targeted))
    logits = jnp.array([0.0, lead if targeted else -lead, -9.0])
    expected = lead > (confidence or 0)
    assert bool(fools(logits, item, confidence)) == expected
    assert not fools(logits.at[2].set(jnp.nan), item, confidence)
    assert not fools(logits.at[2].set(-jnp.inf), item, confidence)
