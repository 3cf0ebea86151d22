"""The progress line: count, rate and remaining time; silent when told to be."""

from jaxadv import progress


def test_the_line_has_count_rate_and_remaining_time(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress("vgg_16 attacks", 40, "items") as bar:
        now[0] += 20
        bar.advance(10)
        assert capsys.readouterr().err == "vgg_16 attacks: 10/40 items, 0.5/s, 1:00 left\n"
        now[0] += 4000
        bar.advance(30)
    assert capsys.readouterr().err.splitlines()[-1] == "vgg_16 attacks: 40/40 items, 0.0/s, in 1:07:00"


def test_silence_and_failure_print_nothing(capsys):
    with progress.Progress("quiet", 1, "items", show=False) as bar:
        bar.advance(1)
    try:
        with progress.Progress("fails", 1, "items"):
            raise KeyError
    except KeyError:
        pass
    assert capsys.readouterr().err == ""
