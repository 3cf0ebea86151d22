"""The re-run's own record of every attacked image, from the repository that published it.

It is small, and not needed: the first 42 of its 692 images are in `results/published`. With it the
acceptance check compares them all.
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
        order: where to, and where from.

    Returns:
        Its path; None if it was there already.

    Raises:
        InputError: it cannot be had, or has another SHA-256 than recorded.
    """
    order.check()
    folder, path = Folder(order.to), order.to / NAME
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
