"""How far an adversarial image lies from the clean one, and whether it counts."""

import numpy as np

NEAR_TIE = 1e-3  # logit units, the study's released rule


def distances(images: np.ndarray, clean: np.ndarray) -> dict[str, np.ndarray]:
    """l0 (changed values), l1, l2 and linf of ``images - clean``, each (N,) float32, in pixel units of range 1."""
    difference = np.subtract(images, clean, dtype=np.float64).reshape(len(images), -1)
    np.abs(difference, out=difference)
    return {
        "l0": np.count_nonzero(difference, axis=1).astype(np.float32),
        "l1": difference.sum(axis=1).astype(np.float32),
        "l2": np.sqrt(np.einsum("np,np->n", difference, difference)).astype(np.float32),
        "linf": difference.max(axis=1, initial=0).astype(np.float32),
    }


def fooled(logits: np.ndarray, classes: np.ndarray, targeted: np.ndarray) -> np.ndarray:
    """Success, (N,) bool: the largest of the logits (N, K) is the target's (targeted), or not the true class's.

    Logits that are not numbers fool nobody.
    """
    return ((logits.argmax(axis=1) == classes) == targeted) & ~np.isnan(logits).any(axis=1)


def near_ties(logits: np.ndarray, classes: np.ndarray, targeted: np.ndarray) -> np.ndarray:
    """Targeted failures that the study's released rule alone would count as successes, (N,) bool.

    That rule: the target's logit is within 0.001 of the largest, and so is one more; the last class is left out. (Its range begins
    at the background class where a network has one; here at the first real class.)
    """
    close = logits[:, :-1] > logits.max(axis=1, keepdims=True) - NEAR_TIE
    strict = fooled(logits, classes, targeted)
    last = classes == logits.shape[1] - 1
    of_target = close[np.arange(len(logits)), np.where(last, 0, classes)] & ~last
    return targeted & ~strict & of_target & (close.sum(axis=1) >= 2)
