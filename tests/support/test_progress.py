"""Tests the progress line: count, rate and remaining time, or silence if that is wanted."""

import io

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


class Terminal(io.StringIO):
    """Standard error of a terminal."""

    def isatty(self):
        return True


def lines_of(stream: io.StringIO) -> list[str]:
    """What has been on the last line of a terminal, state by state."""
    return [state for line in stream.getvalue().split("\n") for state in line.split("\r\033[K")]


def test_a_terminal_keeps_one_line_of_a_whole_run_cut_to_its_width(monkeypatch):
    now, stream = [100.0], Terminal()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress.sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "60")
    networks = ["vgg_16", "inception_resnet_v2_with_a_long_name"]
    with progress.Whole("run") as whole:
        for name in networks:
            whole.plan(name, {"fgsm": 1, "cw": 1})
        for name in networks:
            for attack in ("fgsm", "cw"):
                with progress.Progress(f"{name} {attack}", 10, "attempts") as bar:
                    for _ in range(10):
                        now[0] += 1
                        bar.advance(1)
                whole.done(name, attack, bar.seconds)
    states = lines_of(stream)
    assert len(states) > 30 and max(map(len, states)) <= 59
    assert stream.getvalue().count("\n") == 1 and states[-2] == "run: 4/4 units in 0:40"
    assert any(state.startswith("run: 2/4 units, 0:20 left · inception") for state in states)


def test_time_left_is_told_when_each_kind_has_been_timed_and_counts_no_compilation():
    with progress.Whole("run", show=False, at_once=2) as whole:
        whole.plan("a", {"fgsm": 2, "cw": 1})
        whole.plan("b", {"fgsm": 2, "cw": 1})
        whole.done("a", "fgsm", 2.0)
        assert whole.text() == "run: 1/6 units"  # nothing is known of cw
        whole.done("a", "cw", 60.0)
        assert whole.text() == "run: 2/6 units, 0:33 left"  # (3 * 2 + 60) / 2
        whole.plan("b", {"fgsm": 1})  # as it turns out
        assert whole.text() == "run: 2/4 units, 0:02 left"


def test_a_piece_that_has_hardly_begun_tells_no_time(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress("cw", 1000, "attempts") as bar:
        now[0] += 30
        bar.advance(1)
        assert capsys.readouterr().err == "cw: 1/1000 attempts, 0.0/s\n"


def test_stages_have_no_rate(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    with progress.Progress("report", 2, "stages", is_even=False) as bar:
        bar.stage("report, rows")
        bar.advance(1)
        bar.stage("report, page")
    states = [state for state in lines_of(stream) if state]
    assert states[:2] == ["report, rows: 0/2 stages", "report, page: 1/2 stages"]


def test_a_notebook_has_one_bar(monkeypatch):
    """Its standard error is no terminal, and writes a line over the one before all the same."""
    stream = type("Stream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    monkeypatch.setattr(progress.time, "monotonic", iter(range(0, 1000)).__next__)
    with progress.Whole("run") as whole:
        whole.plan("a", {"cw": 1})
        with progress.Progress("cw", 5, "attempts") as bar:
            for _ in range(5):
                bar.advance(1)
        whole.done("a", "cw", 1.0)
    assert stream.getvalue().count("\n") == 1 and "\033" not in stream.getvalue()


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
