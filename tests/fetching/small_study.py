"""The study in small, and what a folder must have once it was fetched."""

import hashlib
import json

import golden_weights as golden
import jax
import numpy as np
from made_archives import NUMBERS, SMALLEST, jpeg, picture_name

from jaxadv.data.sources import open_source
from jaxadv.fetching.addresses import GRAPHS, Archive
from jaxadv.fetching.study import Order
from model_ports import registry, weights
from model_ports.weight_map import assemble


def recorded(server, archives: dict[str, bytes], **changes) -> dict[str, Archive]:
    """What `addresses` would say of these archives, on this server."""
    return {
        part: Archive(f"{server.url}/{name}", len(data), hashlib.sha256(data).hexdigest())
        for part, name in (("weights", "weights.tar.gz"), ("pictures", "img.tar.gz"))
        for data in [archives[name]]
    } | changes


def order(to, **options) -> Order:
    """Of one network where not more are asked for, which takes a second."""
    return Order(**{"to": to, "models": SMALLEST[:1], "progress": False} | options)


def whole(to, names=SMALLEST[:1], numbers=NUMBERS) -> None:
    """The folder has these networks and pictures, each as it was packed, and nothing else."""
    top = {path.name for path in to.iterdir()}
    assert top == {"fetched.json", *["weights"] * bool(names), *["pictures"] * bool(numbers)}
    record = json.loads((to / "fetched.json").read_text())
    assert set(record["networks"]) == set(names)
    for name in names:
        network = registry.network(name, zoo="imagenet")
        params, meta = weights.load(network, weights.find(network, to / "weights"))
        rule = golden.weights(golden.recording(name).meta)
        expected = assemble(network.spec.weight_map, rule, network.abstract())
        jax.tree.map(np.testing.assert_array_equal, params, expected)
        assert meta["source"] == GRAPHS[name].member
        assert record["networks"][name]["sha256"] == meta["sha256"]
        assert record["networks"][name]["archive"] == meta["archive"]["sha256"]
    if names:
        assert sorted(path.name for path in (to / "weights").iterdir()) == sorted(names)
    if numbers:
        found = {path.name: path.read_bytes() for path in (to / "pictures").iterdir()}
        mark = json.loads(found.pop(".fetched.json"))
        assert found == {picture_name(number): jpeg(number) for number in numbers}
        assert mark["pictures"] == record["pictures"]["count"] == len(numbers)
        source = open_source(f"imagefolder:{to / 'pictures'}")
        assert sorted(source.ids) == sorted(numbers) and source.validation
