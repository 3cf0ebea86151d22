"""Fetches by name: the whole study, one network, or the record of a re-run."""

from collections.abc import Callable
from typing import Any

from jaxadv.fetching import rerun, single, study
from jaxadv.fetching.study import Order


def fetch(what: str, order: Order, *, say: Callable[[str], None] = lambda line: None) -> None:
    """Bring what is missing. Downloads are verified, and weights are converted.

    Args:
        what: "study", "rerun", or the name of a network.
        order: where to put the files, where they come from, and what to keep.
        say: called with each line for the user.

    Raises:
        InputError: for a bad order, a failed download, or a file that is not the expected one.
    """

    def describe(name: str, meta: dict[str, Any]) -> None:
        logits = meta["logit_checksum"]
        say(
            f"{name} from {meta['source']}, {meta['num_arrays']} arrays; logits of the test "
            f"picture: norm {logits['norm']:.6g}, largest {logits['largest']}"
        )

    if what == "study":
        study.fetch(order, made=describe, say=say)
        if order.only is None:
            say(f"{order.to} is complete; next: --flagfile=paper/table1.flags --study={order.to}")
        else:
            say(f"{order.to / order.only} is complete")
    elif what == "rerun":
        path = rerun.fetch(order)
        say(f"{path or order.to / rerun.NAME} is {'complete' if path else 'there already'}")
    elif meta := single.fetch(what, order):
        describe(what, meta)
    else:
        say(f"{order.to / 'weights' / what} is there already")
