"""Chooses where compiled programs are kept: a folder for this processor that only its user can
write.
"""

import hashlib
import os
import platform
from pathlib import Path

from jaxadv.support import log, machine, trust


def keep_programs(folder: str) -> None:
    """Let JAX keep compiled programs in a folder for this kind of processor.

    The environment variable JAX_COMPILATION_CACHE_DIR overrides ``folder``. A folder that another
    user can write is not used, and a warning says so.

    Args:
        folder: the folder. If it is empty or cannot be made, programs are not kept.
    """
    given = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not folder and not given:
        return
    place = Path(given) if given else _folder_for_programs(Path(folder))
    if place is None:
        return
    objection = _made_and_checked(place)
    if objection:
        log.warn(
            f"compiled programs are not kept: {objection}; let nobody else write there, or give "
            "another --compilation_cache"
        )
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        return
    trust.seals_programs = True
    if not given:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(place)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


KINDS = ("sealed", "traced")
"""Folders in it: compiled programs, and the text of traced ones."""


def _made_and_checked(place: Path) -> str | None:
    """Why what lies in a folder cannot be trusted; None if it can.

    Where it is not there it is made, if it can be.
    """
    for folder in (place, *(place / kind for kind in KINDS)):
        try:
            _make(folder)
        except OSError:
            continue  # nothing is kept there
        # Who may change a link on the way may change what lies behind it.
        for way in dict.fromkeys((folder.absolute(), folder.resolve())):
            objection = trust.objection(way)
            if objection:
                return objection
    return None


def _make(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone. Raises OSError."""
    for one in (*reversed(folder.parents), folder):
        if not one.is_dir():
            one.mkdir(mode=0o700, exist_ok=True)


def _folder_for_programs(folder: Path) -> Path | None:
    """The folder for this processor; None if it cannot be made."""
    processor = (
        machine.cpu_information().partition("flags")[2].partition("\n")[0] or platform.processor()
    )
    place = folder / f"{platform.machine()}-{hashlib.sha256(processor.encode()).hexdigest()[:8]}"
    try:
        _make(place)
    except OSError:
        return None
    return place
