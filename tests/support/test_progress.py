"""Tests the progress line: count, rate and remaining time, or silence if that is wanted."""

import numpy as np

import jaxadv
from jaxadv.api import run_attacks
from jaxadv.support import progress


def test_the_line_has_count_rate_and_remaining_time(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress("vgg_16 attacks", 40, "items") as bar:
        now[0] += 20
        bar.advance(10)
        assert capsys.readouterr().err == "vgg_16 attacks: 10/40 items, 0.5/s, 1:00 left\n"
        now[0] += 4000
        bar.advance(30)
    assert (
        capsys.readouterr().err.splitlines()[-1] == "vgg_16 attacks: 40/40 items, 0.0/s, in 1:07:00"
    )


def test_silence_and_failure_print_nothing(capsys):
    with progress.Progress("quiet", 1, "items", show=False) as bar:
        bar.advance(1)
    try:
        with progress.Progress("fails", 1, "items"):
            raise KeyError
    except KeyError:
        pass
    assert capsys.readouterr().err == ""


def test_the_line_has_the_success_so_far(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress("vgg_16 cw", 100, "attempts") as bar:
        bar.advance(3, 2)
        bar.advance(2)  # not judged yet
        now[0] += 20
        bar.advance(4, 1)
        assert (
            capsys.readouterr().err == "vgg_16 cw: 9/100 attempts, success 43 %, 0.5/s, 3:22 left\n"
        )


def test_searching_attacks_tell_their_successes_as_they_come():
    """All images are of the second class, and no eps that is tried reaches the first."""
    weights = {"w": np.full((12, 1), 1.0, np.float32)}

    def apply(params, images):
        return images.reshape(len(images), -1) @ params["w"] * np.float32([[-1, 1]])  # noqa: E731

    classifier = jaxadv.Classifier(apply, weights, input_size=2, num_classes=2, name="mean")
    images = np.full((4, 2, 2, 3), 0.5, np.float32)
    told = []
    attacks = [jaxadv.IFGSM(initial_eps=0.1, attempts=2, steps=2)] * 2 + [jaxadv.FGSM(eps=0.1)] * 2
    classes = np.array([0, 1, 0, 1])
    result = run_attacks(
        classifier,
        attacks,
        images,
        classes,
        np.full(4, True),
        lanes=2,
        advance=lambda *how: told.append(how),
    )
    assert (
        sorted(told, key=str) == [(1, 0), (1, 1), (1, None), (1, None)]
        and result.success[:2].sum() == 1
    )
