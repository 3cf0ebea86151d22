"""The target classes of attacks (the study, section 2.2)."""

import numpy as np

from jaxadv.support import checks

KINDS = {
    "untargeted": "untargeted",
    "random": "random target",
    "least": "least-likely target",
    "top2": "second most likely target",
}
"""The kinds of target, and their names in tables and figures."""


def choose(
    kind: str, logits: np.ndarray, labels: np.ndarray, *, ids: np.ndarray, seed: int
) -> np.ndarray:
    """The class that each attack aims at.

    Args:
        kind: "untargeted" for the label itself; "random" for a class drawn uniformly from the
            others; "least" for the class with the smallest logit; "top2" for the class with the
            second largest logit. The random class depends on seed and image id alone, so it is the
            same for every model. It may equal the least or top2 class.
        logits: (N, K), of the clean images.
        labels: (N,), true classes.
        ids: (N,), the numbers of the images.
        seed: the seed of random targets.

    Returns:
        (N,) int32.

    Raises:
        InputError: if the kind is unknown.
    """
    checks.choice("targets", kind, tuple(KINDS))
    if kind == "untargeted":
        return labels.astype(np.int32)
    if kind == "random":
        draws = [
            np.random.Generator(np.random.PCG64([seed, int(i)])).integers(logits.shape[1] - 1)
            for i in ids
        ]
        draws = np.asarray(draws, np.int32).reshape(len(labels))
        return draws + (draws >= labels).astype(np.int32)
    order = np.argsort(logits, axis=1, kind="stable")
    return order[:, 0 if kind == "least" else -2].astype(np.int32)


def ranked(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """All classes except the label, by falling logit.

    Args:
        logits: (N, K), of the clean images.
        labels: (N,), true classes or targets.

    Returns:
        (N, K - 1) int32.
    """
    order = np.argsort(logits, axis=1, kind="stable")[:, ::-1]
    others = order[order != labels[:, None]]
    return others.reshape(len(labels), -1).astype(np.int32)
