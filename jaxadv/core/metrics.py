"""Metrics of an adversarial image: its distance from the clean image, and whether it is a
success.
"""

import math

import numpy as np

BLOCK = 2**17  # values of one step; in double precision they fit the processor's cache
DISTANCES = ("l0", "l1", "l2", "linf")
NEAR_TIE = 1e-3  # logit units, from the study's released code


def distances(images: np.ndarray, clean: np.ndarray) -> dict[str, np.ndarray]:
    """Distances between images, computed in double precision.

    Args:
        images: (N, H, W, 3) float32.
        clean: (N, H, W, 3) float32.

    Returns:
        ``l0`` (the number of changed values), ``l1``, ``l2`` and ``linf``, each (N,) float32, in
        pixel units of range 1.
    """
    norms = np.zeros((4, len(images)), np.float32)
    size = math.prod(np.shape(images)[1:])
    block = max(1, BLOCK // size)
    for rows in (slice(start, start + block) for start in range(0, len(images), block)):
        difference = np.subtract(images[rows], clean[rows], dtype=np.float64).reshape(-1, size)
        np.abs(difference, out=difference)
        norms[0, rows] = np.count_nonzero(difference, axis=1)
        norms[1, rows] = difference.sum(axis=1)
        norms[2, rows] = np.sqrt(np.einsum("np,np->n", difference, difference))
        norms[3, rows] = difference.max(axis=1, initial=0)
    return dict(zip(DISTANCES, norms, strict=True))


def fooled(logits: np.ndarray, classes: np.ndarray, targeted: np.ndarray) -> np.ndarray:
    """Whether each image is a success: it is classified as the target, or not as the true class.

    Args:
        logits: (N, K). An image with a NaN or infinite logit is not a success.
        classes: (N,), the target class where ``targeted``, else the true class.
        targeted: (N,) bool.

    Returns:
        (N,) bool.
    """
    return ((logits.argmax(axis=1) == classes) == targeted) & valid(logits)


def valid(logits: np.ndarray) -> np.ndarray:
    """Whether all logits of an image are finite. Other images have no class.

    Args:
        logits: (N, K).

    Returns:
        (N,) bool.
    """
    return np.asarray(np.isfinite(logits).all(axis=1))


def predicted(logits: np.ndarray) -> np.ndarray:
    """The class with the largest logit.

    Args:
        logits: (N, K).

    Returns:
        (N,) int32. Among equal logits the lowest class wins. -1 if not all logits are finite.
    """
    return np.where(valid(logits), logits.argmax(axis=1), -1).astype(np.int32)


def near_ties(logits: np.ndarray, classes: np.ndarray, targeted: np.ndarray) -> np.ndarray:
    """Targeted failures that would be successes under the rule of the study's released code.

    The rule: the target's logit and at least one more are within 0.001 of the largest. The last
    class does not count. In the release the classes include a background class, if there is one.
    Here they do not.

    Args:
        logits: (N, K).
        classes: (N,), the target class where ``targeted``, else the true class.
        targeted: (N,) bool.

    Returns:
        (N,) bool.
    """
    close = (logits[:, :-1] > logits.max(axis=1, keepdims=True) - NEAR_TIE) & valid(logits)[:, None]
    strict = fooled(logits, classes, targeted)
    last = classes == logits.shape[1] - 1
    of_target = close[np.arange(len(logits)), np.where(last, 0, classes)] & ~last
    return targeted & ~strict & of_target & (close.sum(axis=1) >= 2)
