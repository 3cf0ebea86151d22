"""Networks of a run: loaded at first use, compiled once, and refused where memory runs out."""

import time
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from jaxadv.core.classifier import PROGRAMS
from jaxadv.evaluation import compiled
from jaxadv.evaluation.compiled import Compiled, Loaded, check_contracts
from model_ports.errors import InputError


class Network:
    """Notes what is done with it."""

    def __init__(self):
        self.done: list[Any] = []
        self.params = {"weights": 1, "biases": [2, 3]}
        self.at_work = self.most = 0  # compilations at a time

    def with_gradient_precision(self, precision: str) -> "Network":
        return self.also(precision)

    def with_stock_layers(self) -> "Network":
        return self.also("stock layers")

    def at_rest(self) -> "Network":
        return self.also("at rest")

    def awake(self) -> "Network":
        return self.also("awake")

    def compile(self, lanes: int, programs: list[str]) -> None:
        self.also((lanes, *programs))
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        time.sleep(0.02)
        self.at_work -= 1

    def also(self, what: Any) -> "Network":
        self.done.append(what)
        return self


def loaded(monkeypatch, *, is_short: bool = False, **options: bool) -> tuple[Loaded, list[Network]]:
    """One network "a", and a list of how often it is loaded."""
    made: list[Network] = []
    entry: Any = SimpleNamespace(load=lambda: made.append(Network()) or made[-1])
    monkeypatch.setattr(compiled.memory, "is_short", lambda _: is_short)
    return Loaded({"a": entry}, "high", **options), made


@pytest.mark.parametrize(
    ("is_short", "options", "expected"),
    [
        (False, {}, ["high", "awake"]),
        (False, {"fast_layers": True}, ["high", "awake"]),
        (False, {"fast_layers": False}, ["high", "stock layers", "awake"]),
        (True, {}, ["high", "at rest"]),
    ],
)
def test_a_network_is_loaded_once_with_its_precision_and_layers(
    monkeypatch, is_short, options, expected
):
    """Weights that would fill the device's memory stay at rest."""
    networks, made = loaded(monkeypatch, is_short=is_short, **options)
    assert networks["a"] is networks["a"] is made[0]
    assert len(made) == 1 and made[0].done == expected


def test_each_program_is_compiled_once_one_after_the_other(monkeypatch):
    networks, made = loaded(monkeypatch)
    with Compiled(networks, 4) as programs:
        assert programs.logits("a") is made[0]
        programs.ahead(["a"], PROGRAMS)
        assert programs["a"] is made[0]
        assert programs.depth("a") == 3
    rest = [(4, program) for program in PROGRAMS if program != "logits"]
    assert made[0].done[2:] == [(4, "logits"), *rest] and made[0].most == 1


def test_a_run_that_ends_starts_no_more_compilations(monkeypatch):
    networks, _ = loaded(monkeypatch)
    ended: list[dict] = []
    with Compiled(networks, 4) as programs:
        programs._pool = SimpleNamespace(  # type: ignore[assignment]
            shutdown=lambda **given: ended.append(given)
        )
    assert ended == [{"wait": False, "cancel_futures": True}]


@pytest.mark.parametrize(
    ("message", "error", "said"),
    [
        ("RESOURCE_EXHAUSTED: no", InputError, "a does not fit .* --lanes=4; give fewer lanes"),
        ("INTERNAL: broken", jax.errors.JaxRuntimeError, "INTERNAL: broken"),
    ],
)
def test_a_lack_of_memory_is_one_line_and_another_error_stays(monkeypatch, message, error, said):
    networks, _ = loaded(monkeypatch)

    def fails(*_: Any) -> None:
        raise jax.errors.JaxRuntimeError(message)

    monkeypatch.setattr(compiled.contract, "check", fails)
    with pytest.raises(error, match=said):
        check_contracts(networks, ["a"], 4)
