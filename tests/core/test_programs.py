"""Traced programs that are kept on disk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxadv
from jaxadv.core import programs
from jaxadv.core.programs import Program

PARAMS, IMAGES = np.float32(2), np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def folder(tmp_path):
    """Where programs are kept, a test's own."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path / "traced"
    jax.config.update("jax_compilation_cache_dir", before)


class Counted:
    """A function that knows how often it was traced."""

    def __init__(self):
        self.times = 0

    def __call__(self, params, images):
        self.times += 1
        return jnp.sin(params * images)


def kept(*arguments, name="sine") -> tuple[np.ndarray, int]:
    """The answer of a program that is kept, and how often that took a trace: as in a process of its
    own.
    """
    function = Counted()
    program = Program(function, {})
    program.keep(name, *arguments)
    return np.asarray(program(*arguments)), function.times


def test_a_program_is_traced_once_on_a_machine(folder):
    plain = np.asarray(Program(Counted(), {})(PARAMS, IMAGES))
    for times in (1, 0, 0):
        answer, traced = kept(PARAMS, IMAGES)
        assert traced == times
        np.testing.assert_array_equal(answer, plain)


def test_another_name_or_shape_is_another_program(folder):
    assert (
        kept(PARAMS, IMAGES)[1]
        == kept(PARAMS, IMAGES, name="another")[1]
        == kept(PARAMS, IMAGES[:1])[1]
        == 1
    )
    assert len(list(folder.iterdir())) == 3


def test_arguments_of_other_types_are_traced_as_usual(folder):
    function = Counted()
    program = Program(function, {})
    program.keep("sine", PARAMS, IMAGES)
    program.keep("sine", PARAMS, IMAGES)
    assert function.times == 1
    np.testing.assert_allclose(program(PARAMS, IMAGES[:1]), np.sin(2 * IMAGES[:1]), rtol=1e-6)
    assert function.times == 2
    assert program.lower(PARAMS, IMAGES[:1]).out_info.shape == (1, 3)
    assert program.eval_shape(PARAMS, IMAGES).shape == (2, 3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: content[:50] + b"?" + content[51:],
    ],
)
def test_a_damaged_text_is_made_again(folder, damage):
    kept(PARAMS, IMAGES)
    (text,) = folder.iterdir()
    text.write_bytes(damage(text.read_bytes()))
    assert kept(PARAMS, IMAGES)[1] == 1
    assert kept(PARAMS, IMAGES)[1] == 0


def test_without_flatbuffers_it_is_traced(folder, monkeypatch):
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    assert kept(PARAMS, IMAGES)[1] == kept(PARAMS, IMAGES)[1] == 1
    assert not folder.exists()


def test_where_nothing_can_be_kept_it_is_traced(folder):
    folder.write_bytes(b"no folder")
    assert kept(PARAMS, IMAGES)[1] == kept(PARAMS, IMAGES)[1] == 1
    jax.config.update("jax_compilation_cache_dir", str(folder.parent / "nowhere"))
    assert kept(PARAMS, IMAGES)[1] == kept(PARAMS, IMAGES)[1] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["mobilenet_v1_025", pytest.param("vgg_16", marks=pytest.mark.long)]
)
def test_a_network_of_the_zoo_answers_the_same_and_is_compiled_once(folder, model):
    lanes = 4
    classifier, plain = jaxadv.load_classifier(model), jaxadv.load_classifier(model)
    classifier.compile(lanes)
    images = (
        np.random.default_rng(0)
        .uniform(0.1, 0.9, (6, classifier.input_size, classifier.input_size, 3))
        .astype(np.float32)
    )
    labels = plain.predict(images)
    answers = [
        one.oracle.ask(one.params, images[:lanes], classifier.grey(lanes)[1])
        for one in (classifier, plain)
    ]
    jax.tree.map(np.testing.assert_array_equal, *answers)
    attack = jaxadv.IFGSM(eps=0.1, steps=3)
    results = [
        jaxadv.run_attack(one, attack, images, labels, lanes=lanes) for one in (classifier, plain)
    ]
    np.testing.assert_array_equal(results[0].adversarial, results[1].adversarial)
    assert len(list(folder.iterdir())) == 2
    compiled = [
        run
        for program in (classifier.oracle.logits, classifier.oracle.ask)
        for run in program._kept.values()
    ]
    assert [run._cache_size() for run in compiled] == [
        1,
        2,
    ]  # the second of ask: of the arrays above, which are on no device
