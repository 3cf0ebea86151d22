"""The study's images and targets, made again from its seed, against the lists that were recovered
from its records.

golden/study: the first 1000 names of its shuffled folder, and the 100 rows of the CLEVER run's
target.tsv with their places among them.
"""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxadv.data import selection, source, study, validation, wordnet
from model_ports.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "study"


@pytest.fixture(scope="module")
def listed():
    return pd.read_csv(GOLDEN / "images_seed1215.tsv", sep="\t")


@pytest.fixture(scope="module")
def clever():
    return pd.read_csv(GOLDEN / "clever100_seed1215.tsv", sep="\t")


def test_order_and_labels_are_the_recorded_ones(listed):
    assert study.images().tolist() == listed["number"].tolist()
    assert (validation.study_labels()[study.images() - 1] + 1).tolist() == listed[
        "label_1001"
    ].tolist()
    assert sorted(study.order().tolist()) == list(range(1, 50001))


def test_a_listing_of_all_names_gives_images_labels_and_targets(listed):
    """The recorded names among 49,000 others; the rule as the protocol has it, written down a
    second time.
    """
    recorded = [
        f"{label}.{number:08d}.jpg"
        for label, number in zip(listed["label_1001"], listed["number"], strict=True)
    ]
    names = dict(zip(listed["number"], recorded, strict=True))
    names = [
        names.get(n, f"{label + 1}.{n:08d}.jpg")
        for n, label in enumerate(validation.study_labels(), 1)
    ]
    shuffled = sorted(names)
    random.seed(1215)
    random.shuffle(shuffled)
    assert shuffled[:1000] == recorded
    folder = validation_source(
        [int(name.split(".")[1]) for name in sorted(names)]
    )  # as a folder of them is read
    folder = dataclasses.replace(
        folder, labels=np.array([int(name.split(".")[0]) - 1 for name in sorted(names)], np.int32)
    )
    chosen = selection.select(folder, "study", count=None, seed=0)
    assert folder.ids[chosen].tolist() == listed["number"].tolist()
    assert (folder.labels[chosen] + 1).tolist() == listed["label_1001"].tolist()
    pools = [
        [other for other in range(1, 1001) if other != label] for label in listed["label_1001"]
    ]
    targets = [pool[draw] for pool, draw in zip(pools, listed["draw"], strict=True)]
    assert (study.random_targets(folder.labels[chosen]) + 1).tolist() == targets


def test_only_the_cranes_are_labelled_otherwise_than_the_truth(listed):
    places = np.flatnonzero(validation.labels()[listed["number"] - 1] + 1 != listed["label_1001"])
    assert places.tolist() == [162, 477] and listed["label_1001"][places].tolist() == [518, 518]
    assert (np.bincount(validation.labels()) == 50).all() and len(
        np.bincount(validation.labels())
    ) == 1000


def test_random_targets_are_the_recorded_draws(listed):
    labels = listed["label_1001"].to_numpy() - 1
    pools = [[other for other in range(1000) if other != label] for label in labels[:50]]
    expected = [pool[draw] for pool, draw in zip(pools, listed["draw"][:50], strict=True)]
    assert study.random_targets(labels)[:50].tolist() == expected
    draws = study.random_targets(np.full(1000, 999))  # the pool is 0..998: the draw itself
    assert draws.tolist() == listed["draw"].tolist()


def test_clever_pairs_are_the_recorded_ones(listed, clever):
    assert study.clever_images().tolist() == clever["number"].tolist()
    assert listed["number"][clever["position"]].tolist() == clever["number"].tolist()
    labels = validation.study_labels()[clever["number"] - 1]
    assert (labels + 1).tolist() == clever["true_1001"].tolist()
    assert (study.random_targets(labels) + 1).tolist() == clever["target_1001"].tolist()


def test_wordnet_ids_are_sorted_and_known_ones_are_in_place():
    ids = list(wordnet.classes())
    assert (
        len(ids) == 1000
        and ids == sorted(ids)
        and all(wordnet.PATTERN.fullmatch(name) for name in ids)
    )
    known = {
        "n01440764": 0,
        "n01558993": 15,
        "n02012849": 134,
        "n03126707": 517,
        "n10148035": 982,
        "n15075141": 999,
    }
    assert {name: wordnet.classes()[name] for name in known} == known


def validation_source(numbers):
    """A source of these validation images, without pictures."""
    ids = np.array(numbers, np.int64)
    labels = validation.labels()[ids - 1]
    return source.Source(
        "imagefolder:x",
        ids,
        labels,
        [str(n) for n in numbers],
        1000,
        "f",
        lambda *_: None,
        validation=True,
    )


def test_selections(clever):
    everything = validation_source(range(1, 50001))
    chosen = selection.select(everything, "study", count=None, seed=7)
    assert everything.ids[chosen].tolist() == study.images().tolist()
    assert (
        everything.ids[selection.select(everything, "clever100", count=5, seed=7)].tolist()
        == clever["number"][:5].tolist()
    )
    fewest = validation_source(sorted(study.images()[:300].tolist()))
    assert (
        fewest.ids[selection.select(fewest, "study", count=300, seed=7)].tolist()
        == study.images()[:300].tolist()
    )
    few = validation_source(sorted(study.images().tolist()))  # in the order of a folder
    assert selection.select(few, "first", count=3, seed=7).tolist() == [0, 1, 2]
    drawn = selection.select(few, "random", count=None, seed=7)
    assert sorted(drawn.tolist()) == list(range(1000)) and drawn.tolist() != sorted(drawn.tolist())
    assert selection.select(few, "random", count=10, seed=7).tolist() == drawn[:10].tolist()
    assert selection.select(few, "random", count=10, seed=8).tolist() != drawn[:10].tolist()


@pytest.mark.parametrize(
    ("name", "count", "numbers", "message"),
    [
        ("clever", None, [1, 2], "unknown selection 'clever'; did you mean 'clever100'?"),
        (
            "first",
            3,
            [1, 2],
            "3 images of 2 that 'first' has in data 'imagefolder:x'; ask for fewer",
        ),
        ("random", 0, [1, 2], "num_images is 0; it must be a whole number of at least 1"),
        (
            "study",
            None,
            [1, 2],
            "lack 1000 of 1000 images, such as ILSVRC2012_val_00029510; add them, or take first or "
            "random",
        ),
        ("study", 1001, range(1, 50001), "1001 images of 1000 that 'study' has"),
    ],
)
def test_impossible_selections_are_refused(name, count, numbers, message):
    with pytest.raises(InputError, match="^[^\n]+$") as error:
        selection.select(validation_source(numbers), name, count=count, seed=0)
    assert message in str(error.value)


def test_study_needs_validation_images():
    plain = dataclasses.replace(validation_source([1, 2]), validation=False)
    with pytest.raises(InputError, match="needs ILSVRC2012's validation images"):
        selection.select(plain, "study", count=None, seed=0)


def test_common_are_those_that_every_model_has_right():
    rows = [
        ("a", 1, 0, 0),
        ("a", 2, 1, 1),
        ("a", 3, 1, 0),
        ("b", 2, 1, 1),
        ("b", 1, 0, 4),
        ("b", 3, 1, 1),
        ("c", 9, 1, 1),
    ]
    clean = pd.DataFrame(rows, columns=["model", "image_id", "label", "predicted"])
    assert selection.common(clean, ["a", "b"]).tolist() == [2]
    assert selection.common(clean, ["a"]).tolist() == [1, 2]
    assert selection.common(clean, ["a", "c"]).tolist() == []
    with pytest.raises(InputError, match="no clean rows of model 'd'"):
        selection.common(clean, ["a", "d"])
