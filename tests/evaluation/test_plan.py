"""What a job is, of settings, networks and data together."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import plan
from jaxadv.evaluation.settings import Attempt, CleverSettings, Settings

SETTINGS = Settings(
    attacks=(jaxadv.FGSM(eps=0.1), jaxadv.IFGSM(eps=0.1, steps=3), jaxadv.FGSM(eps=0.2)),
    targets=("untargeted", "random"),
    clever=CleverSettings(batches=5, samples=7),
)


@pytest.fixture(scope="module")
def job() -> plan.Job:
    source = from_arrays(np.zeros((6, 8, 8, 3), np.uint8), np.arange(6) % 4)
    return plan.job(replace(SETTINGS, num_images=3), ["net"], {}, source)


def with_settings(job: plan.Job, validation: bool = False, **change: Any) -> plan.Job:
    source = replace(job.source, validation=validation)
    return replace(job, settings=replace(job.settings, **change), source=source)


@pytest.mark.parametrize(
    ("selection", "validation", "expected"),
    [
        ("study", True, True),
        ("clever100", True, True),
        ("common", True, True),
        ("common", False, False),
        ("first", True, False),
        ("robustbench", True, False),
    ],
)
def test_random_targets_are_the_studys_where_its_images_are(job, selection, validation, expected):
    assert with_settings(job, validation, selection=selection).has_study_targets is expected


def test_pictures_are_the_selection_or_a_part_of_it(job, tmp_path):
    """They are kept where the settings say."""
    assert [len(job.pictures(8).load().ids), job.pictures(8).cache] == [3, None]
    assert job.pictures(8, np.array([5, 4])).load().ids.tolist() == [5, 4]
    kept = with_settings(job, data_cache=str(tmp_path / "kept"), data_threads=3).pictures(8)
    assert kept.cache == tmp_path / "kept" and kept.threads == 3


def test_evaluations_are_summed_over_settings_and_targets(job):
    """CLEVER scores 3 wrong classes and a random one, each with 5 batches of 7 samples."""

    def attempt(attack: str, gradients: int, forwards: int) -> Attempt:
        counts = SimpleNamespace(evaluations=lambda: (gradients, forwards))
        return Attempt(attack, "", "random", SimpleNamespace(schedule=counts), {})

    some = [attempt("fgsm", 5, 2), attempt("cw", 30, 11), attempt("fgsm", 7, 4)]
    made = replace(job, attempts=some)
    assert made.attacks == ["fgsm", "cw"] and made.clever_targets == 4
    assert made.evaluations == {"fgsm": (12, 6), "cw": (30, 11), "clever": (4 * 5 * 7, 0)}


def test_targets_of_clever_are_none_without_its_part(job):
    assert job.clever_kinds == ("untargeted", "random")
    assert with_settings(job, attack_targets={"clever": ("least", "top2")}).clever_targets == 2
    without = with_settings(job, parts=("attacks",))
    assert without.clever_kinds == () and set(without.evaluations) == {"fgsm", "ifgsm"}
    assert without.clever_targets == 0
