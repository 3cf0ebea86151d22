"""Processes that help with a report: it is the same with them, and they end with it."""

import time

import pandas as pd
import pytest

from jaxadv.report import figures
from jaxadv.report.views import views

MANY = 2 * figures.PARTS_A_PROCESS


def test_a_run_of_few_parts_has_no_other_process():
    with figures.drawers(MANY - 1) as pool:
        assert pool is None


@pytest.mark.slow
def test_a_report_is_the_same_with_others(synthetic_run, monkeypatch, capfd):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    alone = views(synthetic_run)
    files = list(figures.draw(figures.planned(alone)[:2]))
    with figures.drawers(MANY) as pool:
        shown = views(synthetic_run, pool=pool)
        assert list(figures.draw(figures.planned(shown)[:2], pool)) == files
    for name, table in alone.robust.tables().items():
        pd.testing.assert_frame_equal(shown.robust.tables()[name], table)
    assert shown.faults == alone.faults
    assert not capfd.readouterr().err


@pytest.mark.slow
def test_an_error_ends_them(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), figures.drawers(MANY) as pool:
        assert pool is not None
        pool.submit(time.sleep, 600)
        assert pool.submit(pow, 2, 3).result() == 8  # the other one works: both have begun
        raise KeyboardInterrupt
    assert time.monotonic() - began < 300
