"""What settings are called in a page or figure, and in the names of files."""

import hashlib
import re
from collections.abc import Iterable

from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS


def panel_name(attack: str, target_kind: str, setting: str) -> str:
    """What a transfer map or table of attempts is about, e.g. "C&W L2 · confidence=0 · random
    target".
    """
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
    """``name`` in letters, digits, dot, minus and underscore; what becomes too long, or the same as
    one of ``taken``, gets a checksum.
    """
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.")
    if len(safe) > 100 or safe.lower() in {other.lower() for other in taken}:
        safe = f"{safe[:90]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return safe


def anchor(kind: str, *names: str) -> str:
    """An address within a page, such as "row/cw/random/confidence=0/vgg_16".

    Names with other characters than letters, digits and ``_.=,+-`` get a checksum, so that two of
    them never share an address.
    """
    safe = [re.sub(r"[^A-Za-z0-9_.=,+-]+", "-", name)[:80] for name in names]
    if safe != list(names):
        safe.append(hashlib.sha256("\0".join(names).encode()).hexdigest()[:8])
    return "/".join([kind, *safe])


def listed(names: Iterable[str], most: int = 3) -> str:
    """ "a, b and c"; from more than ``most`` names the first ones and how many more there are."""
    names = list(names)
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
