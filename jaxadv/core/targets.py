"""The classes that attacks aim at (the study, section 2.2)."""

import numpy as np

from jaxadv.support import checks

KINDS = {
    "untargeted": "untargeted",
    "random": "random target",
    "least": "least-likely target",
    "top2": "second most likely target",
}
"""The kinds of target, and what tables and figures call them."""


def choose(
    kind: str, logits: np.ndarray, labels: np.ndarray, *, ids: np.ndarray, seed: int
) -> np.ndarray:
    """The class (N,) int32 that each attack of a kind aims at; for "untargeted" the label itself.

    "random": uniform over the classes but the label, drawn from (seed, image id) alone, so the same for every model; it may
    coincide with the others. "least": the smallest logit. "top2": the second largest. logits: clean, (N, K).
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
    """The classes but the label by falling logit, (N, K - 1) int32. logits: clean, (N, K)."""
    order = np.argsort(logits, axis=1, kind="stable")[:, ::-1]
    others = order[order != labels[:, None]]
    return others.reshape(len(labels), -1).astype(np.int32)
