"""The networks of a run: networks of the zoo, networks of the user, and ensembles."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

from jaxadv.core import items
from jaxadv.core.classifier import Classifier, load_classifier
from jaxadv.core.ensembles import ensemble
from jaxadv.data.source import Source
from jaxadv.evaluation import foreign_networks, own_models
from jaxadv.evaluation.settings import Attempt
from jaxadv.foreign import forms
from model_ports import facts, registry, weights
from model_ports.errors import InputError, unknown

ZOO = facts.NAMES


class Entry(NamedTuple):
    """A network before it is loaded."""

    input_size: int  # pixels
    num_classes: int
    facts: dict[str, Any]  # "sha256" is a fingerprint of everything that the logits depend on
    load: Callable[[], Classifier]  # raises InputError
    members: tuple[str, ...] = ()  # names, of an ensemble


@dataclass(frozen=True)
class Zoo:
    """The source of the networks that are given by name.

    Args:
        name: "digits" or "imagenet".
        weights_dir: a folder of converted networks; None for the embedded ones.
        input_sizes: pixels by name, for networks that run at another input size than usual.
        allow_missing: whether random weights replace missing ones. A plan may use them.
        pretrained: whether networks of other libraries have their trained weights; random ones if
            not.
    """

    name: str = "digits"
    weights_dir: str | None = None
    input_sizes: Mapping[str, int] = field(default_factory=dict)
    allow_missing: bool = False
    pretrained: bool = True

    def check(self) -> None:
        """Raises InputError if there is no zoo of this name."""
        if self.name not in registry.ZOOS:
            raise unknown("zoo", self.name, registry.ZOOS)


def choose(
    models: Sequence[str | Classifier],
    zoo: Zoo,
    ensembles: Iterable[Sequence[str]] = (),
    num_classes: int | None = None,
) -> dict[str, Entry]:
    """The networks of a run by name, in order.

    Args:
        models: names of the zoo or of other libraries (`jaxadv.foreign.forms.FORMS`),
            FILE.py:FUNCTION of the user, or classifiers.
        zoo: the source of the networks that are given by name.
        ensembles: the members of each ensemble, two or more names. Ensembles follow the other
            networks.
        num_classes: the number of classes of other libraries' networks with random weights; None
            for their usual one.

    Returns:
        Name -> network.

    Raises:
        InputError: if a network is unknown or missing, or if a name is used twice.
    """
    zoo.check()
    if isinstance(models, (str, Classifier)):
        models = [models]
    if not models:
        raise InputError(
            "--models=none leaves no network; give --model_module, or networks of the zoo"
        )
    entries: dict[str, Entry] = {}
    names: dict[str, str] = {}  # of rows, by full name
    for model in models:
        loaded: dict[str, tuple[Classifier, dict[str, Any]]] = {}
        if isinstance(model, Classifier):
            loaded = own_models.given(model, reserved=entries)
        elif forms.is_foreign(model):
            if model in names:
                continue
            classifier = foreign_networks.load(
                model,
                taken={*ZOO, *entries},
                pretrained=zoo.pretrained,
                input_size=zoo.input_sizes.get(model),
                num_classes=num_classes,
            )
            names[model] = classifier.name
            loaded = {classifier.name: (classifier, classifier.facts)}
        elif ".py" in model:
            loaded = own_models.load([model], reserved={*ZOO, *entries})
        elif model in ZOO:
            entries[model] = _of_zoo(model, zoo)
        else:
            raise unknown("model", model, [*ZOO, *forms.FORMS])
        for name, (classifier, known) in loaded.items():
            load = partial(_itself, classifier)
            entries[name] = Entry(classifier.input_size, classifier.num_classes, known, load)
    for name in zoo.input_sizes:
        if names.get(name, name) not in entries:
            raise unknown("network of --input_size", name, [*entries, *names])
    for members in ensembles:
        members = [names.get(member, member) for member in members]
        name = ".".join(["ensemble", *members])
        entries[name] = _ensemble(name, members, entries)
    return entries


def _itself(classifier: Classifier) -> Classifier:
    return classifier


def _of_zoo(name: str, zoo: Zoo) -> Entry:
    input_size = zoo.input_sizes.get(name)
    network = registry.network(name, zoo=zoo.name, input_size=input_size)
    try:
        place = weights.find(network, zoo.weights_dir)
        facts = weights.facts(network, place)
        load = partial(load_classifier, name, zoo=zoo.name, weights=place, input_size=input_size)
    except InputError as error:
        if not zoo.allow_missing:
            raise
        facts = {"sha256": "", "missing": str(error)}
        load = partial(random_classifier, network)
    return Entry(network.input_size, network.num_classes, facts, load)


def random_classifier(network: registry.Network, seed: int = 0) -> Classifier:
    """A network with random weights, for measurements of speed.

    Args:
        network: the network of the zoo.
        seed: the seed of its weights.

    Returns:
        The classifier.
    """
    import jax

    return Classifier(
        network.apply,
        jax.device_put(network.init(jax.random.key(seed))),
        input_size=network.input_size,
        num_classes=network.num_classes,
        name=network.spec.name,
        label_offset=network.label_offset,
    )


def _ensemble(name: str, members: Sequence[str], entries: dict[str, Entry]) -> Entry:
    """The ensemble of some entries. From then on each member is loaded only once."""
    if len(set(members)) < max(2, len(members)):
        raise InputError(
            f"--ensembles has {'+'.join(members)!r}; two or more different networks joined by "
            "'+' are needed, such as vgg_16+alexnet"
        )
    for member in members:
        if member not in entries:
            raise unknown("network of --ensembles", member, entries)
        entries[member] = entries[member]._replace(load=cache(entries[member].load))
    chosen = [entries[member] for member in members]
    sha256 = hashlib.sha256(
        " ".join([name, *(entry.facts["sha256"] for entry in chosen)]).encode()
    ).hexdigest()
    size = max(entry.input_size for entry in chosen)
    facts = {"members": list(members), "sha256": sha256}
    return Entry(
        size,
        chosen[0].num_classes,
        facts,
        lambda: ensemble([entry.load() for entry in chosen], name=name),
        tuple(members),
    )


def check_classes(entries: Mapping[str, Entry], source: Source) -> None:
    """Check that networks and data have the same number of classes.

    Args:
        entries: the networks by name.
        source: the data.

    Raises:
        InputError: if a network and the data have different numbers of classes.
    """
    for name, entry in entries.items():
        if entry.num_classes != source.num_classes:
            zoos = ", ".join(f"--zoo={zoo} has {count}" for zoo, count in registry.CLASSES.items())
            raise InputError(
                f"--data={source.name} has {source.num_classes} classes, and {name} has "
                f"{entry.num_classes}; give networks that fit the data ({zoos}), or other data"
            )


def check_attacks(entries: Mapping[str, Entry], attempts: Sequence[Attempt]) -> None:
    """Raises InputError for a network that has too few classes for an attack, or too many."""
    probes = {(one.attack, one.label): one.probe for one in attempts}
    for name, entry in entries.items():
        for probe in probes.values():
            items.check_classes(probe, name, entry.num_classes)


def missing(entries: Mapping[str, Entry]) -> list[str]:
    """A line about each network whose weights are missing.

    Args:
        entries: the networks by name.

    Returns:
        The lines; empty if no weights are missing.
    """
    return [str(entry.facts["missing"]) for entry in entries.values() if "missing" in entry.facts]
