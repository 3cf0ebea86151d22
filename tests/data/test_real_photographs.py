"""Tests with real photographs, if there are any. They belong to others, and the project cannot
contain them.

The environment variable JAXADV_REAL_DATA names a folder. Its images/val has photographs of the
ILSVRC2012 validation set under their names, and labels.tsv. Its images/original has photographs
whose names begin with the WordNet id of their class, and labels.tsv.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import throughput

from jaxadv.data import loader, sources, validation, wordnet
from jaxadv.data.pictures import Reading

FOLDER = os.environ.get("JAXADV_REAL_DATA")

pytestmark = pytest.mark.skipif(
    FOLDER is None,
    reason=f"no real photographs: JAXADV_REAL_DATA is not set ({__doc__.split(':')[0]})",
)


def test_labels_of_validation_images_are_ours(tmp_path):
    listed = sources.open_source(f"imagefolder:{FOLDER}/images/val")
    assert listed.validation and np.array_equal(listed.labels, validation.labels()[listed.ids - 1])
    for name in listed.names[:40]:
        shutil.copy(Path(FOLDER) / "images" / "val" / name, tmp_path)
    bare = sources.open_source(f"imagefolder:{tmp_path}")  # no list: labels by the names
    assert np.array_equal(bare.labels, listed.labels[:40]) and np.array_equal(
        bare.ids, listed.ids[:40]
    )


def test_photographs_load_and_greyscale_ones_are_listed(tmp_path):
    listed = sources.open_source(f"imagefolder:{FOLDER}/images/original")
    everything = loader.Pictures(listed, np.arange(len(listed.ids)), size=224, cache=tmp_path)
    batch = everything.load()
    assert len(batch.ids) + len(batch.dropped) == len(listed.ids) and {
        left.reason for left in batch.dropped
    } == {"not RGB (mode L)"}
    assert batch.images.min() == 0 and batch.images.max() == 1 and 0.3 < batch.images.mean() < 0.6
    assert np.array_equal(everything.load().images, batch.images)
    converted = loader.Pictures(
        listed, np.arange(len(listed.ids)), size=224, reading=Reading(not_rgb="convert")
    ).load()
    assert len(converted.ids) == len(listed.ids) and np.array_equal(
        converted.images[np.isin(converted.ids, batch.ids)], batch.images
    )
    for name in listed.names:  # the same as class folders
        (tmp_path / "folders" / name[:9]).mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(FOLDER) / "images" / "original" / name, tmp_path / "folders" / name[:9])
    folders = sources.open_source(f"imagefolder:{tmp_path / 'folders'}")
    assert np.array_equal(folders.labels, listed.labels)
    assert folders.labels.tolist() == [wordnet.classes()[name[:9]] for name in listed.names]


def test_every_size_is_bare_pillow_to_the_bit():
    listed = sources.open_source(f"imagefolder:{FOLDER}/images/original")
    for size in (224, 227, 299, 331):
        batch = loader.Pictures(listed, np.arange(len(listed.ids)), size=size).load()
        assert len(batch.ids) >= 50
        for image_id, image in zip(batch.ids, batch.images, strict=True):
            expected = np.asarray(
                throughput.square(
                    Path(FOLDER) / "images" / "original" / listed.names[image_id], size
                )
            )
            assert np.array_equal(image, expected.astype(np.float32) / np.float32(255))
