"""The networks of a run: what names stand for, ensembles, and what is known before they load."""

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from models import PIXELS, linear_apply, random_linear

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import costs, networks
from jaxadv.evaluation.networks import Entry, Zoo
from model_ports.errors import InputError


def entry(name: str, input_size: int = 8, num_classes: int = 4, **facts: str) -> Entry:
    """An entry that counts how often it is loaded."""
    loads: list[str] = []

    def load() -> Any:
        loads.append(name)
        return random_linear(0, num_classes, name=name)

    load.loads = loads
    return Entry(input_size, num_classes, {"sha256": f"of {name}", **facts}, load)


@pytest.fixture
def entries() -> dict[str, Entry]:
    return {name: entry(name) for name in ("a", "b", "c")}


def test_classifiers_are_networks_and_one_needs_no_list():
    mine = random_linear(0, 4, name="mine")
    found = networks.choose(mine, Zoo())
    assert list(found) == ["mine"] and found["mine"].load() is mine
    assert (found["mine"].input_size, found["mine"].num_classes, found["mine"].members) == (
        8,
        4,
        (),
    )
    with pytest.raises(InputError, match="no network"):
        networks.choose([], Zoo())
    with pytest.raises(InputError, match="unknown zoo 'digit'"):
        networks.choose([mine], Zoo("digit"))


def test_a_network_of_a_library_is_loaded_once_and_known_by_both_names(monkeypatch):
    asked: list[tuple[str, dict[str, Any]]] = []

    def load(full: str, **more: Any) -> jaxadv.Classifier:
        asked.append((full, more))
        made = random_linear(0, 4, name=full.replace(":", "."))
        made.facts = {"sha256": full}
        return made

    monkeypatch.setattr(networks.foreign_networks, "load", load)
    names = ["timm:x", "timm:x", "timm:y", "alexnet"]
    sizes = {"timm:x": 8, "alexnet": 25}
    found = networks.choose(names, Zoo(input_sizes=sizes), [["timm:y", "alexnet"]], num_classes=4)
    assert list(found) == ["timm.x", "timm.y", "alexnet", "ensemble.timm.y.alexnet"]
    assert [full for full, _ in asked] == ["timm:x", "timm:y"]
    assert [more["input_size"] for _, more in asked] == [8, None]
    assert all(more["pretrained"] and more["num_classes"] == 4 for _, more in asked)
    assert "timm.x" in asked[1][1]["taken"] and "alexnet" in asked[1][1]["taken"]
    networks.choose(["timm:x"], Zoo(pretrained=False))
    assert asked[-1][1]["pretrained"] is False
    with pytest.raises(InputError, match="unknown network of --input_size 'timm:z'"):
        networks.choose(["timm:x"], Zoo(input_sizes={"timm:z": 8}))


def test_missing_weights_are_refused_unless_a_plan_may_do_without(tmp_path):
    with pytest.raises(InputError, match="no weights of alexnet"):
        networks.choose(["alexnet"], Zoo("imagenet"))
    with pytest.raises(InputError, match="no weights of vgg_16 in"):
        networks.choose(["vgg_16"], Zoo("digits", str(tmp_path)))
    found = networks.choose(["alexnet", "vgg_16"], Zoo("imagenet", allow_missing=True))
    assert (found["alexnet"].input_size, found["alexnet"].num_classes) == (227, 1000)
    assert [line[:21] for line in networks.missing(found)] == [
        "no weights of alexnet",
        "no weights of vgg_16:",
    ]
    assert networks.missing(networks.choose(["alexnet"], Zoo())) == []


def test_random_weights_are_those_of_the_seed_and_of_0_by_default():
    zeros = np.zeros((PIXELS, 4), np.float32)
    network: Any = SimpleNamespace(
        apply=linear_apply,
        init=lambda key: {"weights": zeros, "bias": zeros[0], "seed": jax.random.key_data(key)[1]},
        input_size=8,
        num_classes=4,
        label_offset=0,
        spec=SimpleNamespace(name="net"),
    )
    seeds = [
        int(networks.random_classifier(network, *seed).params["seed"]) for seed in ((), (0,), (7,))
    ]
    assert seeds == [0, 0, 7]


@pytest.mark.parametrize("members", [["a", "b"], ["c", "a", "b"]])
def test_an_ensemble_of_different_networks(entries, members):
    made = networks._ensemble("ensemble.x", members, entries)
    assert made.members == tuple(members) and made.facts["members"] == members
    loads = [entries[name].load for name in members]
    assert made.load().name == "ensemble.x" and len(loads) == len(members)


@pytest.mark.parametrize("members", [[], ["a"], ["a", "a"], ["a", "b", "a"]])
def test_an_ensemble_of_fewer_than_two_different_networks_is_refused(entries, members):
    with pytest.raises(InputError, match="two or more different networks"):
        networks._ensemble("ensemble.x", members, entries)


def test_a_member_of_an_ensemble_is_known_and_loads_once(entries):
    with pytest.raises(InputError, match="unknown network of --ensembles 'd'"):
        networks._ensemble("ensemble.x", ["a", "d"], entries)
    loads = entries["b"].load.loads
    made = networks._ensemble("ensemble.x", ["a", "b"], entries)
    other = networks._ensemble("ensemble.y", ["b", "c"], entries)
    for load in (made.load, other.load, entries["b"].load):
        load()
    assert loads == ["b"]


def test_an_ensemble_is_as_large_as_its_largest_member_and_changes_with_any():
    entries = {"a": entry("a", 8, 4), "b": entry("b", 9, 5)}
    made = networks._ensemble("ensemble.a.b", ["a", "b"], entries)
    assert (made.input_size, made.num_classes) == (9, 4)
    turned = networks._ensemble("ensemble.a.b", ["b", "a"], entries)
    changed = networks._ensemble("ensemble.a.b", ["a", "b"], entries | {"b": entry("other", 9)})
    assert len({one.facts["sha256"] for one in (made, turned, changed)}) == 3


def test_networks_fit_the_data_in_their_number_of_classes(entries):
    source = from_arrays(np.zeros((4, 8, 8, 3), np.uint8), np.arange(4), name="mine")
    networks.check_classes(entries, source)
    with pytest.raises(InputError, match="^--data=mine has 4 classes, and d has 5; .*imagenet has"):
        networks.check_classes(entries | {"d": entry("d", num_classes=5)}, source)


def test_networks_have_enough_classes_for_every_attack(entries):
    def attempt(label: str, probe: Any) -> Any:
        return SimpleNamespace(attack="apgd", label=label, probe=probe)

    some = [
        attempt("easy", jaxadv.FGSM(eps=0.1)),
        attempt("hard", jaxadv.APGD(eps=0.1, loss="targeted_dlr")),
    ]
    networks.check_attacks(entries, some)
    networks.check_attacks({"few": entry("few", num_classes=3)}, some[:1])
    with pytest.raises(InputError, match="^few has 3 classes"):
        networks.check_attacks(entries | {"few": entry("few", num_classes=3)}, some)


def test_arithmetic_is_known_for_the_zoo_and_summed_for_an_ensemble():
    """Of another network it is unknown; in an ensemble it counts as usual."""
    some = {name: entry(name, 24) for name in ("alexnet", "vgg_16", "mine")}
    some["both"] = some["mine"]._replace(members=("alexnet", "vgg_16"))
    some["one"] = some["mine"]._replace(members=("alexnet", "mine"))
    found = networks.gigaflops(some, Zoo())
    alexnet, vgg_16 = (costs.table()[name][1] for name in ("alexnet", "vgg_16"))
    assert list(found) == ["alexnet", "vgg_16", "both", "one"] and found["alexnet"] == alexnet
    assert found["both"] == pytest.approx(
        (alexnet.gradient + vgg_16.gradient, alexnet.logits + vgg_16.logits)
    )
    assert found["one"] == pytest.approx((alexnet.gradient + 3.0, alexnet.logits + 1.0))
