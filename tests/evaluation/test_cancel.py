"""What fails ends what runs beside it in the same run, and nothing else; a run leaves the
interpreter as it was.
"""

import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from models import inner_images, random_linear

import jaxadv
from jaxadv.api import run_attacks
from jaxadv.evaluation.cancel import Cancel, Cancelled
from jaxadv.evaluation.compiled import SWITCH, Compiled, Loaded
from jaxadv.evaluation.scheduler import _at_once

COUNT = 6


@pytest.fixture(scope="module")
def attacked():
    classifier, images = random_linear(3, 3, scale=0.3), inner_images(4, COUNT)
    return classifier, images, classifier.predict(images)


def work(cancel: Cancel, ended: list[str], name: str) -> None:
    """An endless run of items."""
    try:
        while True:
            cancel.check()
            time.sleep(0.001)
    except Cancelled:
        ended.append(name)
        raise


def fail() -> None:
    raise KeyError("the cause")


def test_a_failure_ends_what_runs_beside_it_and_is_raised():
    cancel, ended = Cancel(), []
    tasks = [
        partial(work, cancel, ended, "first"),
        partial(work, cancel, ended, "second"),
        fail,
    ]
    with pytest.raises(KeyError, match="the cause"):
        _at_once(tasks, cancel)
    assert sorted(ended) == ["first", "second"]


def test_another_run_of_the_process_goes_on():
    other, finished = Cancel(), threading.Event()

    def patient() -> None:
        for _ in range(200):
            other.check()
            time.sleep(0.001)
        finished.set()

    thread = threading.Thread(target=_at_once, args=([patient], other))
    thread.start()
    cancel = Cancel()
    with pytest.raises(KeyError):
        _at_once([fail, partial(work, cancel, [], "beside")], cancel)
    thread.join()
    assert finished.is_set()


@pytest.mark.parametrize(
    "attack",
    [jaxadv.FGSM(0.1), jaxadv.CarliniWagnerL2(steps=4, search_steps=2)],
    ids=["fgsm", "cw"],
)
def test_attacks_end_at_their_next_item(attacked, attack):
    classifier, images, labels = attacked
    cancel, counted = Cancel(), []

    def advance(count: int, successes: int | None) -> None:
        cancel.check()
        counted.append(count)
        if len(counted) == 3:
            cancel.request()

    with pytest.raises(Cancelled):
        run_attacks(
            classifier,
            [attack] * COUNT,
            images,
            labels,
            np.zeros(COUNT, bool),
            lanes=1,
            advance=advance,
        )
    assert len(counted) == 3


def test_scores_end_at_their_next_batch(attacked):
    classifier, images, labels = attacked
    cancel, counted = Cancel(), []

    def advance(count: int) -> None:
        cancel.check()
        counted.append(count)
        if len(counted) == 3:
            cancel.request()

    with pytest.raises(Cancelled):
        jaxadv.clever_scores(
            classifier,
            images,
            labels,
            (labels + 1) % 3,
            batches=3,
            samples=2,
            lanes=1,
            advance=advance,
        )
    assert len(counted) == 3


@pytest.mark.parametrize("error", [None, KeyError])
def test_the_interpreter_switches_threads_as_before_when_a_run_has_ended(error):
    before = sys.getswitchinterval()
    try:
        with Compiled(Loaded({}, "highest"), 4):
            assert sys.getswitchinterval() == pytest.approx(SWITCH)
            if error:
                raise error
    except KeyError:
        pass
    assert sys.getswitchinterval() == before
