"""Chooses where compiled programs are kept: a folder for this processor that only its user can write."""

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
    objection = trust.objection(place.absolute()) if place.is_dir() else None
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


def _folder_for_programs(folder: Path) -> Path | None:
    """The folder for this processor; None if it cannot be made."""
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
