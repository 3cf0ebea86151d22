"""The seed of the study's own shuffle: 1215 by default, any other where asked for."""

import numpy as np
import pytest

from jaxadv.data import selection, study, validation
from jaxadv.data.source import Source
from model_ports.errors import InputError


@pytest.fixture
def everything() -> Source:
    ids = np.arange(1, 50001)
    return Source(
        "imagefolder:x",
        ids,
        validation.study_labels(),
        ids,
        1000,
        "",
        lambda *_: None,
        validation=True,
    )


def test_another_seed_selects_other_images(everything):
    chosen = selection.select(everything, "study", count=None, seed=7, study_seed=1216)
    assert everything.ids[chosen].tolist() == study.images(1216).tolist()
    assert everything.ids[chosen][0] == 48470  # 518.00048470.jpg, as the re-run of seed 1216 has it
    default = selection.select(everything, "study", count=None, seed=7)
    assert (
        everything.ids[default].tolist() == study.images(1215).tolist() == study.images().tolist()
    )


def test_the_clever_list_is_of_one_seed(everything):
    with pytest.raises(InputError, match="--study_seed is 1216.*1215 alone"):
        selection.select(everything, "clever100", count=None, seed=7, study_seed=1216)
