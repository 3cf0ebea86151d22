"""What settings are called in a page or figure, and in the names of files."""

import hashlib
import re
from collections.abc import Iterable

from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS


def panel_name(attack: str, target_kind: str, setting: str) -> str:
    """What a transfer map or table of attempts is about, e.g. "C&W L2 · confidence=0 · random target"."""
    return " · ".join(
        filter(None, [catalog.title(attack), setting, KINDS.get(target_kind, target_kind)])
    )


def parameter_title(name: str) -> str:
    """What figures call a parameter of the attacks."""
    titles = (
        one.title for attack in catalog.ATTACKS for one in attack.parameters if one.name == name
    )
    return next(filter(None, titles), name)


def file_name(name: str, taken: Iterable[str]) -> str:
    """``name`` in letters, digits, dot, minus and underscore; what becomes too long, or the same as one of ``taken``, gets a checksum."""
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.")
    if len(safe) > 100 or safe.lower() in {other.lower() for other in taken}:
        safe = f"{safe[:90]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return safe
