"""Devices that work on one queue, each in a thread of its own."""

import threading
from typing import Any

import jax
import numpy as np
import pytest
from models import inner_images, random_linear

from jaxadv.core import engine

DEVICES = jax.devices() * 2


def waiting() -> Any:
    return engine._Waiting([])


def test_outcomes_of_all_devices_come_as_they_end():
    """The second device ends its items before the first ends one, and is asked no more."""
    second_is_done = threading.Event()

    def first():
        assert second_is_done.wait(30)
        yield 0, "a"

    def second():
        yield 1, "b"
        yield 2, "c"
        second_is_done.set()

    found = list(engine._side_by_side(DEVICES, [first(), second()], waiting()))
    assert found == [(1, "b"), (2, "c"), (0, "a")]


def test_an_error_of_one_device_ends_the_others():
    queue = waiting()
    ended = threading.Event()

    def broken():
        yield 0, "a"
        raise ValueError("broken")

    def steady():
        number = 1
        while not queue.closed:
            yield number, "b"
            number += 1
        ended.set()

    with pytest.raises(ValueError, match="broken"):
        list(engine._side_by_side(DEVICES, [broken(), steady()], queue))
    assert ended.is_set()


def test_whoever_stops_reading_ends_all():
    queue = waiting()
    ended = [threading.Event(), threading.Event()]

    def steady(number: int):
        while not queue.closed:
            yield number, "b"
        ended[number].set()

    outcomes = engine._side_by_side(DEVICES, [steady(0), steady(1)], queue)
    next(outcomes)
    outcomes.close()
    assert all(event.is_set() for event in ended)


def test_one_device_needs_no_thread():
    def alone():
        yield 0, threading.current_thread()

    assert list(engine._side_by_side(DEVICES[:1], [alone()], waiting())) == [
        (0, threading.current_thread())
    ]


def test_each_device_has_one_copy_of_the_weights(monkeypatch):
    """It is made at the first use. A network at rest has none, since its weights go by turns."""
    classifier = random_linear(0, 4).awake()
    assert classifier.on(DEVICES[0]) is classifier
    monkeypatch.setattr(type(classifier), "devices", DEVICES)
    copy = classifier.on(DEVICES[0])
    assert copy is not classifier and classifier.on(DEVICES[0]) is copy
    assert {leaf.device for leaf in jax.tree.leaves(copy.params)} == {DEVICES[0]}
    images = inner_images(1, 2)
    np.testing.assert_array_equal(copy.logits(images), classifier.logits(images))
    resting = classifier.at_rest()
    assert resting.on(DEVICES[0]) is resting
