"""The number of lanes follows from the device's free memory, unless it is given or known."""

from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from models import inner_images, linear_apply, random_linear

import jaxadv
from jaxadv.core import engine, memory
from model_ports.errors import InputError


@pytest.fixture
def classifier():
    return random_linear(0, 4)


def test_few_lanes_idle_where_nobody_chose_their_number():
    chosen = [engine.choose_lanes(items, None) for items in range(40)]
    assert set(chosen) == {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}
    assert {type(lanes) for lanes in chosen} == {int}
    assert chosen[:2] == [1, 1] and chosen[10] == 12 and engine.choose_lanes(10, 7) == 7
    for items, lanes in enumerate(chosen):
        assert lanes == 32 if items > 32 else items <= lanes <= max(1, 1.5 * items)


def test_a_given_number_and_a_continued_runs_own_are_kept(classifier, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 0)
    assert memory.choose([classifier], asked=7, known=5) == 7
    assert memory.choose([classifier], known=5) == 5


def test_plenty_of_memory_gives_the_most_and_compiles_nothing(classifier, capsys, monkeypatch):
    assert memory.free_bytes() > 2**28  # what this test itself needs
    monkeypatch.setattr(classifier, "compile", None)
    assert memory.choose([classifier]) == memory.MOST["cpu"]
    assert not capsys.readouterr().err


def test_each_number_that_does_not_fit_is_told_and_halved(classifier, monkeypatch, capsys):
    monkeypatch.setattr(
        memory, "free_bytes", lambda: memory.needed_bytes(classifier, 8) / memory.SHARE
    )
    assert memory.choose([classifier]) == 8
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "32 lanes" in told[0] and told[1].endswith("trying 8 lanes")


def test_what_seems_to_fit_is_called_and_halved_where_memory_runs_out(
    classifier, monkeypatch, capsys
):
    called = []

    def compile(batch):
        called.append(batch)
        if batch > 16:
            raise jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12345 bytes."
            )

    monkeypatch.setattr(classifier, "compile", compile)
    monkeypatch.setattr(memory, "SURELY", 1e9)
    monkeypatch.setattr(memory, "needed_bytes", lambda classifier, lanes: 0)
    assert memory.choose([classifier]) == 16 and called == [32, 16]
    assert (
        capsys.readouterr().err
        == "linear with 32 lanes needs more memory than the device has: trying 16 lanes\n"
    )
    monkeypatch.setattr(classifier, "compile", lambda batch: compile(99))
    with pytest.raises(
        InputError, match="linear with 1 lanes needs more memory than the device has; free memory"
    ):
        memory.choose([classifier])

    def fail(batch):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(classifier, "compile", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        memory.choose([classifier])


def test_not_even_one_lane_is_one_line(classifier, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 16)
    monkeypatch.setattr(memory, "needed_bytes", lambda classifier, lanes: 2e9 * lanes)
    with pytest.raises(
        InputError, match="1 lanes needs 2 GB, and may use .* of the free memory; free memory"
    ):
        memory.choose([classifier])


def test_weights_at_rest_take_memory_for_each_call(classifier):
    """Those that lie on the device are no longer free, and not counted again."""
    assert (
        memory.needed_bytes(classifier.at_rest(), 4) - memory.needed_bytes(classifier.awake(), 4)
        == classifier.bytes
    )


def network(size: int, **facts) -> SimpleNamespace:
    return SimpleNamespace(name=f"net{size}", input_size=size, **facts)


def test_an_image_has_three_channels_of_four_bytes():
    assert memory.image_bytes(network(8)) == 8 * 8 * 3 * 4


def test_the_largest_network_is_asked_first(monkeypatch):
    """It halves the lanes; the smaller ones fit at the first try."""
    asked = []

    def lack(classifier, lanes):
        asked.append((classifier.name, lanes))
        return "too large" if lanes > 8 else ""

    monkeypatch.setattr(memory, "_lack", lack)
    monkeypatch.setattr(memory, "MOST", {"cpu": 16})
    assert memory.choose([network(4), network(9), network(6)]) == 8
    assert asked == [("net9", 16), ("net9", 8), ("net6", 8), ("net4", 8)]


def test_memory_that_is_just_enough_is_enough(monkeypatch):
    """1000 images for each lane fit without a question; else what a program needs may be all."""
    compiled, one = [], network(1, compile=lambda lanes: compiled.append(lanes))
    monkeypatch.setattr(memory, "SHARE", 0.5)
    monkeypatch.setattr(memory, "needed_bytes", lambda classifier, lanes: 2400)
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * 2400)
    assert memory._lack(one, 2) == "" and compiled == [2]
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * 2399)
    assert memory._lack(one, 2).startswith("net1 with 2 lanes needs 2.4e-06 GB")
    monkeypatch.setattr(memory, "needed_bytes", None)
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * (2 * 1000 * 12 + 1))
    assert memory._lack(one, 2) == "" and compiled == [2]


def test_a_call_needs_its_program_and_the_state_of_its_lanes():
    used = SimpleNamespace(temp_size_in_bytes=1000, output_size_in_bytes=200)
    program = SimpleNamespace()
    program.lower = lambda *_: program
    program.compile = lambda: program
    program.memory_analysis = lambda: used
    one = network(2, bytes=7, is_at_rest=False, params=(), devices=jax.devices())
    one.kept = lambda name, lanes: (program, ())
    state = 16 * 5 * 2 * 2 * 3 * 4  # images of the lanes
    assert memory.needed_bytes(one, 5) == 1000 + 200 + state
    one.is_at_rest = True
    assert memory.needed_bytes(one, 5) == 7 + 1000 + 200 + state


def test_weights_of_more_than_half_of_the_free_memory_stay_with_the_host(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 100)
    assert [memory.is_short(network(1, bytes=size)) for size in (1, 50, 51)] == [False, False, True]


def test_free_memory_is_what_the_device_says(monkeypatch):
    device = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 100, "bytes_in_use": 30})
    monkeypatch.setattr(memory.jax, "local_devices", lambda: [device])
    assert memory.free_bytes() == 70


def test_free_memory_of_a_processor_is_what_the_system_says(monkeypatch):
    """Without a file of Linux, half of all memory."""
    text = "MemTotal: 90 kB\nMemAvailable:   12 kB\nCached: 5 kB\n"
    monkeypatch.setattr(Path, "read_text", lambda path: text)
    assert memory.free_bytes() == 12 * 1024
    monkeypatch.setattr(Path, "read_text", lambda path: "MemTotal: 90 kB\n")
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 10}
    monkeypatch.setattr(memory.os, "sysconf", sizes.get)
    assert memory.free_bytes() == 20480


@pytest.mark.parametrize("attack", [jaxadv.FGSM(0.1), jaxadv.DDN(steps=3)])
def test_spare_lanes_change_no_shape(attack):
    """The network is only ever called with all lanes, however few items there are."""
    shapes = set()

    def apply(params, images):
        shapes.add(len(images))
        return linear_apply(params, images)

    source = random_linear(0, 4)
    given = {"input_size": source.input_size, "num_classes": 4, "name": "watched", "outputs": 4}
    watched = jaxadv.Classifier(apply, source.params, **given)
    images = inner_images(0, 3)
    jaxadv.run_attack(watched, attack, images, source.predict(images), lanes=4)
    assert shapes == {4}
