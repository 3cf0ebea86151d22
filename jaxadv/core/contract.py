"""The rules for every network. They are checked once, before a run relies on them.

A network gives finite float32 logits. The logits of an image are the same in every call, in every
lane, and beside any other images. Without these rules attacks and CLEVER would be silently wrong.
For example, probabilities leave C&W's hinge no room, so the network seems robust.

`check_trace` checks types when a classifier is made. `check` runs the logits program at the batch
size of the run that follows, so it compiles no program of its own.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.support import log
from model_ports.errors import InputError, said

SEVERAL = 4
"""The least number of pictures that `check` uses."""
OF_SPREAD = 2e-4
"""Part of the tolerance for rounding between two calls: a share of the spread of an image's logits.
"""
OF_SIZE = 1e-5
"""The other part: a share of the size of the logits.

Logits of the embedded networks differ by 1e-7 of it.
"""
SUM_ROUNDING = 1e-2
"""How far a row of probabilities may sum to another number than 1.

Sums in bfloat16 differ from 1 by this much.
"""
OF_SUMS = 1e-4
"""How far the sums of probabilities times a number may differ: a share of what the logits change.
"""

_LOGITS = "attacks and CLEVER need the logits"


class Record:
    """The batch sizes at which a network has been checked.

    Copies of a classifier share one record.
    """

    def __init__(self, *, is_exempt: bool = False):
        self.is_exempt = is_exempt  # True for a network of this package
        self.batches: set[int] = set()
        self.lock = threading.Lock()


class Network(Protocol):
    """The part of `jaxadv.core.classifier.Classifier` that the checks use."""

    name: str
    input_size: int
    num_classes: int
    label_offset: int
    contract: Record

    def awake(self) -> "Network": ...

    def logits_of_batches(self, images: np.ndarray, batch: int) -> Iterator[jax.Array]: ...


def check_trace(
    apply: Callable[[Any, jax.Array], Any], params: Any, *, input_size: int, name: str
) -> tuple[int, ...]:
    """Trace a network for one image.

    Args:
        apply: a function from params and images (N, S, S, 3) float32 to logits (N, K).
        params: the first argument of ``apply``.
        input_size: S, pixels.
        name: the name in errors.

    Returns:
        The shape of the output for one image.

    Raises:
        InputError: if JAX cannot trace the function, or if its output is not one float32 array.
    """
    image = jax.ShapeDtypeStruct((1, input_size, input_size, 3), jnp.float32)
    try:
        output = jax.eval_shape(apply, params, image)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise InputError(
            f"{name} cannot be traced by JAX ({said(error)}); "
            "write apply with jax.numpy, without NumPy and without Python's if on values"
        ) from error
    except (TypeError, ValueError) as error:
        raise _fails(name, image.shape, error) from error
    if not isinstance(output, jax.ShapeDtypeStruct):
        raise InputError(
            f"{name} gives {_structure(output)}; {_LOGITS} alone, one array (N, K): {_pick(output)}"
        )
    if output.dtype != jnp.float32:
        raise InputError(
            f"{name} gives {output.dtype}; {_LOGITS} in float32: {_to_float32(output.dtype)}"
        )
    return output.shape


def check(classifier: Network, batch: int) -> None:
    """Check the logits of a few random pictures, in three or four batches. A batch size is checked
    once.

    Args:
        classifier: the network. A network of the zoo is known to be good and is not checked.
        batch: images of one call.

    Raises:
        InputError: if the logits break a rule. The message names the fault and the remedy.
    """
    record = classifier.contract
    with record.lock:
        if record.is_exempt or batch in record.batches:
            return
        _check(classifier.awake(), batch)
        record.batches.add(batch)


def pictures(count: int, size: int) -> np.ndarray:
    """Random pictures: uniform noise of several strengths around several greys.

    Args:
        count: the number of pictures.
        size: their height and width, pixels.

    Returns:
        (count, size, size, 3) float32 in [0, 1], the same in every call.
    """
    draw = np.random.default_rng(1804)
    one = (count, 1, 1, 1)
    grey = 0.3 + 0.4 * draw.random(one, np.float32)
    strength = 0.1 + 0.5 * draw.random(one, np.float32)
    return np.clip(grey + strength * (draw.random((count, size, size, 3), np.float32) - 0.5), 0, 1)


def _check(classifier: Network, batch: int) -> None:
    name = classifier.name
    batches = -(-SEVERAL // batch)
    images = pictures(batches * batch, classifier.input_size)
    try:
        logits = np.concatenate([_asked(classifier, some) for some in np.split(images, batches)])
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _fails(name, images[:batch].shape, error) from error
    _check_values(name, logits, classifier.label_offset)
    _check_companions(classifier, images[:batch], logits[:batch])


def _asked(classifier: Network, images: np.ndarray) -> np.ndarray:
    """The logits of one batch, by the program that every run uses."""
    logits = np.asarray(next(classifier.logits_of_batches(images, len(images))))
    if logits.shape != (len(images), classifier.num_classes):
        columns = classifier.label_offset + classifier.num_classes
        raise InputError(
            f"{classifier.name} gives {logits.shape[0]} rows for {len(images)} images; a row of "
            f"{columns} for each is needed: let apply use the first axis of images as the batch "
            "and nothing else"
        )
    return logits


def _check_values(name: str, logits: np.ndarray, label_offset: int) -> None:
    """Raise InputError for logits that are not finite, and for probabilities."""
    masked = np.flatnonzero(np.isneginf(logits).any(axis=0))
    rest = np.delete(logits, masked, axis=1)
    if len(masked) and np.isfinite(rest).all():
        some = ", ".join(map(str, masked[:5])) + ("..." if len(masked) > 5 else "")
        raise InputError(
            f"{name} gives -inf for class {some}; finite logits are needed: leave masked classes "
            "out of num_classes, or give them a low finite number such as -1e4; compute "
            "log-probabilities with jax.nn.log_softmax"
        )
    if not np.isfinite(logits).all():
        what = "NaN" if np.isnan(logits).any() else "infinite logits"
        count = int((~np.isfinite(logits)).any(axis=1).sum())
        raise InputError(
            f"{name} gives {what} for {count} of {len(logits)} pictures of noise in [0, 1]; "
            "finite logits are needed: check its preprocessing and weights, and look for 0 / 0 and "
            "logarithms of 0"
        )
    sums = logits.sum(axis=1, dtype=np.float64)
    if logits.min() >= 0 and (_are_shares(sums, label_offset) or _have_one_sum(logits, sums)):
        total = f"sums to {sums.mean():.3g}"
        raise InputError(
            f"{name} gives probabilities: each row lies between 0 and "
            f"{max(1, round(sums.max())):g} and {total}; "
            f"{_LOGITS}: leave the softmax out, or return its logarithm (jax.nn.log_softmax)"
        )
    if logits.min() >= 0 and logits.max() <= 1 and np.ptp(logits) > 0:
        log.warn(
            f"{name}: all outputs lie between 0 and 1; if a sigmoid makes them, leave it out: "
            f"{_LOGITS}"
        )
    if (
        np.ptp(logits, axis=0).any()
        and (logits == logits.astype(jnp.bfloat16).astype(np.float32)).all()
    ):
        log.warn(
            f"{name}: all logits are bfloat16 numbers, which lose small margins and gradients; "
            "compute in float32 from the first layer to the last"
        )


def _are_shares(sums: np.ndarray, label_offset: int) -> bool:
    """Whether the sums of rows without negative values are those of probabilities.

    Probabilities sum to 1, or to 100 as percentages. Without the background class they sum to at
    most 1.
    """
    if (np.abs(sums - 1) <= SUM_ROUNDING).all() or (np.abs(sums - 100) <= 100 * SUM_ROUNDING).all():
        return True
    return bool(label_offset and (sums <= 1 + SUM_ROUNDING).all() and (sums > 0).all())


def _have_one_sum(logits: np.ndarray, sums: np.ndarray) -> bool:
    """Whether rows change from picture to picture and their sums do not.

    Probabilities times any number do so.
    """
    change = np.ptp(logits, axis=0).sum(dtype=np.float64)
    return bool(change > 0 and np.ptp(sums) <= OF_SUMS * change)


def _check_companions(classifier: Network, images: np.ndarray, logits: np.ndarray) -> None:
    """Compute each image again in another lane, beside other images: first the even lanes, then the
    odd ones.

    A batch of one image is computed twice, which shows only randomness.
    """
    lanes = np.arange(len(images))
    for kept in (lanes % 2 == 0, lanes % 2 == 1):
        if not kept.any():
            continue
        others = np.where(kept[:, None, None, None], images, images**4)
        again = np.roll(_asked(classifier, np.roll(others, 1, axis=0)), -1, axis=0)
        difference, allowed = _difference(logits[kept], again[kept])
        if difference > allowed:
            raise _unlike(classifier, images, logits, others, difference)


def _difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The largest difference of logits, infinite if any is NaN; and the difference that rounding
    explains.
    """
    spread = float(np.ptp(first, axis=1).max(initial=0))
    allowed = OF_SPREAD * spread + OF_SIZE * float(np.abs(first).max(initial=0))
    difference = float(np.abs(second - first).max(initial=0))
    return (difference if np.isfinite(difference) else np.inf), allowed


def _unlike(
    classifier: Network,
    images: np.ndarray,
    logits: np.ndarray,
    others: np.ndarray,
    difference: float,
) -> InputError:
    """The error for logits that change.

    It says whether the call, the other images or the lane changes them.
    """
    difference_twice, allowed = _difference(logits, _asked(classifier, images))
    if difference_twice > allowed:
        return InputError(
            f"{classifier.name} is random: two calls with the same images differ by "
            f"{difference_twice:.2g}; switch dropout and noise off, or fix their seed inside apply "
            "so that it is the same for every image"
        )
    same = (others == images).all(axis=(1, 2, 3))
    beside, allowed = _difference(logits[same], _asked(classifier, others)[same])
    if beside > allowed:
        return InputError(
            f"{classifier.name} gives an image other logits beside other images, by "
            f"{beside:.2g}; logits must not depend on other images: run batch normalisation with "
            "stored statistics, and do not reduce over the batch axis"
        )
    return InputError(
        f"{classifier.name} gives an image other logits at another position in the batch, by "
        f"{difference:.2g}; treat all positions alike: draw no noise of the batch's shape"
    )


def _fails(name: str, shape: tuple[int, ...], error: Exception) -> InputError:
    return InputError(
        f"{name} fails for images of shape {shape} ({type(error).__name__}: {said(error)}); "
        "apply(params, images) must take any number of images: do not fix a batch size in it"
    )


def _structure(output: Any) -> str:
    """A description of an output that is not an array."""
    if output is None:
        return "nothing"
    if isinstance(output, dict):
        return f"a dict of {', '.join(map(repr, output))}"
    leaves = len(jax.tree.leaves(output))
    return f"a {type(output).__name__} of {leaves} array{'s' * (leaves != 1)}"


def _pick(output: Any) -> str:
    """The remedy: how to take the logits out of the output."""
    if isinstance(output, dict) and "logits" in output:
        return "return output['logits']"
    if hasattr(output, "logits"):
        return "return output.logits"
    if isinstance(output, (tuple, list)) and len(output):
        return "return the array with the logits, such as output[0]"
    return "return them"


def _to_float32(dtype: Any) -> str:
    if not jnp.issubdtype(dtype, jnp.floating):
        return "return the numbers that decide the class, not the class"
    if jnp.finfo(dtype).bits > 32:
        return "end apply with .astype(jnp.float32)"
    return "compute in float32 from the first layer to the last"
