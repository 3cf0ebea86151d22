"""What every network must keep to, checked once before anything relies on it.

A network gives finite float32 logits. The logits of an image are the same each time, whoever stands
beside it in the batch, in whichever lane. Anything else would make attacks and CLEVER wrong without
a word: probabilities, for instance, leave C&W's hinge no room, so that a network looks robust.

`check_trace` looks at types when a classifier is made. `check` asks the program of logits, at the
batch of the run that follows, so that nothing is compiled for it alone.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.support import log
from model_ports.errors import InputError

SEVERAL = 4
"""Pictures that are looked at, at least."""
OF_SPREAD, OF_SIZE = 2e-4, 1e-5
"""How far logits of one image may differ by rounding: a share of their spread, and of their size. Those of the
embedded networks differ by 1e-7 of it."""
SUM_ROUNDING = 1e-2
"""How far rows of probabilities may sum to something else than 1: those of bfloat16 do by this."""
TOLD = 200  # characters of an error of somebody else's code

_LOGITS = "attacks and CLEVER need the logits"


class Record:
    """Which batches of a network have been checked; copies of a classifier share it."""

    def __init__(self, *, is_exempt: bool = False):
        self.is_exempt = is_exempt  # a network whose code is this package's
        self.batches: set[int] = set()
        self.lock = threading.Lock()


class Network(Protocol):
    """What is asked of a classifier to check it; see `jaxadv.core.classifier.Classifier`."""

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
        apply: (params, images (N, S, S, 3) float32) -> logits (N, K).
        params: its first argument.
        input_size: S, pixels.
        name: what errors call it.

    Returns:
        The shape of what it gives for one image.

    Raises:
        InputError: if it cannot be traced, or does not give one array of float32.
    """
    image = jax.ShapeDtypeStruct((1, input_size, input_size, 3), jnp.float32)
    try:
        output = jax.eval_shape(apply, params, image)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise InputError(
            f"{name} cannot be traced by JAX ({_line(error)}); "
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
    """Ask a network about a few made-up pictures, three or four batches of them, unless that was done before.

    Args:
        classifier: the network. Those of the zoo are known to be good, and are not asked.
        batch: images of one call.

    Raises:
        InputError: says in a line what was seen and what to do.
    """
    record = classifier.contract
    with record.lock:
        if record.is_exempt or batch in record.batches:
            return
        _check(classifier.awake(), batch)
        record.batches.add(batch)


def pictures(count: int, size: int) -> np.ndarray:
    """Made-up pictures (count, size, size, 3) float32 in [0, 1]: noise of several strengths around several greys."""
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
    """The logits of one batch, in the program that every run asks."""
    logits = np.asarray(next(classifier.logits_of_batches(images, len(images))))
    if logits.shape != (len(images), classifier.num_classes):
        columns = classifier.label_offset + classifier.num_classes
        raise InputError(
            f"{classifier.name} gives {logits.shape[0]} rows for {len(images)} images; a row of {columns} for each is "
            "needed: apply may treat the first axis of images as a batch alone"
        )
    return logits


def _check_values(name: str, logits: np.ndarray, label_offset: int) -> None:
    """Finite, and no probabilities."""
    masked = np.flatnonzero(np.isneginf(logits).any(axis=0))
    rest = np.delete(logits, masked, axis=1)
    if len(masked) and np.isfinite(rest).all():
        some = ", ".join(map(str, masked[:5])) + ("..." if len(masked) > 5 else "")
        raise InputError(
            f"{name} gives -inf for class {some}; finite logits are needed: leave masked classes out of num_classes, "
            "or give them a low finite number such as -1e4; of log-probabilities, take jax.nn.log_softmax"
        )
    if not np.isfinite(logits).all():
        what = "NaN" if np.isnan(logits).any() else "infinite logits"
        count = int((~np.isfinite(logits)).any(axis=1).sum())
        raise InputError(
            f"{name} gives {what} for {count} of {len(logits)} pictures of noise in [0, 1]; finite logits are needed: "
            "look at its preprocessing and weights, and at 0 / 0 and logarithms of 0"
        )
    sums = logits.sum(axis=1, dtype=np.float64)
    if logits.min() >= 0 and _are_shares(sums, label_offset):
        total = f"sums to {sums.mean():.3g}"
        raise InputError(
            f"{name} gives probabilities: each row lies between 0 and {max(1, round(sums.max())):g} and {total}; "
            f"{_LOGITS}: leave the softmax out, or return its logarithm (jax.nn.log_softmax)"
        )
    if logits.min() >= 0 and logits.max() <= 1 and np.ptp(logits) > 0:
        log.warn(
            f"{name}: all outputs lie between 0 and 1; if a sigmoid makes them, leave it out: {_LOGITS}"
        )
    if (
        np.ptp(logits, axis=0).any()
        and (logits == logits.astype(jnp.bfloat16).astype(np.float32)).all()
    ):
        log.warn(
            f"{name}: all logits are numbers of bfloat16, whose gradients and small margins are lost; "
            "compute in float32 from the first layer to the last"
        )


def _are_shares(sums: np.ndarray, label_offset: int) -> bool:
    """Whether rows that are not negative are probabilities, by their sums: 1, percent, or 1 without the background."""
    if (np.abs(sums - 1) <= SUM_ROUNDING).all() or (np.abs(sums - 100) <= 100 * SUM_ROUNDING).all():
        return True
    return bool(label_offset and (sums <= 1 + SUM_ROUNDING).all() and (sums > 0).all())


def _check_companions(classifier: Network, images: np.ndarray, logits: np.ndarray) -> None:
    """Every image again in another lane, beside other images: first those of even lanes, then those of odd ones.

    A batch of one image is asked about twice, which tells randomness alone.
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
    """The largest difference of logits, and what rounding explains. Infinite if any is not a number."""
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
    """The error for logits that changed: whether they do each time, by companions, or by lane."""
    difference_twice, allowed = _difference(logits, _asked(classifier, images))
    if difference_twice > allowed:
        return InputError(
            f"{classifier.name} is random: two calls with the same images differ by {difference_twice:.2g}; "
            "switch dropout and noise off, or fix their seed inside apply, the same for every image"
        )
    same = (others == images).all(axis=(1, 2, 3))
    beside, allowed = _difference(logits[same], _asked(classifier, others)[same])
    if beside > allowed:
        return InputError(
            f"{classifier.name} gives an image other logits beside other images, by {beside:.2g}; each image must be "
            "judged alone: run batch normalisation with stored statistics, and reduce over no batch axis"
        )
    return InputError(
        f"{classifier.name} gives an image other logits in another place of the batch, by {difference:.2g}; "
        "treat all places alike: draw no noise of the batch's shape"
    )


def _fails(name: str, shape: tuple[int, ...], error: Exception) -> InputError:
    return InputError(
        f"{name} fails for images of shape {shape} ({type(error).__name__}: {_line(error)}); "
        "apply(params, images) must take any number of images: fix no batch size in it"
    )


def _structure(output: Any) -> str:
    """What a network gives that is no array."""
    if output is None:
        return "nothing"
    if isinstance(output, dict):
        return f"a dict of {', '.join(map(repr, output))}"
    leaves = len(jax.tree.leaves(output))
    return f"a {type(output).__name__} of {leaves} array{'s' * (leaves != 1)}"


def _pick(output: Any) -> str:
    """How to take the logits out of it."""
    if isinstance(output, dict) and "logits" in output:
        return "return output['logits']"
    if hasattr(output, "logits"):
        return "return output.logits"
    if isinstance(output, (tuple, list)) and len(output):
        return "return the one that holds the logits, such as output[0]"
    return "return them"


def _to_float32(dtype: Any) -> str:
    if not jnp.issubdtype(dtype, jnp.floating):
        return "return the numbers that the class is chosen by, not the class"
    if jnp.finfo(dtype).bits > 32:
        return "end apply with .astype(jnp.float32)"
    return "compute in float32 from the first layer to the last"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:TOLD]
