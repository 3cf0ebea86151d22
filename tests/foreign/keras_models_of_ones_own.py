"""Small Keras models on JAX, converted, and refused: `python keras_models_of_ones_own.py
FOLDER`.
"""

import functools
import sys
import warnings
from pathlib import Path

import jax
import keras
import numpy as np

import jaxadv
from jaxadv.foreign import keras_function, trust
from model_ports.errors import InputError

SIZE = 16
layers = keras.layers
IMAGES = np.random.default_rng(0).uniform(size=(3, SIZE, SIZE, 3)).astype(np.float32)


def small(activation=None, *, last=None, first=(), size=SIZE):
    keras.utils.set_random_seed(0)
    parts = [
        keras.Input((size, size, 3)),
        *first,
        layers.Conv2D(8, 3, padding="same", strides=2),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, activation=activation),
    ]
    return keras.Sequential(parts + ([last] if last is not None else []))


class Noise(layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.seed_generator)


class Counts(layers.Layer):
    def build(self, shape):
        self.calls = self.add_weight(name="calls", shape=(), trainable=False)

    def call(self, inputs):
        self.calls.assign(self.calls + 1)
        return inputs * self.calls


def softmax(logits):
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def refused(model, *words: str, **settings) -> None:
    try:
        jaxadv.from_keras(model, **settings)
    except InputError as error:
        said = str(error)
        assert "\n" not in said and all(word in said for word in words), said
    else:
        raise AssertionError(f"not refused: {words}")


def computes_in_double() -> None:
    """The twin that proofs ask, in all its layers."""
    with jax.enable_x64(True):
        twin = keras_function.in_double(keras, small())
        arguments = keras_function.params_of(twin), np.float64(IMAGES)
        program = str(jax.make_jaxpr(functools.partial(keras_function.called, twin))(*arguments))
    assert "f64" in program and "f32" not in program, program


def main(folder: Path) -> None:
    model = small()
    classifier = jaxadv.from_keras(model, mean=0.5, std=0.25, name="small")
    proof = classifier.facts["proof"]
    assert proof["double"]["logits"] < trust.DOUBLE and proof["single"]["logits"] < trust.SINGLE
    computes_in_double()
    expected = np.asarray(model((IMAGES - 0.5) / 0.25, training=False))
    np.testing.assert_allclose(classifier.logits(IMAGES), expected, rtol=1e-4, atol=1e-5)
    labels = classifier.predict(IMAGES)
    one, three = (
        jaxadv.run_attack(classifier, jaxadv.FGSM(eps=0.2), IMAGES, labels, lanes=lanes)
        for lanes in (1, 3)
    )
    assert (one.success == three.success).all()
    np.testing.assert_allclose(one.adversarial, three.adversarial, atol=1e-6)

    # a softmax inside the last layer, behind it, and in a model inside the model
    nested = keras.Sequential([keras.Input((SIZE, SIZE, 3)), small("softmax")])
    for with_softmax in (
        small("softmax"),
        small(last=layers.Softmax()),
        small(last=layers.Activation("softmax")),
        nested,
    ):
        without = jaxadv.from_keras(with_softmax, prove=with_softmax is nested)
        assert without.facts["without_softmax"]
        found = softmax(np.asarray(without.logits(IMAGES)))
        np.testing.assert_allclose(found, with_softmax.predict(IMAGES, verbose=0), rtol=1e-4)

    # files, the fingerprint, and functions on pixels of 0..255
    model.save(folder / "my net.keras")
    model.save(folder / "old.h5")
    read, old, again = (
        jaxadv.from_keras(folder / "my net.keras", prove=False),
        jaxadv.from_keras(folder / "old.h5", prove=False),
        jaxadv.from_keras(small(), prove=False, name="again"),
    )
    assert read.name == "my_net"
    assert read.facts["sha256"] == again.facts["sha256"] == old.facts["sha256"]
    assert classifier.facts["sha256"] != read.facts["sha256"]
    scaled = small(first=[layers.Rescaling(1 / 255)])
    by_function = jaxadv.from_keras(scaled, preprocess=lambda pixels: pixels, prove=False)
    np.testing.assert_allclose(
        by_function.logits(IMAGES), again.logits(IMAGES), rtol=1e-3, atol=1e-5
    )

    # what is refused
    refused(3, "int", "keras.Model")
    refused(folder / "no.keras", "no file")
    refused(small(size=None), "input_size is not given")
    refused(keras.Sequential([keras.Input((8, 9, 3)), layers.Flatten()]), "square")
    refused(keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten()]), "channels last")
    refused(keras.Sequential([layers.Flatten()]), "no weights yet")
    refused(keras.Sequential([keras.Input((8, 8, 3)), layers.ReLU()]), "(N, classes)")
    refused(small(), "leave one of them out", preprocess=abs, mean=0.5)
    refused(small(first=[Noise()]), "draws random numbers")
    refused(small(first=[Counts()]), "calls", "take the state out")
    keras.config.set_dtype_policy("mixed_bfloat16")
    lower = small()
    keras.config.set_dtype_policy("float32")
    refused(lower, "bfloat16", "'float32'")
    quantised = small()
    quantised.quantize("int8")
    refused(quantised, "quantised")
    (folder / "bad.keras").write_bytes(b"no")
    refused(folder / "bad.keras", "cannot be opened by Keras", "--model_module")
    assert jax.default_backend() == "cpu"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
