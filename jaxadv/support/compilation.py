"""Where compiled programs are kept: a folder for this processor, which nobody else may write."""

import hashlib
import os
import platform
from pathlib import Path

from jaxadv.support import log, machine, trust


def keep_programs(folder: str) -> None:
    """Let JAX keep what it compiles in ``folder``, for this processor and its user alone; nothing if that is empty or cannot be.

    A folder that somebody else may write is not used, nor one of the environment, and a line says so.
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
            f"compiled programs are not kept: {objection}; let nobody else write there, or give another --compilation_cache"
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
    """Why what lies in a folder cannot be trusted; None if it can. Where it is not there it is made, if it can be."""
    for folder in (place, *(place / kind for kind in KINDS)):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue  # nothing is kept there
        # Who may change a link on the way may change what lies behind it.
        for way in dict.fromkeys((folder.absolute(), folder.resolve())):
            objection = trust.objection(way)
            if objection:
                return objection
    return None


def _folder_for_programs(folder: Path) -> Path | None:
    """A folder for this processor; None where it cannot be made."""
    processor = (
        machine.cpu_information().partition("flags")[2].partition("\n")[0] or platform.processor()
    )
    place = folder / f"{platform.machine()}-{hashlib.sha256(processor.encode()).hexdigest()[:8]}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return place
