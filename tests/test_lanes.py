"""The number of lanes follows from the device's free memory, unless it is given or known."""

import pytest
from models import random_linear

from jaxadv import lanes
from model_ports.errors import InputError


@pytest.fixture
def classifier():
    return random_linear(0, 4)


def test_a_given_number_and_a_continued_runs_own_are_kept(classifier, monkeypatch):
    monkeypatch.setattr(lanes, "free_bytes", lambda: 0)
    assert lanes.choose([classifier], asked=7, known=5) == 7
    assert lanes.choose([classifier], known=5) == 5


def test_plenty_of_memory_gives_the_most(classifier, capsys):
    assert lanes.free_bytes() > 2**28  # what this test itself needs
    assert lanes.choose([classifier]) == lanes.MOST["cpu"]
    assert not capsys.readouterr().err


def test_each_number_that_does_not_fit_is_told_and_halved(classifier, monkeypatch, capsys):
    monkeypatch.setattr(lanes, "free_bytes", lambda: lanes.needed_bytes(classifier, 8) / lanes.SHARE)
    assert lanes.choose([classifier]) == 8
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "32 lanes" in told[0] and told[1].endswith("8 lanes are tried")


def test_not_even_one_lane_is_one_line(classifier, monkeypatch):
    monkeypatch.setattr(lanes, "free_bytes", lambda: 16)
    with pytest.raises(InputError, match="1 lanes, and .* are free"):
        lanes.choose([classifier])
