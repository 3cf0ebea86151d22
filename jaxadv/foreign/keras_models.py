"""Keras models as classifiers: `from_keras`. Keras 3 computes on JAX itself, so nothing is read."""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core.classifier import Classifier
from jaxadv.foreign import network, trust
from jaxadv.foreign.keras_applications import application_of, preprocess_of
from jaxadv.foreign.network import normalisation, plain_name
from jaxadv.foreign.silence import reason, silent
from jaxadv.support import places
from model_ports import checkpoint
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
    logits, without_softmax = _logits_of(keras, model)
    params = _params(logits)
    twins: dict[str, Any] = {}

    def of(dtype: Any) -> Any:
        """The model, or its twin in double precision."""
        if dtype != np.float64:
            return logits
        if "double" not in twins:
            twins["double"] = _in_double(keras, logits)
        return twins["double"]

    def apply(params: Any, images: jax.Array) -> jax.Array:
        own = of(images.dtype)
        return _called(own, params, prepared(images))

    outputs = _outputs(apply, params, size, name)
    _check_state(logits, params, prepared(jnp.zeros((1, size, size, 3), np.float32)), name)
    proof = None
    if prove:
        proof = trust.prove(
            name, apply, params, _original(of, prepared), input_size=size, outputs=outputs
        )
        if without_softmax:
            pixels = prepared(jnp.asarray(trust.test_images(size), np.float32))
            _check_softmax(model, logits, np.asarray(pixels), name)
    kept = {
        "source": f"keras: {Path(given).name if model is not given else model.name}",
        "framework": f"keras {keras.__version__} on jax",
        "preprocessing": told,
        "without_softmax": without_softmax,
        "sha256": _fingerprint(apply, params, _seeds(logits), size),
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


# --- the function ------------------------------------------------------------


def _params(model: Any) -> dict[str, np.ndarray]:
    """The weights by kind and place, since names depend on what else was made before."""
    groups = {"t": model.trainable_variables, "n": model.non_trainable_variables}
    return {
        f"{kind}{place:05d}": np.asarray(variable.value)
        for kind, variables in groups.items()
        for place, variable in enumerate(variables)
    }


def _called(model: Any, params: Any, pixels: jax.Array) -> jax.Array:
    out: Any = model.stateless_call(*_split(params), pixels, training=False)[0]
    logits: Any = out["logits"] if isinstance(out, dict) and "logits" in out else out
    return logits


def _split(params: Any) -> tuple[list[Any], list[Any]]:
    names = sorted(params)
    trained, others = ([params[n] for n in names if n[0] == kind] for kind in "tn")
    return trained, others


def _check_state(model: Any, params: Any, pixels: jax.Array, name: str) -> None:
    """Raises InputError for a model that draws random numbers, or changes a variable, at a call."""

    def after(params: Any, pixels: jax.Array) -> list[jax.Array]:
        return model.stateless_call(*_split(params), pixels, training=False)[1]

    before = _split(params)[1]
    values = jax.device_get(jax.jit(after)(params, pixels))
    for variable, old, new in zip(model.non_trainable_variables, before, values, strict=True):
        if np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
            continue
        if "seed_generator_state" in variable.path:
            raise InputError(
                f"{name} draws random numbers ({variable.path}), so that no two calls agree; "
                "call its layers without training=True"
            )
        raise InputError(
            f"{name} changes {variable.path!r} at each call; take the state out of the model"
        )


def _outputs(apply: trust.Apply, params: Any, size: int, name: str) -> int:
    one = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    out = jax.eval_shape(apply, params, one)
    if len(getattr(out, "shape", ())) != 2:
        raise InputError(f"{name} gives {out}; one array (N, classes) is needed")
    return out.shape[1]


def _original(of: Callable[[Any], Any], prepared: Preprocess) -> trust.Original:
    """The model as Keras itself predicts with it. Its gradient would be JAX's, as ours is."""

    def original(images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, None]:
        with jax.enable_x64(images.dtype == np.float64), silent():
            pixels = np.asarray(prepared(jnp.asarray(images)))
            out = of(images.dtype).predict_on_batch(pixels)
        return np.asarray(out["logits"] if isinstance(out, dict) else out), None

    return original


def _check_softmax(model: Any, logits: Any, pixels: np.ndarray, name: str) -> None:
    """Raises InputError where a model is not the softmax of what was taken for its logits."""
    with silent():
        found, expected = (
            np.asarray(each.predict_on_batch(pixels), np.float64) for each in (logits, model)
        )
    found = np.exp(found - found.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    if not np.allclose(found, expected, rtol=1e-4, atol=1e-6):
        raise InputError(f"{name} has a softmax at its end that cannot be left out; give logits")


def _seeds(model: Any) -> set[str]:
    """The names of the states of random generators, which evaluation does not use."""
    return {
        f"n{place:05d}"
        for place, variable in enumerate(model.non_trainable_variables)
        if "seed_generator_state" in variable.path
    }


def _fingerprint(apply: trust.Apply, params: Any, seeds: set[str], size: int) -> str:
    """sha256 over the weights, without ``seeds``, and the program."""
    images = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    program = jax.jit(apply).lower(params, images).as_text()
    weights = {name: array for name, array in params.items() if name not in seeds}
    return hashlib.sha256(f"{checkpoint.fingerprint(weights)}\n{program}".encode()).hexdigest()


def _logits_of(keras: Any, model: Any) -> tuple[Any, bool]:
    """The model without a softmax at its end, and whether there was one. Layers are shared."""
    outputs = getattr(model, "outputs", None)
    if not outputs or len(outputs) != 1 or not hasattr(outputs[0], "_keras_history"):
        return model, False
    last = outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.Softmax):
        return keras.Model(model.inputs, last.input), True
    if isinstance(last, keras.Model):
        inner, changed = _logits_of(keras, last)
        return (keras.Model(model.inputs, inner(last.input)), True) if changed else (model, False)
    if getattr(last, "activation", None) is not keras.activations.softmax:
        return model, False
    if isinstance(last, keras.layers.Activation):
        return keras.Model(model.inputs, last.input), True
    linear = type(last).from_config(last.get_config() | {"activation": "linear"})
    logits = keras.Model(model.inputs, linear(last.input))
    linear.set_weights(last.get_weights())
    return logits, True


def _in_double(keras: Any, model: Any) -> Any:
    """The same model in double precision, while JAX has that."""

    def wide(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: wide(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(wide, value))
        return "float64" if isinstance(value, str) and value == "float32" else value

    with silent():
        twin = keras.saving.deserialize_keras_object(
            wide(keras.saving.serialize_keras_object(model))
        )
    for own, other in zip(twin.variables, model.variables, strict=True):
        own.assign(np.asarray(other.value))
    return twin


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
