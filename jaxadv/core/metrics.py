"""The distance of an adversarial image from the clean one, and whether the image is a success."""

import math

import numpy as np

BLOCK = (
    2**17
)  # values that are looked at together, and stay in the processor's cache in double precision
DISTANCES = ("l0", "l1", "l2", "linf")
NEAR_TIE = 1e-3  # logit units, the study's released rule


def distances(images: np.ndarray, clean: np.ndarray) -> dict[str, np.ndarray]:
    """l0 (changed values), l1, l2 and linf of ``images - clean``, each (N,) float32, in pixel units of range 1."""
    found = np.zeros((4, len(images)), np.float32)
    size = math.prod(np.shape(images)[1:])
    block = max(1, BLOCK // size)
    for rows in (slice(start, start + block) for start in range(0, len(images), block)):
        difference = np.subtract(images[rows], clean[rows], dtype=np.float64).reshape(-1, size)
        np.abs(difference, out=difference)
        found[0, rows] = np.count_nonzero(difference, axis=1)
        found[1, rows] = difference.sum(axis=1)
        found[2, rows] = np.sqrt(np.einsum("np,np->n", difference, difference))
        found[3, rows] = difference.max(axis=1, initial=0)
    return dict(zip(DISTANCES, found, strict=True))


def fooled(logits: np.ndarray, classes: np.ndarray, targeted: np.ndarray) -> np.ndarray:
    """Success, (N,) bool: the largest of the logits (N, K) is the target's (targeted), or not the true class's.

    NaN or infinite logits are no success.
    """
    return ((logits.argmax(axis=1) == classes) == targeted) & valid(logits)


def valid(logits: np.ndarray) -> np.ndarray:
    """Whether all logits (N, K) of an image are finite numbers, (N,) bool. Others have no class."""
    return np.asarray(np.isfinite(logits).all(axis=1))


def predicted(logits: np.ndarray) -> np.ndarray:
    """The class of the largest of the logits (N, K), the lowest of equals, (N,) int32; -1 where not all are finite."""
    return np.where(valid(logits), logits.argmax(axis=1), -1).astype(np.int32)


def near_ties(logits: np.ndarray, classes: np.ndarray, targeted: np.ndarray) -> np.ndarray:
    """Targeted failures that the study's released rule alone would count as successes, (N,) bool.

    That rule: the target's logit is within 0.001 of the largest, and so is one more; the last class is left out. (Its range begins
    at the background class where a network has one; here at the first real class.)
    """
    close = (logits[:, :-1] > logits.max(axis=1, keepdims=True) - NEAR_TIE) & valid(logits)[:, None]
    strict = fooled(logits, classes, targeted)
    last = classes == logits.shape[1] - 1
    of_target = close[np.arange(len(logits)), np.where(last, 0, classes)] & ~last
    return targeted & ~strict & of_target & (close.sum(axis=1) >= 2)
