"""The plan of a run, worked out by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from models import linear

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import estimate, plan
from jaxadv.evaluation.settings import CleverSettings, Settings

IMAGES = 50


def a_job(**settings) -> plan.Job:
    """Two networks, 50 images of which 20 are attacked: by FGSM at two budgets and I-FGSM of 7
    steps, each untargeted and random; scores of 6 images.
    """
    source = from_arrays(np.zeros((IMAGES, 8, 8, 3), np.uint8), np.arange(IMAGES) % 4)
    given = {
        "attacks": (jaxadv.FGSM(eps=0.1), jaxadv.FGSM(eps=0.2), jaxadv.IFGSM(eps=0.1, steps=7)),
        "targets": ("untargeted", "random"),
        "attack_targets": {"clever": ("untargeted", "least")},
        "clever": CleverSettings(images=6, batches=5, samples=3),
        "attacked_images": 20,
        "lanes": 8,
        "progress": False,
    }
    return plan.job(Settings(**given | settings), ["a", "b"], {}, source)


SIZES = {
    "a": SimpleNamespace(input_size=8, num_classes=4),
    "b": SimpleNamespace(input_size=10, num_classes=6),
}


def test_the_most_work_of_each_network():
    counted = estimate.counts(a_job(), SIZES)
    # 20 images of a setting take 3 rounds of 8 lanes. FGSM has 4 settings of one gradient, I-FGSM 2
    # of 7.
    # Scores: 6 images, of untargeted ones all other classes, and one least likely class.
    assert counted.pairs == {"a": 6 * 4, "b": 6 * 6}
    batches = 36 * 5
    clever = 23 * 3  # rounds of 8 batches, 3 gradients each
    # Classifications, judgements, and the other network's images: adversarial and clean.
    shown = 7 + 15 + (120 + 20) // 8 + 1
    assert counted.gradients == 12 + 42 + clever
    assert counted.forwards == shown
    assert counted.table[0] == ("", "attempts", "gradients", "forwards")
    assert counted.table[1:] == [
        ("fgsm", "80", "96", "0"),
        ("ifgsm", "40", "336", "0"),
        ("clever", f"{batches} batches", f"{8 * clever}", "0"),
        ("clean and shown", "190 images", "0", f"{8 * shown}"),
    ]


def test_without_transfer_and_scores_there_is_less():
    counted = estimate.counts(a_job(parts=("attacks",)), SIZES)
    assert counted.gradients == 54 and counted.forwards == 7 + 15
    assert [row[0] for row in counted.table[1:]] == ["fgsm", "ifgsm", "clean and shown"]


def test_no_more_images_than_there_are():
    counted = estimate.counts(a_job(attacked_images=None, clever=CleverSettings()), SIZES)
    assert counted.table[1][1] == str(4 * IMAGES) and counted.pairs["a"] == IMAGES * 4


def test_disk_of_rows_and_of_images_on_the_way():
    job = a_job(block_images=5)
    pairs = estimate.counts(job, SIZES).pairs
    rows = 45 * 120 + 6 * 120  # of attempts, and of the other network
    scores = {name: count * 3 * (100 + 4 * 5) for name, count in pairs.items()}
    pictures = {"a": 12 * 120 * 64, "b": 12 * 120 * 100}
    kept, passing = estimate.disk(job, SIZES, pairs)
    assert kept == 2 * rows + sum(scores.values())
    assert passing == pictures["b"] / 4  # blocks of 5 of 20
    saving = replace(job, settings=replace(job.settings, save_adversarial=True))
    assert estimate.disk(saving, SIZES, pairs)[0] == pytest.approx(
        kept + 0.67 * sum(pictures.values())
    )
    alone = replace(job, settings=replace(job.settings, parts=("attacks",), block_images=64))
    kept, passing = estimate.disk(alone, SIZES, {"a": 1, "b": 0})
    assert kept == 2 * 45 * 120 + 3 * 120 and passing == pictures["b"]


def test_the_text_says_what_and_where(tmp_path):
    lines = estimate.text(a_job(), SIZES, tmp_path / "not" / "there").splitlines()
    assert lines[0] == (
        "2 networks, 50 images each, 20 of them attacked, 8 lanes; at most, for a network:"
    )
    assert lines[2].split() == ["fgsm", "80", "96", "0"]
    assert len({len(line) for line in lines[1:6]}) == 1  # aligned
    assert "--dry_run=measure" in lines[6]
    assert lines[7].startswith("disk: about 34 kB of rows, and 144 kB of images while")
    assert lines[7].endswith(f"free in {tmp_path}")
    assert lines[-2] == estimate.REPORT and lines[-1] == "nothing was written"
    job = a_job(save_adversarial=True, parts=("attacks",))
    text = estimate.text(job, SIZES, Path(tmp_path), time="time: 3 s")
    assert "of rows and images" in text and estimate.REPORT not in text
    assert "time: 3 s" in text and "--dry_run" not in text


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_the_time_is_that_of_all_steps(monkeypatch, devices):
    monkeypatch.setattr(estimate, "measure", lambda *_: (34.0, 2.0, 0.5))
    monkeypatch.setattr(estimate, "gigaflops", lambda _: (3.0, 1.0))
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    told: list[dict] = []
    monkeypatch.setattr(estimate.rates, "told", lambda works: told.append(works) or ["by rates"])
    job = a_job()
    counted = estimate.counts(job, SIZES)
    text = estimate.measured(job, SIZES, zoo="imagenet")  # type: ignore[arg-type]
    seconds = 34 + 2 * counted.gradients + 0.5 * counted.forwards
    assert seconds == 300  # a second more would be another minute
    minutes = int(-(-2 * seconds // 60))
    assert f"time: at most {minutes} min" in text
    shared = int(-(-2 * seconds / devices // 60))
    assert (f"shared by {devices} devices {shared} min" in text) is (devices > 1)
    row = next(line for line in text.splitlines() if line.startswith("  a  "))
    assert row.split()[:8] == ["a", "2000.0", "ms", "500.0", "ms", "3", "and", "1"]
    work = estimate.rates.Work(8 * counted.gradients, 8 * counted.forwards, (3.0, 1.0))
    assert told == [{"a": work, "b": work}] and text.endswith("by rates")
    assert "by rates" not in estimate.measured(job, SIZES, zoo="digits")  # type: ignore[arg-type]


def test_every_measured_network_is_counted(monkeypatch):
    bars: list[estimate.Progress] = []
    kind = estimate.Progress
    monkeypatch.setattr(estimate, "measure", lambda *_: (1.0, 1.0, 1.0))
    monkeypatch.setattr(estimate, "gigaflops", lambda _: (3.0, 1.0))
    monkeypatch.setattr(
        estimate, "Progress", lambda *a, **k: bars.append(kind(*a, **k)) or bars[-1]
    )
    estimate.measured(a_job(), SIZES, zoo="digits")  # type: ignore[arg-type]
    assert [(bar.count, bar.total) for bar in bars] == [(2, 2)]


def test_a_measurement_has_the_compilation_and_the_shortest_of_three_steps(monkeypatch):
    """The clock is at 10 when it begins. Compilation takes 5 s; steps take 3, 1 and 2 s."""
    now = [10.0]
    steps = {"ask": [3.0, 1.0, 2.0], "logits": [0.5, 0.75, 0.25]}
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: now[0])

    def takes(seconds: float) -> np.ndarray:
        now[0] += seconds
        return np.zeros(1)

    network: Any = SimpleNamespace(
        compile=lambda lanes: takes(5.0),
        grey=lambda lanes: ("images", "objectives"),
        params="params",
        oracle=SimpleNamespace(
            ask=lambda *_: takes(steps["ask"].pop(0)),
            logits=lambda *_: takes(steps["logits"].pop(0)),
        ),
    )
    assert estimate.measure(network, 8) == (5.0, 1.0, 0.25)
    assert steps == {"ask": [], "logits": []}


def test_arithmetic_is_counted_for_one_image():
    """A linear network: a product of 192 pixels and 4 classes, and the centring of its logits."""
    gradient, logits = estimate.gigaflops(linear(np.ones((192, 4), np.float32)))
    assert logits == pytest.approx(2 * 192 * 4 / 1e9, rel=0.1)
    assert gradient == pytest.approx(2 * logits, rel=0.3)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (119.4, "119 s"), (120, "2 min"), (121, "3 min"), (7140, "119 min")]
    + [(7200, "2.0 h"), (9000, "2.5 h")],
)
def test_times_in_words(seconds, said):
    assert estimate._clock(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(1500, "2 kB"), (999_400, "999 kB"), (1e6, "1 MB"), (999.4e6, "999 MB"), (1e9, "1.0 GB")],
)
def test_sizes_in_words(count, said):
    assert estimate._size(count) == said
