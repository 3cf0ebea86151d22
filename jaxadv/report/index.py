"""The runs in a folder, a line each, from their manifests and summaries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxadv.report import summary
from jaxadv.store import manifest as manifests
from jaxadv.support import places
from jaxadv.support.files import Damaged, Foreign
from model_ports.errors import InputError

_DEEP = 3  # folders below the one that is asked for
_HEADS = ("run", "date", "data", "models", "images", "attacks", "done", "most robust")


def index(directory: str) -> str:
    """A table of the runs in a folder and the folders in it, as text.

    Raises:
        InputError: if there is no folder, or no run in it.
    """
    root = places.place("DIR", directory)
    if not root.is_dir():
        raise InputError(
            f"{directory!r} is no folder; give the folder that holds your runs, such as results"
        )
    rows = [_row(path, root, manifest) for path, manifest in _runs(root, _DEEP)]
    if not rows:
        raise InputError(
            f"no run in {directory!r} or up to {_DEEP} folders below; evaluate makes one"
        )
    return _aligned([_HEADS, *rows])


def _runs(folder: Path, depth: int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folders of runs, in the order of their names; what is in a run is not looked at."""
    try:
        found = manifests.read(folder)
    except (Damaged, Foreign):
        found = {}
    if found:
        yield folder, found
    elif depth:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
                yield from _runs(path, depth - 1)


def _row(path: Path, root: Path, manifest: dict[str, Any]) -> tuple[str, ...]:
    settings = manifest.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    brief = summary.read(path / summary.NAME)
    attacks = settings.get("attacks")
    models = manifest.get("models")
    first = [
        one["name"] for one in brief.get("models", []) if (one.get("rank") or {}).get("place") == 1
    ]
    name = path.relative_to(root).as_posix() if path != root else path.name
    texts = (
        name,
        manifest.get("date"),
        settings.get("data"),
        len(models) if isinstance(models, list) else None,
        (brief.get("counts") or {}).get("clean images") or settings.get("num_images"),
        " ".join(attacks) if isinstance(attacks, dict) else None,
        " ".join(manifest.get("finished_parts") or ["unfinished"]),
        ", ".join(first),
    )
    return tuple("–" if text in (None, "") else " ".join(str(text).split()) for text in texts)


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
