"""Fetches a re-run's record of every attacked image, from the repository that published it.

The record is small and optional. The first 42 of its 692 images are in `results/published`. With
the record, the acceptance check compares all of them.
"""

from pathlib import Path

from jaxadv.fetching import bring
from jaxadv.fetching.addresses import RERUN
from jaxadv.fetching.folder import Folder
from jaxadv.fetching.record import Record, now
from jaxadv.fetching.study import Order
from jaxadv.support import files

NAME = "rerun.jsonl"


def fetch(order: Order) -> Path | None:
    """Bring the record to DIR/rerun.jsonl.

    Args:
        order: where to put it, and where it comes from.

    Returns:
        The path; None if the record was there already.

    Raises:
        InputError: if the download fails, or if its SHA-256 differs from the recorded one.
    """
    order.check()
    folder = Folder(order.to)
    path = order.to / NAME
    if path.exists():
        return None
    with folder.opened():
        brought = bring.bring(
            RERUN,
            folder.work,
            folder.archives,
            title="the re-run",
            source=order.source,
            accepted=order.accepted,
            progress=order.progress,
        )
        files.write_atomically(path, brought.path.read_bytes())
        Record(order.to).add("archives", {"rerun": brought.facts() | {"at": now()}})
        bring.done(RERUN, folder.work, None)
    return path
