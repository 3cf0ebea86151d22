"""torch:FILE.py:FUNCTION: what a user's function may return. PyTorch is not needed."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from jaxadv.evaluation import foreign_networks
from model_ports.errors import InputError


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load what a function returns. The module is a word, and its classifier what was asked."""
    asked: list[tuple[Any, dict[str, Any]]] = []

    def from_torch(module: Any, **more: Any) -> str:
        if module == "bad":
            raise InputError("it is bad")
        asked.append((module, more))
        return "classifier"

    stand_in = SimpleNamespace(from_torch=from_torch)
    monkeypatch.setitem(sys.modules, "jaxadv.foreign.pytorch", stand_in)
    monkeypatch.chdir(tmp_path)

    def loaded(returned: str, **more: Any) -> tuple[Any, dict[str, Any]]:
        (tmp_path / "own.py").write_text(f"\n\ndef make():\n    return {returned}\n")
        made: Any = foreign_networks.load("torch:own.py:make", taken=(), **more)
        assert made == "classifier"
        return asked[-1]

    return loaded


NAMED = {"name": "torch.make", "facts": {"full_name": "torch:own.py:make"}}


@pytest.mark.parametrize(
    ("returned", "module", "settings"),
    [
        ("'net'", "net", {}),
        ("('net', {})", "net", {}),
        ("('net', {'input_size': 8, 'mean': 0.5})", "net", {"input_size": 8, "mean": 0.5}),
        ("('net',)", ("net",), {}),
        ("('a', 'b', 'c')", ("a", "b", "c"), {}),
        ("['a', {}]", ["a", {}], {}),
        ("'ab'", "ab", {}),
    ],
)
def test_a_function_returns_a_module_or_a_pair_with_settings(load, returned, module, settings):
    assert load(returned) == (module, NAMED | settings)


def test_a_size_that_the_command_gives_comes_before_the_files(load):
    pair = "('net', {'input_size': 8, 'std': 2.0})"
    assert load(pair, input_size=9)[1] == NAMED | {"input_size": 9, "std": 2.0}


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("('net', {'input_size': 8, 'sizes': 9, 'mea': 1})", "own.py:3: make gives 'mea' beside"),
        ("('net', 3)", "own.py:3: make gives '[?]' beside its module"),
        ("'bad'", "own.py:3: it is bad"),
        ("{}['x']", "own.py:4: KeyError: 'x'"),
    ],
)
def test_what_else_it_returns_is_refused_with_its_line(load, returned, words):
    with pytest.raises(InputError, match=words):
        load(returned)


@pytest.mark.parametrize(("more", "pretrained"), [({}, True), ({"pretrained": False}, False)])
def test_networks_of_libraries_have_trained_weights_unless_fresh_ones_are_asked_for(
    monkeypatch, more, pretrained
):
    monkeypatch.setattr(foreign_networks.libraries, "load", lambda request: request)
    request: Any = foreign_networks.load("timm:net", taken=["timm.net"], num_classes=7, **more)
    assert request.full == "timm:net" and request.pretrained is pretrained
    assert request.num_classes == 7 and request.name.startswith("timm.net.")
