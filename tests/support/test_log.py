"""Tests the log file of a process, and the count of what was skipped."""

import re

import pytest

from jaxadv.store.run import Run
from jaxadv.support import log, progress
from model_ports.errors import InputError


def lines(directory, process=0):
    """Of a log file, without the time, which each line but a traceback's has in front."""
    text = (directory / "log" / f"process-{process}.log").read_text(encoding="utf-8")
    return [
        re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", "", line) for line in text.splitlines()
    ]


def test_a_log_goes_on_and_tells_what_was_skipped(tmp_path, capsys):
    log.say("before: nowhere")
    with log.to_file(tmp_path, 3):
        log.say("settings: %s", {"ü": 1})
        with progress.Progress("vgg_16 cw", 2, "attempts", show=False) as bar:
            bar.advance(2, 1)
        log.skip("targets equal to the label", 3)
        log.skip("targets equal to the label", 0)
        log.skip("pictures left out", 2)
        log.tell_skipped()
    assert capsys.readouterr().err == "skipped: 2 pictures left out, 3 targets equal to the label\n"
    with log.to_file(tmp_path, 3):
        log.tell_skipped()  # of this time alone
    assert capsys.readouterr().err == ""
    told = lines(tmp_path, 3)
    assert len(told) == 9 and all(
        told[line].startswith("INFO MainThread: started: process 3, pid ") for line in (0, 7)
    )
    assert told[1] == "INFO MainThread: settings: {'ü': 1}"
    assert re.fullmatch(
        r"INFO MainThread: vgg_16 cw: 2/2 attempts, success 50 %, [\d.]+/s, in 0:00", told[2]
    )
    assert told[3:7] == [
        "INFO MainThread: skipped: 3 targets equal to the label",
        "INFO MainThread: skipped: 2 pictures left out",
        "WARNING MainThread: skipped: 2 pictures left out, 3 targets equal to the label",
        "INFO MainThread: finished",
    ]


def test_errors_are_told_as_they_deserve(tmp_path, capsys):
    for error in (
        InputError("eps is -1; give more"),
        KeyboardInterrupt(),
        ZeroDivisionError("of mine"),
    ):
        with pytest.raises(type(error)), log.to_file(tmp_path):
            raise error
    told = lines(tmp_path)
    assert (
        told[1] == "ERROR MainThread: eps is -1; give more"
        and told[3] == "INFO MainThread: interrupted"
    )
    assert (
        told[5:7] == ["ERROR MainThread: unexpected", "Traceback (most recent call last):"]
        and told[-1] == "ZeroDivisionError: of mine"
    )
    assert capsys.readouterr().err == ""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^cannot write [^\n]*$"), log.to_file(tmp_path / "file"):
        pass


def test_a_full_disk_stops_nothing_and_prints_nothing(tmp_path, capfd):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "process-0.log").symlink_to("/dev/full")
    with log.to_file(tmp_path):
        log.say("x" * 100_000)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_part_is_in_the_tally(tmp_path, capsys):
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "part-a.parquet").write_bytes(b"PAR1, cut short")
    with log.to_file(tmp_path):
        assert not Run(tmp_path).has("clean", "a")
        log.tell_skipped()
    first, second = capsys.readouterr().err.splitlines()
    assert (
        first.startswith("removed, to be made again: ")
        and second == "skipped: 1 damaged parts, made again"
    )
    assert lines(tmp_path)[1] == f"WARNING MainThread: {first}"
