"""The manifest and the identity of a run."""

import json

import numpy as np
import pytest

from jaxadv.store import manifest
from jaxadv.store.belonging import Belonging
from jaxadv.store.identity import Identity, as_identity, difference, plain
from jaxadv.store.parts import About
from jaxadv.support.files import Damaged, Foreign
from model_ports.errors import InputError

HERE, THERE = {"processor": "EPYC"}, {"processor": "Xeon"}


def about(facts, machine, kind="clean", unit="a") -> About:
    identity = Identity(facts, {}, machine)
    return About(2, kind, unit, 3, identity.digest(kind), identity)


def test_a_manifest_is_text_that_people_read_and_is_compared_without_its_form(tmp_path):
    manifest.write(tmp_path, {"net": "ü", "b": 1, "a": [2]})
    path = tmp_path / manifest.NAME
    assert '"ü"' in path.read_text(encoding="utf-8")
    known = manifest.read(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), sort_keys=True))
    assert manifest.read(tmp_path) == known == {"format": 2, "net": "ü", "b": 1, "a": [2]}


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ({"format": 2, "a": 1}, Damaged, "was changed or damaged"),  # its checksum is gone
        ({"checksum": "ab", "a": 1}, Damaged, "was changed or damaged"),  # or its format
        ({"checksum": manifest._checksum({})}, Damaged, "was changed or damaged"),
        ({"identity": {}}, Foreign, "of a run of format 1"),
        ({"identity": 3}, Foreign, "is not the manifest of a run$"),
        ([], Foreign, "it holds a JSON list"),
    ],
)
def test_what_is_no_whole_manifest_is_damaged_or_of_others(tmp_path, content, error, words):
    (tmp_path / manifest.NAME).write_text(json.dumps(content))
    with pytest.raises(error, match=words):
        manifest.read(tmp_path)


def test_a_manifest_of_a_later_format_is_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "FORMAT", 3)
    manifest.write(tmp_path, {})
    monkeypatch.undo()
    with pytest.raises(Foreign, match="of format 3, but this version .* only format 2"):
        manifest.read(tmp_path)


def test_a_manifest_that_is_nested_too_deeply_is_damaged(tmp_path, monkeypatch):
    manifest.write(tmp_path, {})

    def deep(_):
        raise RecursionError

    monkeypatch.setattr(manifest, "_checksum", deep)
    with pytest.raises(Damaged, match="was changed or damaged"):
        manifest.read(tmp_path)


def test_a_run_knows_its_machines_and_once_any_it_stays_so():
    here, there = (Identity({"--lanes": 4}, {}, machine) for machine in (HERE, THERE))
    first = manifest.begun({}, here)
    assert first == {"identity": {"--lanes": 4}, "only": {}, "machines": [HERE]}
    assert manifest.begun(first, here) == first
    second = manifest.begun(first | {"files": ["a"]}, there, any_machine=True)
    assert second == first | {"files": ["a"], "machines": [HERE, THERE], "any_machine": True}
    assert manifest.begun(second, here) == second


def test_a_manifest_from_parts_is_of_most_of_them():
    ours = [about({"--lanes": 4}, HERE, unit=unit) for unit in "ab"]
    theirs = about({"--lanes": 8}, THERE)
    entries = {"format": 2, "identity": {"--lanes": 4}, "only": {}, "machines": [HERE]}
    assert manifest.rebuilt([theirs, *ours]) == entries
    assert manifest.rebuilt([]) == {}
    two = manifest.rebuilt([*ours, about({"--lanes": 4}, THERE, "clever")])
    assert two == entries | {"machines": [HERE, THERE], "any_machine": True}


@pytest.mark.parametrize(
    ("entries", "known"),
    [
        ({"identity": {"a": 1}, "only": {"clean,clever": ["a"]}, "machine": HERE}, True),
        ({"identity": {"a": 1}, "only": {}, "machine": 3}, True),
        ({"identity": 3, "only": {}}, False),
        ({"identity": {"a": 1}, "only": None}, False),
        ({}, False),
    ],
)
def test_an_identity_is_read_whole_or_not_at_all(entries, known):
    found = Identity.from_json(entries)
    if not known:
        assert found is None
        return
    machine = HERE if entries["machine"] == HERE else {}
    only = {"a": ["clean", "clever"]} if entries["only"] else {}
    assert found == Identity({"a": 1}, only, machine)
    assert found.to_json() == {"identity": {"a": 1}, "only": entries["only"], "machine": machine}


def test_facts_concern_the_kinds_that_depend_on_them_here_or_there():
    here = Identity({"x": 1, "y": 1}, {"x": ["clean"], "y": ["clever"]})
    there = Identity({"y": 1, "x": 2}, {"x": ["clever"], "y": ["clever"]})
    assert here.differing(there, ["clean"]) == ["x"] == here.differing(there, ["clever"])
    assert here.differing(there, ["transfer"]) == [] == here.differing(here, ["clean"])
    assert here.depends("clean", "x") and not here.depends("clever", "x")
    assert here.depends("clever", "z")  # all kinds depend on what is not listed
    assert Identity({"y": 1, "x": 1}, here.only).digest("clean") == here.digest("clean")
    other = Identity({"x": 3, "y": 1}, here.only)
    assert other.digest("clever") == here.digest("clever") != here.digest("clean")
    assert other.digest("clean") != here.digest("clean")
    assert as_identity(here) is here and as_identity({"x": 1}).facts == {"x": 1}
    assert as_identity(None) == Identity()


def test_a_difference_names_three_facts_and_long_values_are_cut():
    facts = dict.fromkeys("abc", 1)
    assert difference(facts, {}, list("abc")).endswith("c 1 there, not given now")
    assert difference(facts, {}, list("abcde")).endswith("c 1 there, not given now, and 2 more")
    assert difference({"a": [1, 2]}, {"a": "x" * 60}, ["a"]) == f"a 1,2 there, {'x' * 60} now"
    assert difference({"a": "x" * 61}, {"a": 0}, ["a"]) == f"a {'x' * 57}... there, 0 now"


def test_values_for_json():
    given = {1: (np.int32(2), np.nan), "b": {0.5}, "c": [True, None, b"x", -np.inf], "d": "\udcff"}
    assert plain(given) == {
        "1": [2, "nan"],
        "b": [0.5],
        "c": [True, None, "b'x'", "-inf"],
        "d": "\\udcff",
    }


def test_a_run_is_compared_by_its_last_machine(tmp_path):
    other = {"processor": "Xeon", "memory": 8}
    ours = Belonging(tmp_path, Identity({"a": 1}), [{"processor": "Arm"}, HERE])
    for machine in (HERE, {"processor": "Arm"}, {}):
        ours.compare(Identity({"a": 1}, {}, machine), ["clean"])
    ours.compare(Identity({"a": 1}, {}, other), ["clean"], any_machine=True)
    Belonging(tmp_path, Identity({"a": 1})).compare(Identity({"a": 1}, {}, other), ["clean"])
    with pytest.raises(
        InputError,
        match=r"\(processor EPYC there, Xeon now; memory not given there, 8 now\).*--any_machine",
    ):
        ours.compare(Identity({"a": 1}, {}, other), ["clean"])
