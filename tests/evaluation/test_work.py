"""What a process does that cannot write a unit's rows."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from jaxadv.evaluation import units
from jaxadv.evaluation.units import Unit
from jaxadv.evaluation.work import Lost, Work
from model_ports.errors import InputError

UNIT = Unit("net", "attack", "cw", 0)
ROWS = [("examples", pd.DataFrame())]


def work(append: Any) -> Work:
    run: Any = SimpleNamespace(append=append)
    nothing: Any = None
    return Work(run, nothing, nothing, nothing, nothing)


def full(*_: Any, **__: Any) -> None:
    raise InputError("no space left")


@pytest.mark.parametrize(
    ("there", "error"),
    [
        ([False, False], InputError),  # a full disk
        ([False, True], Lost),  # another process has ended the run meanwhile
        ([True], Lost),  # another process was faster
    ],
)
def test_rows_that_cannot_be_written_are_an_error_unless_they_are_there(monkeypatch, there, error):
    answers = iter(there)
    monkeypatch.setattr(units, "exists", lambda *_: next(answers))
    with pytest.raises(error):
        work(full)._commit(UNIT, ROWS)
    assert not list(answers)


def test_rows_are_written_once(monkeypatch):
    written = []
    monkeypatch.setattr(units, "exists", lambda *_: False)
    work(lambda kind, rows, part: written.append((kind, part)))._commit(UNIT, ROWS)
    assert written == [("examples", UNIT.part)]
