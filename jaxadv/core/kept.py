"""Compiled and traced programs on disk, with a checksum and a name in each file.

JAX's files of compiled programs have neither: JAX loads any file under a key, or fails. Here a
program is compiled again if its file does not match.
"""

import json
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from jaxadv.support import log, trust

_rejected: set[str] = set()  # folders for which a warning was printed


class Cache(Protocol):
    """The methods of a cache of compiled programs that JAX calls."""

    _path: Any

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes) -> None: ...


class Sealed:
    """A cache of JAX with a seal before each entry: its key, length and checksum.

    Args:
        base: the cache that stores the sealed entries.
    """

    def __init__(self, base: Cache):
        self._base = base
        self._path = base._path  # pyright: ignore[reportPrivateUsage] JAX has no public name for it

    def get(self, key: str) -> bytes | None:
        """The entry of this key.

        None if there is none, if its seal does not match, or if it is not readable.
        """
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
        """Store an entry with its seal, if the key has no entry yet and the disk takes it."""
        try:
            self._base.put(key, _seal(key, value) + b"\n" + value)
        except OSError as error:
            _tell_once(
                str(self._path),
                f"compiled programs are not kept in {str(self._path)!r} "
                f"({error.strerror or error})",
            )


def _seal(key: str, content: bytes) -> bytes:
    return json.dumps([key, len(content), zlib.crc32(content)]).encode()


def install() -> None:
    """Make JAX seal its compiled programs in this process. They lie in the folder ``sealed`` inside
    JAX's folder.

    The function does nothing in a version of JAX whose cache works differently.
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
    """Report that a program on disk is made again. Standard error gets one line for each folder;
    the log gets the rest.

    Args:
        place: the file of the program.
        reason: the fault of the file.
    """
    _tell_once(
        str(place.parent),
        f"{reason}; this program is made again, as is any other damaged one in "
        f"{str(place.parent)!r}",
    )


def _tell_once(folder: str, text: str) -> None:
    if folder in _rejected:
        log.say("%s", text)
        return
    _rejected.add(folder)
    log.warn(text)
