"""Proof that a converted network is the original: logits and an input gradient of both, on two
images.

In double precision rounding hides nothing, so the two must agree to 1e-8. Single precision is what
runs use.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxadv.core import fast_layers, oracle
from jaxadv.foreign.silence import reason
from model_ports.errors import InputError, said

DOUBLE = 1e-8
"""Largest relative difference of logits and of the gradient in double precision."""
SINGLE = 1e-5
"""The same of logits in single precision."""
GRADIENT = 0.1
"""Relative difference of the gradient in single precision that is warned of: one ReLU that
rounding flips makes 0.05."""


Apply = Callable[[Any, jax.Array], jax.Array]
Original = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""(images (N, S, S, 3) in [0, 1], weights (N, K)) -> logits (N, K), and the gradient (N, S, S, 3)
of ``sum(weights * logits)``, or None where the framework has no gradients; in the precision of the
images."""


class Difference(NamedTuple):
    """The largest relative L2 difference of an image."""

    logits: float
    gradient: float | None


def test_images(size: int) -> np.ndarray:
    """(2, size, size, 3) in [0, 1]: white noise, and a smooth pattern with noise on it."""
    random = np.random.Generator(np.random.PCG64(22))
    rows, columns = np.mgrid[:size, :size] / size
    smooth = 0.5 + 0.4 * np.sin(7 * rows[..., None] + np.arange(3)) * np.cos(5 * columns[..., None])
    noise = random.uniform(size=(2, size, size, 3))
    return np.stack([noise[0], np.clip(smooth + 0.2 * (noise[1] - 0.5), 0, 1)])


test_images.__test__ = False  # type: ignore[attr-defined]  # for pytest: no test


def prove(
    name: str,
    apply: Apply,
    params: Mapping[str, np.ndarray],
    original: Original,
    *,
    input_size: int,
    outputs: int,
    second: Callable[[], tuple[Apply, Mapping[str, np.ndarray]]] | None = None,
) -> dict[str, Any]:
    """Compare the converted network with the original, and say how far they differ.

    Args:
        name: of the network, for messages.
        apply, params: the converted network, ``apply(params, images)`` -> (N, outputs).
        original: what the original gives.
        input_size: pixels.
        outputs: of the network.
        second: makes another conversion, of the original in double precision. It is asked for only
        where
            the first differs there, because the original itself rounds some numbers to single
            precision.

    Returns:
        {"double": {"logits": d, "gradient": d}, "single": ...}, relative L2 differences; "double"
        is a text where the original does not run in double precision.

    Raises:
        InputError: the two differ, or answers of the original change from call to call or with the
        batch.
    """
    images = test_images(input_size)
    weights = np.random.Generator(np.random.PCG64(7)).normal(size=(2, outputs)) / np.sqrt(outputs)
    single, slopes = images.astype(np.float32), weights.astype(np.float32)
    try:
        expected = original(single, slopes)
    except InputError:
        raise
    except Exception as error:  # whatever the framework raises
        raise InputError(
            f"{name} does not run in its own framework on two images of {input_size} pixels: "
            f"{reason(error)}"
        ) from error
    _check_original(name, original, single, slopes, expected[0])
    facts: dict[str, Any] = {
        "double": _in_double(name, apply, params, original, images, weights, second)
    }
    asked = None if expected[1] is None else slopes
    found = differences(_answer(name, apply, params, single, asked), expected)
    facts["single"] = found._asdict()
    proven = isinstance(facts["double"], dict)
    if not found.logits <= SINGLE:
        line = (
            f"{name}: logits differ by {found.logits:.1e} from the original's in single precision"
        )
        if not proven:
            raise InputError(f"{line}, and in double it does not run; {SINGLE:g} is allowed")
        warnings.warn(f"{line}, by rounding: in double they agree", stacklevel=3)
    elif found.gradient is not None and not found.gradient <= GRADIENT:
        line = (
            f"{name}: the gradient differs by {found.gradient:.1e} from the original's in single "
            "precision"
        )
        warnings.warn(f"{line}; rounding flips units near their corner", stacklevel=3)
    return facts


def _check_original(
    name: str, original: Original, images: np.ndarray, weights: np.ndarray, expected: np.ndarray
):
    """Raises InputError for an original whose answers are random, not finite, or depend on
    the batch."""
    if not np.isfinite(expected).all():
        raise InputError(
            f"{name} gives NaN or infinite logits for images of noise; mend its weights"
        )
    again = original(images, weights)[0]
    if not relative(again, expected) <= SINGLE:
        raise InputError(
            f"{name} gives other logits when called again; take the randomness or the state out of "
            "it"
        )
    alone = original(images[:1], weights[:1])[0]
    if not relative(alone, expected[:1]) <= 100 * SINGLE:  # another batch size rounds otherwise
        raise InputError(
            f"{name} gives an image other logits when another stands beside it; call eval()"
        )


def _in_double(
    name, apply, params, original, images, weights, second
) -> dict[str, float | None] | str:
    try:
        expected = original(images, weights)
    except Exception as error:  # whatever the framework raises
        return f"not compared: {type(error).__name__}: {said(error)}"
    asked = None if expected[1] is None else weights
    with jax.enable_x64(True):
        found = differences(_answer(name, apply, params, images, asked), expected)
        if second is not None and not _agree(found):
            found = differences(_answer(name, *second(), images, asked), expected)
    if not _agree(found):
        remedy = (
            "take no_grad, detach and gradients of its own out of it"
            if found.logits <= DOUBLE
            else "please report the network"
        )
        raise InputError(
            f"{name}: the converted network differs from the original in double precision: "
            f"logits by {found.logits:.1e}"
            + ("" if found.gradient is None else f", gradient by {found.gradient:.1e}")
            + f", and {DOUBLE:g} is allowed; {remedy}"
        )
    return found._asdict()


def _agree(found: Difference) -> bool:
    return found.logits <= DOUBLE and (found.gradient is None or found.gradient <= DOUBLE)


def _answer(name: str, *arguments: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """`answer`. Raises InputError where JAX has no gradient of a step."""
    try:
        return answer(*arguments)
    except NotImplementedError as error:
        raise InputError(
            f"{name}: JAX has no gradient of it ({reason(error)}); write the module without that"
        ) from error


def answer(
    apply: Apply, params: Mapping[str, np.ndarray], images: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits and gradient of the converted network, in the precision of the images. Without
    weights there is no gradient, which halves the time."""

    run = fast_layers.rewritten(apply)  # what attacks call

    def both(params, images, weights):
        if weights is None:
            return run(params, images), None
        logits, pull_back = jax.vjp(lambda pixels: run(params, pixels), images)
        return logits, pull_back(weights.astype(logits.dtype))[0]

    def same(array: np.ndarray) -> np.ndarray:
        if np.issubdtype(array.dtype, np.complexfloating):
            return array.astype(np.result_type(images.dtype, np.complex64))
        return array.astype(images.dtype) if np.issubdtype(array.dtype, np.floating) else array

    program = jax.jit(both, compiler_options=oracle.compiler_options())
    with jax.default_matmul_precision("highest"):
        return jax.device_get(program(jax.tree.map(same, dict(params)), images, weights))


def differences(found: tuple, expected: tuple) -> Difference:
    gradient = None if expected[1] is None else relative(found[1], expected[1])
    return Difference(relative(found[0], expected[0]), gradient)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest relative L2 difference of a row; infinite where a number is not finite or
    shapes differ."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    found, expected = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (found, expected))
    size = np.maximum(np.linalg.norm(expected, axis=1), np.finfo(np.float64).tiny)
    return float((np.linalg.norm(found - expected, axis=1) / size).max(initial=0))
