"""What a process does that cannot write a unit's rows."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxadv.data.arrays import from_arrays
from jaxadv.data.loader import Batch, Dropped
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


def test_a_picture_that_changed_since_another_network_read_it_is_named():
    """Also one that was left out, then or now."""
    pictures = np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)
    source = from_arrays(pictures, np.zeros(3, int), name="mine")
    made = work(None)
    made.job = SimpleNamespace(source=source)  # type: ignore[assignment]
    empty = np.zeros((0, 8, 8, 3), np.float32)
    ids = source.ids[1:]
    batch = Batch(
        empty, np.zeros(2), ids, [Dropped(int(source.ids[0]), "", 0, "", "c")], ["a", "b"]
    )
    first, second, third = map(int, source.ids)
    made._compare({}, batch)
    made._compare({first: "c", second: "a", third: "b"}, batch)
    made._compare({second: "a"}, batch)
    for changed, index in ((first, 0), (third, 2)):
        with pytest.raises(InputError, match=f"{source.names[index]!r}.*then"):
            made._compare({changed: "other"}, batch)
