"""Compiled and traced programs on disk, whose files say what they are.

JAX's own files of compiled programs have no checksum and no name inside: it loads what lies under a key, or fails. Here each
carries both, and one that does not fit is made again.
"""

import json
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from jaxadv.support import log, trust

_rejected: set[str] = set()  # folders of which something was said


class Cache(Protocol):
    """What JAX asks of a cache of compiled programs."""

    _path: Any

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes) -> None: ...


class Sealed:
    """A cache of JAX's, with a seal in front of each entry.

    Args:
        base: keeps the entries.
    """

    def __init__(self, base: Cache):
        self._base, self._path = base, base._path  # pyright: ignore[reportPrivateUsage] JAX has no public name for it

    def get(self, key: str) -> bytes | None:
        """The entry that was put under this key; None if there is none, or another one lies in its place."""
        place = Path(self._path) / f"{key}-cache"
        try:
            value = self._base.get(key)
            another = value is not None and place.exists() and trust.belongs_to_another(place)
        except OSError as error:
            reject(place, f"{str(place)!r} cannot be read ({error.strerror or error})")
            return None
        if value is None:
            return None
        seal, _, content = value.partition(b"\n")
        if seal == _seal(key, content) and not another:
            return content
        reject(place, f"{str(place)!r} {'belongs to another user' if another else 'is damaged'}")
        with suppress(OSError):
            place.unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep an entry, if none is there, and the disk takes it."""
        try:
            self._base.put(key, _seal(key, value) + b"\n" + value)
        except OSError as error:
            _tell_once(
                str(self._path),
                f"compiled programs are not kept in {str(self._path)!r} ({error.strerror or error})",
            )


def _seal(key: str, content: bytes) -> bytes:
    return json.dumps([key, len(content), zlib.crc32(content)]).encode()


def install() -> None:
    """Have JAX seal its compiled programs in this process, in a folder beside those that it would write itself.

    Does nothing in a version of JAX that keeps programs otherwise.
    """
    from jax._src import compilation_cache

    original = getattr(compilation_cache, "get_file_cache", None)
    if original is None or hasattr(original, "of_jaxadv"):
        return

    def sealed(path: str) -> tuple[Any, str] | None:
        made = original(str(Path(path) / "sealed"))
        return made and (Sealed(made[0]), made[1])

    sealed.of_jaxadv = True  # type: ignore[attr-defined]
    compilation_cache.get_file_cache = sealed


def reject(place: Path, reason: str) -> None:
    """Say that a kept program is made again: on standard error once a folder, in the log each time."""
    _tell_once(
        str(place.parent),
        f"{reason}; this program is made again, and others in {str(place.parent)!r} that are damaged",
    )


def _tell_once(folder: str, text: str) -> None:
    if folder in _rejected:
        log.say("%s", text)
        return
    _rejected.add(folder)
    log.warn(text)
