"""Networks of keras.applications on two backends, each in a process of its own: a backend is chosen
when Keras is imported.

python keras_sides.py tensorflow|jax FOLDER NAME...: TensorFlow writes weights, logits and input
gradients in double precision; JAX reads them and prints, as JSON, how far `jaxadv.from_keras` is
from that, and what its own proof says.
"""

import json
import os
import sys
from pathlib import Path

SIZES = {
    "VGG16": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "InceptionV3": 75,
    "InceptionResNetV2": 75,
    "Xception": 71,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "DenseNet121": 32,
    "NASNetMobile": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "ConvNeXtTiny": 32,
}
"""A network of each family, and pixels at which it takes seconds."""
CLASSES = 10


def made(keras, name: str):
    size = SIZES[name]
    make = getattr(keras.applications, name)
    return make(
        weights=None, classes=CLASSES, classifier_activation=None, input_shape=(size, size, 3)
    )


def on_tensorflow(folder: Path, names: list[str]) -> None:
    import numpy as np

    import keras  # isort: skip
    import tensorflow as tf

    from jaxadv.foreign import trust

    keras.config.set_floatx("float64")
    for name in names:
        keras.utils.clear_session()
        model = made(keras, name)
        for layer in model.layers:  # TensorFlow takes Python's floats by way of float32
            if isinstance(layer, keras.layers.Rescaling):
                layer.scale, layer.offset = np.float64(layer.scale), np.float64(layer.offset)
            if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
                for kind in ("mean", "variance"):
                    exact = np.array(getattr(layer, f"input_{kind}"), np.float64)
                    setattr(layer, kind, tf.constant(exact.reshape(getattr(layer, kind).shape)))
        random = np.random.default_rng(1)
        weights = []
        for weight in model.weights:
            kind, shape = weight.path.rpartition("/")[2], tuple(weight.shape)
            if "kernel" in kind:
                fan_in = shape[0] * shape[1] if kind == "depthwise_kernel" else np.prod(shape[:-1])
                value = random.standard_normal(shape) * np.sqrt(1.5 / fan_in)
            elif kind in ("gamma", "moving_variance", "variance"):
                value = random.uniform(0.6, 1.4, shape)
            elif kind == "count":
                value = np.asarray(weight)
            else:
                value = 0.2 * random.standard_normal(shape)
            weights.append(value.astype(np.float32))
            weight.assign(weights[-1])
        images, slopes = (
            trust.test_images(SIZES[name]),
            np.random.default_rng(2).normal(size=(2, CLASSES)),
        )
        prepare = sys.modules[getattr(keras.applications, name).__module__].preprocess_input
        pixels = tf.constant(images, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            logits = model(prepare(255 * pixels), training=False)
            total = tf.reduce_sum(logits * slopes)
        arrays = {f"weight{at:05d}": weight for at, weight in enumerate(weights)}
        np.savez(
            folder / f"{name}.npz",
            images=images,
            slopes=slopes,
            logits=logits.numpy(),
            gradient=tape.gradient(total, pixels).numpy(),
            **arrays,
        )


def on_jax(folder: Path, names: list[str]) -> None:
    import warnings

    import jax
    import keras
    import numpy as np

    import jaxadv
    from jaxadv.foreign import trust

    told = {}
    for name in names:
        keras.utils.clear_session()
        jax.clear_caches()
        model = made(keras, name)
        with np.load(folder / f"{name}.npz") as file:
            arrays = dict(file)
        for weight, key in zip(
            model.weights, sorted(k for k in arrays if k.startswith("weight")), strict=True
        ):
            weight.assign(arrays[key])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            classifier = jaxadv.from_keras(model)
        params = jax.device_get(classifier.params)
        expected = (arrays["logits"], arrays["gradient"])
        with jax.enable_x64(True):
            double = trust.answer(
                classifier.oracle.apply, params, arrays["images"], arrays["slopes"]
            )
        single = trust.answer(
            classifier.oracle.apply, params, arrays["images"].astype(np.float32), None
        )
        told[name] = {
            "double": trust.differences(double, expected)._asdict(),
            "single": trust.differences(single, (expected[0], None))._asdict(),
            "proof": classifier.facts["proof"],
            "preprocessing": classifier.facts["preprocessing"],
            "said": [str(each.message) for each in said if "differ" in str(each.message)],
        }
    print(json.dumps(told))


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = sys.argv[1]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    {"tensorflow": on_tensorflow, "jax": on_jax}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3:])
