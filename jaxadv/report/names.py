"""What attacks, targets, norms and distances are called in a page or figure, and in the names of files."""

import hashlib
import re
from collections.abc import Iterable

ATTACK_NAMES = {
    "fgsm": "FGSM",
    "ifgsm": "I-FGSM",
    "ifgsm_search": "I-FGSM, smallest ε",
    "cw": "C&W L2",
    "ead": "EAD-L1",
    "clever": "CLEVER",
}
TARGET_NAMES = {
    "untargeted": "untargeted",
    "random": "random target",
    "least": "least-likely target",
    "top2": "second most likely target",
}
DISTANCE_NAMES = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "L∞", "l2_per_pixel": "L2 / 3HW"}
NORM_NAMES = {"1": "L1", "2": "L2", "inf": "L∞"}
PARAMETER_NAMES = {
    "eps": "budget ε",
    "steps": "steps",
    "confidence": "confidence κ",
    "initial_eps": "first ε",
}


STUDIED = {"norm": "linf", "loss": "logit", "rule": "l1"}  # what the study ran where more can be chosen


def panel_name(attack: str, target_kind: str, setting: str) -> str:
    """What a transfer map or table of attempts is about, e.g. "C&W L2 · confidence=0 · random target"."""
    return " · ".join(filter(None, [ATTACK_NAMES.get(attack, attack), setting, TARGET_NAMES.get(target_kind, target_kind)]))


def parameters(setting: str) -> dict[str, str]:
    """{"eps": "0.1", "steps": "10"} of "eps=0.1,steps=10"."""
    return dict(part.split("=", 1) for part in setting.split(",") if "=" in part)


def is_studied(setting: str) -> bool:
    """Whether a setting is of the norm, loss and rule that the study ran; it names those that are others."""
    return all(STUDIED.get(name, value) == value for name, value in parameters(setting).items())


def file_name(name: str, taken: Iterable[str]) -> str:
    """``name`` in letters, digits, dot, minus and underscore; what becomes too long, or the same as one of ``taken``, gets a checksum."""
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.")
    if len(safe) > 100 or safe.lower() in {other.lower() for other in taken}:
        safe = f"{safe[:90]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return safe
