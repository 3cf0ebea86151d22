"""Keras models as classifiers: `from_keras`. Keras 3 computes on JAX itself, so nothing is read."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core.classifier import Classifier
from jaxadv.foreign import keras_function, network, trust
from jaxadv.foreign.keras_applications import application_of, preprocess_of
from jaxadv.foreign.network import normalisation, plain_name
from jaxadv.foreign.silence import reason, silent
from jaxadv.support import places
from model_ports.errors import InputError

Preprocess = Callable[[Any], Any]
"""From pixels of 0..255, (N, S, S, 3), to what a model takes, such as
``keras.applications.resnet50.preprocess_input``."""


def from_keras(
    model: Any,
    *,
    input_size: int | None = None,
    preprocess: Preprocess | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
    label_offset: int = 0,
    prove: bool = True,
    facts: dict[str, Any] | None = None,
) -> Classifier:
    """A classifier from a model of Keras 3 on the JAX backend, in evaluation mode.

    A softmax at the end is left out. Its weights become parameters of the classifier. At conversion
    logits are compared on two images with what Keras itself predicts, in double and in single
    precision; the gradient is JAX's in both.

    Args:
        model: a `keras.Model`, or a .keras or .h5 file of one; images (N, S, S, 3) to (N, K).
        input_size: S, pixels. None: that of the model.
        preprocess: what is done to pixels of 0..255 first. None: of a network of
            keras.applications, its own; else the images in [0, 1] as they are.
        mean, std: instead, the model gets ``(image - mean) / std`` of images in [0, 1].
        num_classes: K, without background classes. None: as many as the model puts out.
        name: what tables call it. None: the model's.
        label_offset: background columns in front of the real classes.
        prove: whether to compare with the model as it is.
        facts: what else is to be kept with results.

    Returns:
        A `Classifier`, whose ``facts`` have "source", "sha256" and, in "proof", how far it is from
        the model.

    Raises:
        InputError: Keras is on another backend; the model takes no square images of three channels,
            is quantised, random or in lower precision; or the proof fails. The message is one line.
    """
    keras = import_keras()
    given = model
    if isinstance(model, (str, os.PathLike)):
        model = _opened(keras, places.place("model", model))
    if not isinstance(model, keras.Model):
        raise InputError(f"{type(model).__name__} is given; a keras.Model or its file is needed")
    name = name or plain_name(Path(given).stem if model is not given else model.name)
    _check(keras, model, name)
    size = network.input_size(input_size, _side(model, name), name)
    if preprocess is not None and not (mean is None and std is None):
        raise InputError("preprocess, and mean or std, are given; leave one of them out")
    application = application_of(keras, model)
    if application and preprocess is None and mean is None and std is None:
        preprocess = preprocess_of(application)
    prepared, told = _prepared(preprocess, mean, std)
    logits, without_softmax = keras_function.logits_of(keras, model)
    params = keras_function.params_of(logits)
    twins: dict[str, Any] = {}

    def of(dtype: Any) -> Any:
        """The model, or its twin in double precision."""
        if dtype != np.float64:
            return logits
        if "double" not in twins:
            twins["double"] = keras_function.in_double(keras, logits)
        return twins["double"]

    def apply(params: Any, images: jax.Array) -> jax.Array:
        own = of(images.dtype)
        return keras_function.called(own, params, prepared(images))

    outputs = keras_function.outputs_of(apply, params, size, name)
    keras_function.check_state(
        logits, params, prepared(jnp.zeros((1, size, size, 3), np.float32)), name
    )
    proof = None
    if prove:
        proof = trust.prove(
            name,
            apply,
            params,
            keras_function.original(of, prepared),
            input_size=size,
            outputs=outputs,
        )
        if without_softmax:
            pixels = prepared(jnp.asarray(trust.test_images(size), np.float32))
            keras_function.check_softmax(model, logits, np.asarray(pixels), name)
    kept = {
        "source": f"keras: {Path(given).name if model is not given else model.name}",
        "framework": f"keras {keras.__version__} on jax",
        "preprocessing": told,
        "without_softmax": without_softmax,
        "sha256": keras_function.fingerprint(apply, params, keras_function.seeds(logits), size),
        "proof": proof,
    }
    return network.classifier(
        apply,
        params,
        name=name,
        input_size=size,
        outputs=outputs,
        num_classes=num_classes,
        label_offset=label_offset,
        facts=kept | (facts or {}),
    )


def import_keras() -> Any:
    """Keras on JAX. Raises InputError."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed; run: pip install 'jaxadv[keras]'"
        ) from error
    if keras.backend.backend() != "jax":
        raise InputError(
            f"Keras computes on {keras.backend.backend()} here, and JAX is needed; "
            "set KERAS_BACKEND=jax in the environment, before keras is imported"
        )
    return keras


def _opened(keras: Any, file: Path) -> Any:
    if not file.is_file():
        raise InputError(f"there is no file {str(file)!r}; name a .keras or .h5 file of a model")
    try:
        with silent():
            return keras.saving.load_model(file, compile=False)
    except Exception as error:  # of Keras, of h5py, of the model's own code
        raise InputError(
            f"{str(file)!r} cannot be opened by Keras ({reason(error)}); "
            "load it in a function of your own, and give that by --model_module"
        ) from error


def _side(model: Any, name: str) -> int | None:
    shape = getattr(model, "input_shape", None)
    if shape is None:  # of a class of one's own
        return None
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] != 3:
        raise InputError(
            f"{name} takes {shape}; one array (N, S, S, 3) is needed, with channels last"
        )
    if shape[1] != shape[2]:
        raise InputError(f"{name} takes images of {shape[1:3]} pixels; square ones are needed")
    return shape[1]


def _check(keras: Any, model: Any, name: str) -> None:
    """Raises InputError for a model that is not built, quantised, or of lower precision."""
    if not model.built:
        raise InputError(f"{name} has no weights yet; call it on an image first")
    for layer in model._flatten_layers():
        policy = getattr(layer, "dtype_policy", None)
        if getattr(layer, "quantization_mode", None) or getattr(policy, "quantization_mode", None):
            raise InputError(
                f"{name}: layer {layer.name!r} is quantised; give the network from before"
            )
        if policy is not None and policy.compute_dtype != "float32":
            raise InputError(
                f"{name}: layer {layer.name!r} computes in {policy.compute_dtype}; "
                "single precision is needed: build the model with the policy 'float32'"
            )


# --- preprocessing -----------------------------------------------------------


def _prepared(
    preprocess: Preprocess | None, mean: Any, std: Any
) -> tuple[Preprocess, dict[str, Any]]:
    """From images in [0, 1] to what the model takes, and how it is called."""
    if preprocess is not None:
        known = f"{preprocess.__module__}.{getattr(preprocess, '__name__', 'preprocess')}"
        return lambda images: preprocess(255 * images), {"function": known}
    means, deviations = normalisation(mean, std)

    def prepared(images: jax.Array) -> jax.Array:
        return (images - jnp.asarray(means, images.dtype)) / jnp.asarray(deviations, images.dtype)

    return prepared, {"mean": list(means), "std": list(deviations)}
