"""fetch: the study's networks and pictures, one network, or the re-run's record, from their public addresses."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jaxadv.support import values
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Bring what is missing of it into --to, verified and converted. Raises InputError."""
    from jaxadv.fetching import rerun, single, study
    from jaxadv.fetching.addresses import GRAPHS

    if flags.word is None:
        raise InputError(
            "fetch needs a word: 'study', 'rerun', or a network's name such as vgg_16, as in fetch study --to=DIR"
        )
    if flags.to is None:
        raise InputError("--to is not given; fetch needs the folder that it fills")
    order = study.Order(
        to=Path(flags.to).expanduser(),
        only=flags.only,
        models=tuple(values.models(flags.models, tuple(GRAPHS))),
        source=flags.source,
        accepted=frozenset(value.strip().lower() for value in flags.sha256 or []),
        keep_archives=flags.keep_archives,
        keep_graphs=flags.keep_graphs,
        progress=flags.progress,
    )
    if flags.word == "study":
        study.fetch(order, made=_network, say=_say)
        if order.only is None:
            _say(f"{order.to} is complete; next: --flagfile=paper/table1.flags --study={order.to}")
        else:
            _say(f"{order.to / order.only} is complete")
        return
    if flags.only is not None or flags.models != ["all"] or flags.keep_graphs:
        raise InputError("--only, --models and --keep_graphs are for 'fetch study'; leave them out")
    if flags.word == "rerun":
        path = rerun.fetch(order)
        _say(f"{path or order.to / rerun.NAME} is {'complete' if path else 'there already'}")
        return
    meta = single.fetch(flags.word, order)
    if meta is None:
        _say(f"{order.to / 'weights' / flags.word} is there already")
    else:
        _network(flags.word, meta)


def _say(line: str) -> None:
    print(line, flush=True)


def _network(name: str, meta: dict[str, Any]) -> None:
    logits = meta["logit_checksum"]
    _say(
        f"{name} from {meta['source']}, {meta['num_arrays']} arrays; logits of the test picture: "
        f"norm {logits['norm']:.6g}, largest {logits['largest']}"
    )
