"""Hours of a study by the rates of devices that were measured."""

import numpy as np
import pandas as pd
import pytest

from jaxadv.evaluation import rates
from jaxadv.evaluation.rates import Work

DAY = {"device": "fast", "lanes": 64, "date": "2026-01-01", "jax": "1"}


def table(*rows: tuple) -> pd.DataFrame:
    """Rows of (network, precision, gradients a second, TFLOP/s)."""
    return pd.DataFrame(
        rows, columns=["network", "precision", "gradients_per_second", "teraflops"]
    ).assign(**DAY)


def test_hours_of_a_measured_network():
    """An hour of gradients at 100 a second; two of logits, which take a third of a gradient's
    arithmetic.
    """
    rows = table(("vgg_16", "highest", 100.0, 6.0), ("vgg_16", "default", 400.0, 24.0))
    (found,) = rates.hours({"vgg_16": Work(360_000, 2_160_000, (60.0, 20.0))}, rows)
    assert found.hours == pytest.approx(
        {"highest": 1 + 2, "default": 0.25 + 2, "bfloat16": 0.25 + 2}
    )
    assert (found.device, found.date, found.jax, found.borrowed) == ("fast", "2026-01-01", "1", {})


def test_a_network_that_was_not_measured_has_the_arithmetic_of_its_family():
    """VGG-19 with 72 GFLOP at 6 TFLOP/s: 12 ms each."""
    rows = table(("alexnet", "highest", 1e3, 1.0), ("vgg_16", "highest", 100.0, 6.0))
    (found,) = rates.hours({"vgg_19": Work(300_000, 0, (72.0, 24.0))}, rows)
    assert found.hours["highest"] == pytest.approx(1.0)
    assert found.borrowed == {"vgg_19": "vgg_16"}


def test_a_network_that_was_measured_lends_nothing_from_its_family():
    """The day is that of the first row."""
    rows = table(("vgg_19", "highest", 50.0, 3.0), ("vgg_16", "highest", 100.0, 6.0))
    rows["date"] = ["2026-01-01", "2026-02-02"]
    (found,) = rates.hours({"vgg_16": Work(360_000, 0, (60.0, 20.0))}, rows)
    assert found.hours["highest"] == pytest.approx(1) and not found.borrowed
    assert found.date == "2026-01-01"


def test_networks_of_no_measured_family_are_left_out():
    rows = table(("vgg_16", "highest", 100.0, 6.0))
    assert (
        rates.hours({"nasnet_large": Work(1, 1, (1.0, 1.0)), "mine": Work(1, 1, (1.0, 1.0))}, rows)
        == []
    )


def test_what_is_told_says_device_date_and_what_was_not_measured():
    works = {"vgg_16": Work(3_600_000_000, 0, (60.0, 30.0)), "vgg_19": Work(3_600, 0, (75.0, 37.0))}
    (line,) = rates.told(works)
    assert line.startswith(
        "on one NVIDIA H200, as measured on 2026-11-27 (jax 0.11.2): highest 1,607 h, default "
    )
    assert line.endswith("; 1 networks by the speed of another network of their family")
    (line,) = rates.told({"vgg_16": Work(3_600_000, 0, (60.0, 30.0))})
    assert line.endswith("highest 1.6 h, default 0.34 h, bfloat16 0.19 h")


def test_the_committed_rates_say_hours_of_every_network():
    works = {
        name: Work(3600, 0, (25.0, 12.0))
        for name in ("resnet_v2_152", "inception_v1", "nasnet_large", "mobilenet_v1_025")
    }
    for name, work in works.items():
        (found,) = rates.hours({name: work})
        assert found.hours["highest"] >= found.hours["default"] >= found.hours["bfloat16"] > 0
    assert np.isclose(
        rates.hours({"nasnet_large": works["nasnet_large"]})[0].hours["highest"],
        1 / 204.1,
        rtol=1e-3,
    )
