"""What is asked of a model of Keras: the function of its weights, its fingerprint, the same in double
precision, and what no run may do, such as draw random numbers."""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.foreign import trust
from jaxadv.foreign.silence import silent
from model_ports import checkpoint
from model_ports.errors import InputError


def params_of(model: Any) -> dict[str, np.ndarray]:
    """The weights by kind and place, since names depend on what else was made before."""
    groups = {"t": model.trainable_variables, "n": model.non_trainable_variables}
    return {
        f"{kind}{place:05d}": np.asarray(variable.value)
        for kind, variables in groups.items()
        for place, variable in enumerate(variables)
    }


def called(model: Any, params: Any, pixels: jax.Array) -> jax.Array:
    with _wide_types():
        out: Any = model.stateless_call(*_split(params), pixels, training=False)[0]
    logits: Any = out["logits"] if isinstance(out, dict) and "logits" in out else out
    return logits


@contextlib.contextmanager
def _wide_types() -> Iterator[None]:
    """Let layers of float64 compute in it.

    On JAX, Keras takes float32 for the common type of float64 and any other. BatchNormalization asks
    for that, and would compute a model in double precision in single.
    """
    types = sys.modules.get("keras.src.backend.common.dtypes")
    table: dict[str, str] = getattr(types, "BIT64_TO_BIT32_DTYPE", {})
    before = dict(table)
    table["float64"] = "float64"
    try:
        yield
    finally:
        table.update(before)


def _split(params: Any) -> tuple[list[Any], list[Any]]:
    names = sorted(params)
    trained, others = ([params[n] for n in names if n[0] == kind] for kind in "tn")
    return trained, others


def check_state(model: Any, params: Any, pixels: jax.Array, name: str) -> None:
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


def outputs_of(apply: trust.Apply, params: Any, size: int, name: str) -> int:
    one = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    out = jax.eval_shape(apply, params, one)
    if len(getattr(out, "shape", ())) != 2:
        raise InputError(f"{name} gives {out}; one array (N, classes) is needed")
    return out.shape[1]


def original(of: Callable[[Any], Any], prepared: Callable[[Any], Any]) -> trust.Original:
    """The model as Keras itself predicts with it. Its gradient would be JAX's, as ours is."""

    def answers(images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, None]:
        with jax.enable_x64(images.dtype == np.float64), _wide_types(), silent():
            pixels = np.asarray(prepared(jnp.asarray(images)))
            out = of(images.dtype).predict_on_batch(pixels)
        return np.asarray(out["logits"] if isinstance(out, dict) else out), None

    return answers


def check_softmax(model: Any, logits: Any, pixels: np.ndarray, name: str) -> None:
    """Raises InputError where a model is not the softmax of what was taken for its logits."""
    with silent():
        found, expected = (
            np.asarray(each.predict_on_batch(pixels), np.float64) for each in (logits, model)
        )
    found = np.exp(found - found.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    if not np.allclose(found, expected, rtol=1e-4, atol=1e-6):
        raise InputError(f"{name} has a softmax at its end that cannot be left out; give logits")


def seeds(model: Any) -> set[str]:
    """The names of the states of random generators, which evaluation does not use."""
    return {
        f"n{place:05d}"
        for place, variable in enumerate(model.non_trainable_variables)
        if "seed_generator_state" in variable.path
    }


def fingerprint(apply: trust.Apply, params: Any, seeds: set[str], size: int) -> str:
    """sha256 over the weights, without ``seeds``, and the program."""
    images = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    program = jax.jit(apply).lower(params, images).as_text()
    weights = {name: array for name, array in params.items() if name not in seeds}
    return hashlib.sha256(f"{checkpoint.fingerprint(weights)}\n{program}".encode()).hexdigest()


def logits_of(keras: Any, model: Any) -> tuple[Any, bool]:
    """The model without a softmax at its end, and whether there was one. Layers are shared."""
    outputs = getattr(model, "outputs", None)
    if not outputs or len(outputs) != 1 or not hasattr(outputs[0], "_keras_history"):
        return model, False
    last = outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.Softmax):
        return keras.Model(model.inputs, last.input), True
    if isinstance(last, keras.Model):
        inner, changed = logits_of(keras, last)
        return (keras.Model(model.inputs, inner(last.input)), True) if changed else (model, False)
    if getattr(last, "activation", None) is not keras.activations.softmax:
        return model, False
    if isinstance(last, keras.layers.Activation):
        return keras.Model(model.inputs, last.input), True
    linear = type(last).from_config(last.get_config() | {"activation": "linear"})
    logits = keras.Model(model.inputs, linear(last.input))
    linear.set_weights(last.get_weights())
    return logits, True


def in_double(keras: Any, model: Any) -> Any:
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
