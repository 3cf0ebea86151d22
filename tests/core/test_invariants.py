"""What must not change a result, what must not compile again, and what a failed attack leaves."""

import functools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from jax.extend.random import threefry_2x32
from models import SIZE, inner_images, linear, linear_apply, nan_where_dark, random_linear

import jaxadv
from jaxadv.api import run_attacks
from jaxadv.attacks import catalog
from jaxadv.attacks.fgsm import LOSSES
from jaxadv.clever.sampler import CleverSampler, SampleItem
from jaxadv.core import engine
from jaxadv.core.draws import threefry
from jaxadv.core.metrics import near_ties
from jaxadv.core.probe import AttackItem, Probe, needs_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

ATTACKS = {
    "fgsm": jaxadv.FGSM(0.1),
    "ifgsm": jaxadv.IFGSM(eps=0.05, steps=4),
    "ifgsm_search": jaxadv.IFGSM(initial_eps=0.02, attempts=4, steps=4),
    "cw": jaxadv.CarliniWagnerL2(steps=20, search_steps=3, learning_rate=0.02, initial_const=0.5),
    "ead": jaxadv.ElasticNetL1(steps=20, search_steps=3, initial_const=0.5),
    "apgd": jaxadv.APGD(0.05, steps=6),
    "fab": jaxadv.FAB(norm=2, steps=5, targets=2),
    "square": jaxadv.Square(0.05, queries=12),
    "ddn": jaxadv.DDN(steps=12),
    "fmn": jaxadv.FMN(steps=12),
    "pdpgd": jaxadv.PDPGD(steps=12),
    "alma": jaxadv.ALMA(steps=12),
    "autoattack": jaxadv.AutoAttack(0.05, stages="apgd-ce+fab-t+square", steps=3, queries=6),
}
"""An attack of each entry of the catalogue."""
MODERN = ("apgd", "fab", "square", "ddn", "fmn", "pdpgd", "alma", "autoattack")
UNTARGETED = {name for name, attack in ATTACKS.items() if needs_of(attack).untargeted}
STARTS_AT_RANDOM = ("apgd", "square")
PROBES = [name for name, attack in ATTACKS.items() if isinstance(attack, Probe)]
"""Without sequences of attacks, whose stages are queues of their own."""
EVERY_ATTACK = pytest.mark.parametrize("name", ATTACKS)
ONE_MODERN = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in MODERN[1:] else ()) for name in ATTACKS],
)
"""Every attack. The quick suite has one of the modern ones."""
EVERY_PROBE = pytest.mark.parametrize("name", PROBES)
LANES = 4


def test_every_entry_of_the_catalogue_is_here():
    assert tuple(ATTACKS) == catalog.names()
    for name, attack in ATTACKS.items():
        assert catalog.check(attack).name == name


def assert_clean(result, images, name: str) -> None:
    """Of failures the clean image is left; of those with a random start one as near as the
    budget.
    """
    if name not in STARTS_AT_RANDOM:
        np.testing.assert_array_equal(result.adversarial, images)
        return
    assert np.abs(result.adversarial - images).max() <= ATTACKS[name].eps + 1e-6
    assert result.adversarial.min() >= 0 and result.adversarial.max() <= 1


def rows(result, chosen) -> dict:
    """All arrays of a result, of the chosen images."""
    fields = dict(vars(result))
    fields |= {f"details {name}": values for name, values in fields.pop("details").items()}
    return {name: np.asarray(values)[chosen] for name, values in fields.items()}


@functools.cache
def on_tiny(name: str, images: tuple[int, ...], lanes: int):
    """An attack, towards the random target if it can, on images of the tiny recorded net."""
    known, chosen = recorded.net("tiny"), list(images)
    targets = None if name in UNTARGETED else known.targets["random"][chosen]
    arguments = known.images[chosen], known.labels[chosen], targets
    return jaxadv.run_attack(known.classifier, ATTACKS[name], *arguments, lanes=lanes, ids=chosen)


@pytest.mark.few("apgd", slow=("cw", "fgsm", "ead", "fab", "square", "ddn"))
@EVERY_ATTACK
def test_companions_change_no_bit(name):
    """Image 5 alone, among others, first or last, in the first wave of lanes or a later one."""
    alone = rows(on_tiny(name, (5,), LANES), 0)
    for images in ((5, 0, 1, 2), (0, 1, 2, 5), (0, 1, 2, 3, 4, 5), (3, 0, 5, 1, 2, 4, 6)):
        among = rows(on_tiny(name, images, LANES), images.index(5))
        for field, value in alone.items():
            np.testing.assert_array_equal(among[field], value, err_msg=f"{images} {field}")


@pytest.mark.few(slow=("fgsm", "apgd", "cw", "ifgsm_search", "fab"))
@ONE_MODERN
def test_lane_count_and_order_change_rounding_only(name):
    images = tuple(range(10))
    base = rows(on_tiny(name, images, LANES), slice(None))
    turned = rows(on_tiny(name, images[::-1], LANES), slice(None, None, -1))
    for field, value in base.items():  # the same lane count: to the bit
        np.testing.assert_array_equal(turned[field], value, err_msg=field)
    for lanes in (1, 16):
        other = rows(on_tiny(name, images, lanes), slice(None))
        for field in ("success", "predicted", "gradients", "forwards"):
            np.testing.assert_array_equal(other[field], base[field], err_msg=f"{lanes} {field}")
        for field, value in base.items():
            if value.dtype.kind == "U":
                np.testing.assert_array_equal(other[field], value, err_msg=f"{lanes} {field}")
            elif field.startswith("details") or field in ("l1", "l2", "linf"):
                np.testing.assert_allclose(
                    other[field], base[field], rtol=1e-4, err_msg=f"{lanes} {field}"
                )


@pytest.mark.slow
def test_clever_does_not_depend_on_lanes_targets_or_companions():
    known = recorded.net("tiny")
    options = {"batches": 3, "samples": 5, "method": "max"}
    labels, targets = known.labels[:3], known.targets["least"][:3]
    base = jaxadv.clever_scores(
        known.classifier, known.images[:3], labels, targets, lanes=4, **options
    )
    for lanes in (1, 16):
        other = jaxadv.clever_scores(
            known.classifier, known.images[:3], labels, targets, lanes=lanes, **options
        )
        np.testing.assert_allclose(other.maxima, base.maxima, rtol=1e-4)
    second = jaxadv.clever_scores(
        known.classifier, known.images[1:2], labels[1:2], targets[1:2], ids=[1], lanes=4, **options
    )
    np.testing.assert_array_equal(second.maxima[0], base.maxima[1])
    moved = jaxadv.clever_scores(
        known.classifier, known.images[1:2], labels[1:2], targets[1:2], ids=[7], lanes=4, **options
    )
    assert (moved.maxima[0] != base.maxima[1]).any()
    reseeded = jaxadv.clever_scores(
        known.classifier, known.images[:3], labels, targets, seed=1, lanes=4, **options
    )
    assert (reseeded.maxima != base.maxima).any()
    # The same points for every target, so the untargeted score is the least of all the targeted
    # ones.
    untargeted = jaxadv.clever_scores(
        known.classifier, known.images[:1], labels[:1], None, lanes=4, **options
    )
    each = [
        jaxadv.clever_scores(
            known.classifier, known.images[:1], labels[:1], [target], lanes=4, **options
        ).score[0]
        for target in range(10)
        if target != labels[0]
    ]
    np.testing.assert_array_equal(untargeted.score[0], np.min(each, axis=0))


class Counting:
    """A linear model that counts how often it is traced, and, by a callback, how many images it is
    evaluated on. Its layers are stock: with fast ones both programs share a trace.
    """

    def __init__(self, classes: int):
        self.traced = self.batches = 0
        made = random_linear(11, classes, apply=self._apply, name="counting")
        self.classifier = made.with_stock_layers()
        self.traced = 0  # the constructor looks at the shape of the output

    def _apply(self, params, images):
        self.traced += 1
        jax.debug.callback(self._evaluated)
        return linear_apply(params, images)

    def _evaluated(self):
        self.batches += 1


@pytest.mark.slow
def test_a_sweep_compiles_the_model_twice():
    """Every attack of the study, setting, kind of target, and CLEVER: one program for logits, one
    for logits with gradient.
    """
    model = Counting(5)
    clf, images = model.classifier, inner_images(12, 6)
    labels = clf.predict(images[:LANES])
    labels = np.concatenate(
        [labels, clf.predict(images[2:])[2:]]
    )  # in batches of one size, as the engine has them
    assert model.traced == 1
    targets = ((labels + 1) % 5).astype(np.int32)
    for kind in (None, targets):
        for loss in LOSSES:
            for eps in (0.01, 0.1):
                jaxadv.run_attack(
                    clf, jaxadv.FGSM(eps, loss=loss), images, labels, kind, lanes=LANES
                )
                jaxadv.run_attack(
                    clf,
                    jaxadv.IFGSM(eps=eps, steps=3, loss=loss),
                    images,
                    labels,
                    kind,
                    lanes=LANES,
                )
                jaxadv.run_attack(
                    clf,
                    jaxadv.IFGSM(initial_eps=eps, attempts=2, steps=3, loss=loss),
                    images,
                    labels,
                    kind,
                    lanes=LANES,
                )
        for confidence in (0.0, 2.0):
            cw = jaxadv.CarliniWagnerL2(
                confidence=confidence, steps=5, search_steps=2, learning_rate=0.01 + confidence
            )
            ead = jaxadv.ElasticNetL1(
                confidence=confidence, steps=5, search_steps=2, beta=1e-3 + confidence
            )
            for attack in (cw, ead):
                jaxadv.run_attack(clf, attack, images, labels, kind, lanes=LANES)
    jaxadv.clever_scores(clf, images, labels, targets, batches=2, samples=3, lanes=LANES)
    assert model.traced == 2


@pytest.mark.long
def test_modern_attacks_compile_the_model_twice():
    model = Counting(5)
    clf, images = model.classifier, inner_images(12, LANES)
    labels = clf.logits_in_batches(images, LANES).argmax(1).astype(np.int32)
    for kind in (None, (labels + 1) % 5):
        for name in MODERN:
            if kind is None or name not in UNTARGETED:
                jaxadv.run_attack(clf, ATTACKS[name], images, labels, kind, lanes=LANES)
    assert model.traced == 2


@pytest.mark.slow
def test_compiling_ahead_leaves_nothing_to_compile():
    model = Counting(5)
    clf, images = model.classifier, inner_images(12, LANES)
    clf.compile(LANES)
    assert model.traced == 2
    labels = clf.logits_in_batches(images, LANES).argmax(1)
    for attack in (jaxadv.FGSM(0.1), jaxadv.ElasticNetL1(steps=5, search_steps=2)):
        jaxadv.run_attack(clf, attack, images, labels, lanes=LANES)
    assert model.traced == 2


def test_sweeping_a_number_compiles_nothing_of_the_probe_either():
    clf, images = random_linear(13, 4), inner_images(14, 4)
    labels = clf.predict(images)
    jaxadv.run_attack(
        clf, jaxadv.CarliniWagnerL2(steps=5, search_steps=2), images, labels, lanes=LANES
    )
    compiled = engine._tell._cache_size()
    for change in (
        {"confidence": 3.0},
        {"learning_rate": 0.1},
        {"initial_const": 5},
        {"confidence": 1},
    ):  # whole numbers too
        jaxadv.run_attack(
            clf,
            jaxadv.CarliniWagnerL2(steps=5, search_steps=2, **change),
            images,
            labels,
            lanes=LANES,
        )
    assert engine._tell._cache_size() == compiled


def test_whole_numbers_and_fractions_share_a_queue():
    """The first attack's numbers do not set the type of the others'."""
    clf, images = random_linear(13, 4, scale=0.3), inner_images(14, 4)
    labels = clf.predict(images)
    queue = [jaxadv.FGSM(eps) for eps in (1, 0.125, 0.25, 0.375)]
    result = run_attacks(
        clf, queue, np.full_like(images, 0.5), labels, np.zeros(4, bool), lanes=LANES
    )
    np.testing.assert_allclose(
        np.abs(result.adversarial - 0.5).max((1, 2, 3)), [0.5, 0.125, 0.25, 0.375], rtol=1e-5
    )


@pytest.mark.few("fgsm", slow=("cw", "apgd", "ead", "ddn"))
@ONE_MODERN
def test_a_constant_on_all_logits_changes_no_decision(name):
    """The release masks the label's logit by -10000, which does; here + 1000 only rounds the
    logits, to 6e-5.
    """
    images = inner_images(15, 6)
    low = random_linear(16, 4)
    high = linear(low.params["weights"], low.params["bias"] + 1000)
    labels = low.predict(images)
    np.testing.assert_array_equal(high.predict(images), labels)
    results = [
        jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=LANES) for clf in (low, high)
    ]
    np.testing.assert_array_equal(results[0].success, results[1].success)
    np.testing.assert_array_equal(results[0].predicted, results[1].predicted)
    for field in ("eps", "const"):
        if field in results[0].details:
            np.testing.assert_array_equal(results[0].details[field], results[1].details[field])
    np.testing.assert_allclose(results[0].l2, results[1].l2, rtol=1e-2)


@pytest.mark.few("False-fgsm", "True-cw", "False-ifgsm_search", "True-apgd")
@ONE_MODERN
@pytest.mark.parametrize("broken", [False, True])
def test_failure_leaves_a_picture(name, broken):
    """A model whose output never changes cannot be fooled, nor can one that says NaN; its gradient
    is 0, or NaN.
    """

    def nan_or_constant(params, images):
        logits = (
            jnp.full((images.shape[0], 3), jnp.nan)
            if broken
            else jnp.tile(jnp.array([[0.0, 1.0, 2.0]]), (images.shape[0], 1))
        )
        return logits + 0 * linear_apply(params, images)

    clf = random_linear(17, 3, apply=nan_or_constant)
    clf.contract.is_exempt = True  # or it would be refused
    images = inner_images(18, 3)
    labels = np.full(
        3, 0 if broken else 2
    )  # the argmax of NaN is class 0, so that is no success either
    result = jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=LANES)
    assert not result.success.any() and not result.near_tie.any()
    assert_clean(
        result, images, name
    )  # of a fixed budget too: sign(0) is 0, and NaN moves no pixel
    for distance in (result.l0, result.l1, result.l2, result.linf):
        assert np.isnan(distance).all()


@pytest.mark.few("False-fgsm", "True-cw", "False-apgd")
@ONE_MODERN
@pytest.mark.parametrize("targeted", [False, True])
def test_nan_logits_are_no_success(name, targeted):
    """Their argmax is class 0, which is neither another class than the label, nor the target 0."""
    if targeted and name in UNTARGETED:
        return  # it has no targeted form
    clf = random_linear(17, 3, apply=lambda params, images: linear_apply(params, images) * jnp.nan)
    clf.contract.is_exempt = True  # or it would be refused
    images, labels = inner_images(18, 2), np.array([2, 1])
    result = jaxadv.run_attack(
        clf, ATTACKS[name], images, labels, np.zeros(2, int) if targeted else None, lanes=LANES
    )
    assert not result.success.any()
    assert_clean(result, images, name)
    assert np.isnan(result.l2).all()


@pytest.mark.few("fgsm", "cw", slow=("ead", "ifgsm", "ifgsm_search", "apgd", "ddn"))
@ONE_MODERN
def test_a_model_that_breaks_on_the_way_gives_no_nan_image(name):
    """NaN for every image whose first pixel is below one half; half of the images begin there, the
    others are pushed there.
    """
    clf = random_linear(19, 3, apply=nan_where_dark)
    clf.contract.is_exempt = True  # or it would be refused
    clf.params["weights"][0] = [3, -3, 3]
    images = inner_images(20, 6)
    images[:, 0, 0, 0] = [0.45, 0.51, 0.45, 0.51, 0.45, 0.51]
    labels = np.array([1, 0, 2, 0, 1, 2])
    result = jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=LANES)
    assert np.isfinite(result.adversarial).all()
    assert result.adversarial.min() >= 0 and result.adversarial.max() <= 1
    np.testing.assert_array_equal(np.isnan(result.l2), ~result.success)


@pytest.mark.slow
def test_fixed_budget_returns_its_last_iterate_search_the_clean_image():
    clf, images = random_linear(21, 2), inner_images(22, 5)
    labels = clf.predict(images)
    tiny = 1e-6  # far too little to succeed
    for attack in (jaxadv.FGSM(tiny * 10), jaxadv.IFGSM(eps=tiny * 10, steps=2)):
        result = jaxadv.run_attack(clf, attack, images, labels)
        assert not result.success.any() and np.isnan(result.linf).all()
        moved = np.abs(result.adversarial - images).max((1, 2, 3))
        np.testing.assert_allclose(moved, tiny * 10, rtol=0.05)
        np.testing.assert_array_equal(result.predicted, labels)
    result = jaxadv.run_attack(
        clf, jaxadv.IFGSM(initial_eps=tiny, attempts=3, steps=2), images, labels
    )
    assert not result.success.any()
    np.testing.assert_array_equal(result.adversarial, images)
    np.testing.assert_allclose(
        result.details["eps"], np.tile([tiny, 2 * tiny, 4 * tiny], (5, 1)), rtol=1e-6
    )


@pytest.mark.few("ifgsm_search", slow=("fab", "ead", "cw", "fmn", "square", "alma"))
@EVERY_PROBE
def test_counts_are_the_evaluations_that_were_made(name):
    """A single lane and image: each count is a call of the model.

    Probes without a fixed length are seen to be done one cycle late.
    """
    model = Counting(3)
    model.classifier.contract.is_exempt = True  # whose questions are not the attack's
    images = inner_images(23, 1)
    labels = model.classifier.predict(images)
    jax.effects_barrier()
    model.batches = 0
    result = jaxadv.run_attack(model.classifier, ATTACKS[name], images, labels, lanes=1)
    jax.effects_barrier()
    counted = int(result.gradients[0] + result.forwards[0])
    schedule = ATTACKS[name].schedule
    ends_early = schedule.cycles is None and counted - 1 < len(schedule.cycle) * (
        schedule.most or np.inf
    )
    ranks = needs_of(ATTACKS[name]).others > 0  # the classes, by one more call
    assert model.batches == counted + ends_early * len(schedule.cycle) + ranks
    expected = {"fgsm": (1, 1), "ifgsm": (4, 1), "ifgsm_search": (1 + 4 * 3, 4 + 1)}
    expected |= {name: (12, 1) for name in ("ddn", "fmn", "pdpgd", "alma")}
    expected["fab"] = (2 * 5, 2 * 5 + 1)
    if name in expected:
        assert (result.gradients[0], result.forwards[0]) == expected[name]
    elif name in ("cw", "ead"):
        iterations = result.details["iterations"][0]
        assert result.gradients[0] == iterations.sum() and (iterations > 0).all()
        assert result.forwards[0] == 1 + (iterations.sum() if name == "ead" else 0)


@pytest.mark.few("fgsm", slow=("ifgsm_search", "cw", "apgd", "autoattack"))
@ONE_MODERN
def test_more_and_fewer_items_than_lanes(name):
    clf = random_linear(24, 3)
    images = inner_images(25, 23)
    labels = clf.predict(images)
    one = jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=2)
    other = jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=64)
    np.testing.assert_array_equal(one.success, other.success)
    # Pixels near 1 are rounded to 6e-8: a distance of 2e-4 moves by a thousandth of itself.
    np.testing.assert_allclose(one.l2, other.l2, rtol=1e-4, atol=5e-7)
    if ATTACKS[name].searches:
        assert one.success.any()
    nothing = jaxadv.run_attack(clf, ATTACKS[name], images[:0], labels[:0])
    assert nothing.adversarial.shape == (0, SIZE, SIZE, 3) and nothing.success.shape == (0,)


@pytest.mark.slow
def test_a_mixed_queue_gives_what_each_attack_gives_alone():
    clf = random_linear(26, 3)
    images = inner_images(27, 4)
    labels = clf.predict(images)
    names = PROBES
    queue = [ATTACKS[name] for _ in range(4) for name in names]
    mixed = run_attacks(
        clf,
        queue,
        np.repeat(images, len(names), axis=0),
        np.repeat(labels, len(names)),
        np.zeros(len(queue), bool),
        lanes=LANES,
        ids=np.repeat(np.arange(4), len(names)),
    )
    for position, name in enumerate(names):
        alone = jaxadv.run_attack(clf, ATTACKS[name], images, labels, lanes=LANES)
        chosen = slice(position, None, len(names))
        for field in ("adversarial", "success", "predicted", "l1", "gradients", "forwards"):
            np.testing.assert_array_equal(
                getattr(mixed, field)[chosen], getattr(alone, field), err_msg=f"{name} {field}"
            )


def test_engine_yields_every_item_once_with_its_own_result():
    clf = random_linear(28, 3)
    images = inner_images(29, 9)
    items = [AttackItem(image, np.int32(0), np.bool_(False)) for image in images]
    probes = [
        jaxadv.FGSM(0.01 * (1 + i))
        if i % 2
        else jaxadv.CarliniWagnerL2(0.1 * i, steps=6, search_steps=2)
        for i in range(9)
    ]
    results = list(engine.run(clf, probes, items, lanes=2))
    assert sorted(index for index, _ in results) == list(range(9))
    for index, outcome in results:
        if index % 2:
            np.testing.assert_allclose(
                np.abs(outcome.image - images[index]).max(), 0.01 * (1 + index), rtol=1e-4
            )
        else:
            assert outcome.details["iterations"].max() <= 6


@pytest.mark.slow
def test_samples_lie_where_the_protocol_says():
    """Released: in the pixel range, distance uniform on [0, radius] as long as no pixel is clipped.

    Paper: uniform in a ball.
    """
    image = jnp.full((8, 8, 3), 0.5)
    keys = jax.random.key_data(jax.random.split(jax.random.key(0), 400))
    for protocol, radius in (("released", 0.5), ("paper", 5.0)):
        sampler = CleverSampler(radius=radius, samples=1, protocol=protocol)
        points = np.asarray(jax.vmap(lambda key, sampler=sampler: sampler.draw(key, image))(keys))
        distance = np.linalg.norm((points - 0.5).reshape(400, -1), axis=1) / radius
        assert distance.max() <= 1 + 1e-5
        law = (lambda d: d) if protocol == "released" else (lambda d: d**192)  # n = 192 dimensions
        shares = np.sort(law(distance))
        assert (
            np.abs(shares - (np.arange(400) + 0.5) / 400).max() < 0.09
        )  # Kolmogorov-Smirnov at 400 samples, 0.3 %
    wide = CleverSampler(radius=50.0, samples=1, protocol="released").draw(keys[0], image)
    assert float(wide.min()) >= 0 and float(wide.max()) <= 1
    item = SampleItem(image, *(jnp.int32(v) for v in (0, 1, 0, 0, 0)))
    point, objective = sampler.ask(item, sampler.init(item), sampler.schedule.cycle[0], 4)
    np.testing.assert_array_equal(objective.weights, [1, -1, 0, 0])
    assert point.shape == image.shape


def test_samples_are_drawn_by_the_generator_of_jax():
    """Threefry, to the bit: of blocks of counters, and of a key and a number."""
    key, blocks = jax.random.key(7), np.arange(100, dtype=np.uint32).reshape(2, 50)
    words = threefry(jax.random.key_data(key), *blocks)
    np.testing.assert_array_equal(
        np.concatenate(words), threefry_2x32(jax.random.key_data(key), blocks.ravel())
    )
    words = threefry(jax.random.key_data(key), jnp.uint32(0), jnp.uint32(12))
    np.testing.assert_array_equal(
        jnp.stack(words), jax.random.key_data(jax.random.fold_in(key, 12))
    )


def test_near_tie_rule_of_the_release():
    """Targeted only, two logits within 0.001 of the largest, the target among them, the last class
    left out.
    """
    logits = np.array(
        [
            [1.0, 0.9995, 0.0, 0.0],
            [1.0, 0.99, 0.0, 0.0],
            [1.0, 0.0, 0.0, 0.9995],
            [1.0, 0.9995, 0.0, 0.0],
        ],
        np.float32,
    )
    classes = np.array([1, 1, 3, 0])
    np.testing.assert_array_equal(
        near_ties(logits, classes, np.ones(4, bool)), [True, False, False, False]
    )
    assert not near_ties(logits, classes, np.zeros(4, bool)).any()


class Endless:
    """Items that are made when they are asked for."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, number: int) -> AttackItem:
        return AttackItem(inner_images(number, 1)[0], np.int32(0), np.bool_(False))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_items():
    """Ten thousand take no more than a hundred, to two bytes an item's pixel: their numbers in a
    list, and no image.
    """
    classifier, peaks = random_linear(0, 4), []
    for count in (100, 100, 10_000):  # the first compiles
        tracemalloc.start()
        seen = sum(
            1 for _ in engine.run(classifier, [ATTACKS["fgsm"]] * count, Endless(count), lanes=32)
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert seen == count
    live = sum(array.nbytes for array in jax.live_arrays())
    assert peaks[2] - peaks[1] < 10_000 * SIZE * SIZE * 3 * 2, peaks
    assert live < 10_000 * SIZE * SIZE * 3
