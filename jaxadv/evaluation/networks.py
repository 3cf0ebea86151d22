"""The networks of a run: those of the zoo that --models names, and behind them the user's own of --model_module."""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from jaxadv.core.classifier import Classifier, load_classifier
from jaxadv.core.ensembles import ensemble
from jaxadv.data.source import Source
from jaxadv.evaluation import own_models, plan
from jaxadv.support import checks
from model_ports import registry, weights
from model_ports.errors import InputError, unknown

ZOO = tuple(spec.name for spec in registry.MODELS)


class Entry(NamedTuple):
    """What is known of a network before it is loaded."""

    input_size: int  # pixels
    num_classes: int
    facts: dict[str, Any]  # "sha256" among them: a fingerprint of all that its answers depend on
    load: Callable[[], Classifier]  # raises InputError


def chosen(flags: SimpleNamespace) -> dict[str, Entry]:
    """The networks that the flags ask for, by name, in order. Raises InputError."""
    if flags.zoo not in registry.ZOOS:
        raise unknown("zoo", flags.zoo, registry.ZOOS)
    sizes = input_sizes(flags.input_size)
    own = own_models.load(flags.model_module or [], reserved=ZOO)
    if flags.models == ["none"] and not own:
        raise InputError("--models=none leaves no network; give --model_module, or networks of the zoo")
    names = [] if flags.models == ["none"] else plan.models(flags.models, ZOO)
    for name in sizes:
        if name not in names:
            raise unknown("network of --input_size", name, names)
    entries = {name: _of_zoo(name, flags, sizes.get(name)) for name in names}
    entries |= {
        name: Entry(classifier.input_size, classifier.num_classes, facts, lambda classifier=classifier: classifier)
        for name, (classifier, facts) in own.items()
    }
    for name, members in plan.ensembles(flags.ensembles).items():
        entries[name] = _ensemble(name, members, entries)
    return entries


def _of_zoo(name: str, flags: SimpleNamespace, input_size: int | None) -> Entry:
    network = registry.network(name, zoo=flags.zoo, input_size=input_size)
    try:
        place = weights.find(network, flags.weights_dir)
        facts = weights.facts(network, place)
        load = partial(load_classifier, name, zoo=flags.zoo, weights=place, input_size=input_size)
    except InputError as error:
        if not flags.dry_run:
            raise
        from jaxadv.benchmark.bench import random_classifier

        print(f"missing: {error}")
        facts, load = {"sha256": ""}, partial(random_classifier, network)  # as fast as with its own
    return Entry(network.input_size, network.num_classes, facts, load)


def _ensemble(name: str, members: list[str], entries: dict[str, Entry]) -> Entry:
    """Members are then loaded once, whoever asks for them."""
    for member in members:
        if member not in entries:
            raise unknown("network of --ensembles", member, entries)
        entries[member] = entries[member]._replace(load=cache(entries[member].load))
    chosen = [entries[member] for member in members]
    sha256 = hashlib.sha256(" ".join([name, *(entry.facts["sha256"] for entry in chosen)]).encode()).hexdigest()
    size = max(entry.input_size for entry in chosen)
    facts = {"members": members, "sha256": sha256}
    return Entry(size, chosen[0].num_classes, facts, lambda: ensemble([entry.load() for entry in chosen], name=name))


def check_classes(entries: dict[str, Entry], source: Source) -> None:
    """Raises InputError for a network whose classes are not the data's."""
    for name, entry in entries.items():
        if entry.num_classes != source.num_classes:
            zoos = ", ".join(f"--zoo={zoo} has {count}" for zoo, count in registry.CLASSES.items())
            raise InputError(
                f"--data={source.name} has {source.num_classes} classes, and {name} has {entry.num_classes}; "
                f"give networks that fit the data ({zoos}), or other data"
            )


def input_sizes(values: list[str] | None) -> dict[str, int]:
    """Pixels by name, from ["mobilenet_v1_025=128"]. Raises InputError."""
    pairs = [value.partition("=") for value in values or []]
    if not all(name and size for name, _, size in pairs):
        raise InputError(f"--input_size is {','.join(values)!r}; NAME=PIXELS of networks of the zoo are needed, separated by commas")
    return {name: _pixels([size]) for name, _, size in pairs}


def input_size(values: list[str] | None) -> int | None:
    """Pixels of the one network of predict or validate, from ["128"]. Raises InputError."""
    return None if values is None else _pixels(values)


def _pixels(values: list[str]) -> int:
    sizes = plan.numbers("input_size", values, int)
    if len(sizes) > 1:
        raise InputError(f"--input_size is {','.join(values)!r}; one number of pixels is needed, for --model")
    checks.count("input_size", sizes[0])
    return sizes[0]
