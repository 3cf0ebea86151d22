"""fetch: downloads the study's networks and pictures, one network, or a re-run's record."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

from jaxadv.support import values
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Bring into --to what is missing there. Downloads are verified, and weights are converted.

    Raises:
        InputError: for a bad flag, a failed download, or a file that is not the expected one.
    """
    from jaxadv.fetching import fetch
    from jaxadv.fetching.addresses import GRAPHS
    from jaxadv.fetching.study import Order

    if flags.word is None:
        raise InputError("fetch needs a word: study, rerun, or a network's name such as vgg_16")
    if flags.to is None:
        raise InputError("--to is not given; fetch needs the folder that it fills")
    order = Order(
        to=Path(flags.to).expanduser(),
        only=flags.only,
        models=tuple(values.models(flags.models, tuple(GRAPHS))),
        source=flags.source,
        accepted=frozenset(value.strip().lower() for value in flags.sha256 or []),
        keep_archives=flags.keep_archives,
        keep_graphs=flags.keep_graphs,
        progress=flags.progress,
    )
    if flags.word != "study" and (
        flags.only is not None or flags.models != ["all"] or flags.keep_graphs
    ):
        raise InputError("--only, --models and --keep_graphs are for 'fetch study'; leave them out")
    fetch.fetch(flags.word, order, say=partial(print, flush=True))
