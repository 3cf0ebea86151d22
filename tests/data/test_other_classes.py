"""Pictures whose classes are not ImageNet's: class folders of any names, lists of classes, and
parquet files as Hugging Face's hub has them."""

import json
import re

import drawn
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxadv.data import pictures, sources
from jaxadv.data.pictures import Reading, Unusable
from model_ports.errors import InputError

ANIMALS = ["cat", "dog", "frog"]


def refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
        sources.open_source(name)
    assert re.search(message, str(error.value)), str(error.value)


def folders(root, names) -> None:
    for seed, name in enumerate(names):
        drawn.write(root / name / f"{seed}.png", seed)


def test_class_folders_of_any_names_are_numbered_as_torchvision_does(tmp_path):
    folders(tmp_path, ["frog", "cat", "dog"])
    source = sources.open_source(f"imagefolder:{tmp_path}")
    assert list(source.names) == ["cat/1.png", "dog/2.png", "frog/0.png"]
    assert source.labels.tolist() == [0, 1, 2] and source.num_classes == 3
    assert not source.validation and source.ids.tolist() == [0, 1, 2]
    (tmp_path / "bird").mkdir()
    refused(f"imagefolder:{tmp_path}", "the class folder 'bird' has no pictures")


def test_a_list_of_classes_numbers_folders_and_lists(tmp_path):
    folders(tmp_path, ["2", "cat"])
    refused(f"imagefolder:{tmp_path}", "the folder '2' is none of a class")
    (tmp_path / "classes.txt").write_text("\n".join(ANIMALS))
    source = sources.open_source(f"imagefolder:{tmp_path}")
    assert source.labels.tolist() == [2, 0] and source.num_classes == 3
    folders(tmp_path, ["2", "cat", "frog"])
    refused(f"imagefolder:{tmp_path}", "two folders are of one class")
    (tmp_path / "cow").mkdir()
    refused(f"imagefolder:{tmp_path}", "'cow'; a name of classes.txt is needed.*a number below 3")
    (tmp_path / "classes.txt").write_text("cat\ncat\n")
    refused(f"imagefolder:{tmp_path}", "'cat' stands there twice")


def test_a_list_of_labels_may_name_the_classes(tmp_path):
    for seed in range(3):
        drawn.write(tmp_path / f"{seed}.png", seed)
    (tmp_path / "classes.txt").write_text("\n".join(ANIMALS))
    (tmp_path / "labels.csv").write_text("name,label\n0.png,frog\n1.png,0\n2.png,dog\n")
    source = sources.open_source(f"imagefolder:{tmp_path}")
    assert source.labels.tolist() == [2, 0, 1] and source.num_classes == 3
    (tmp_path / "labels.csv").write_text("name,label\n0.png,frok\n1.png,0\n2.png,dog\n")
    refused(f"imagefolder:{tmp_path}", "label 'frok'.*such as 'frog'")


def write(path, seeds, labels, *, names=None, label="label", image="image", rows=2) -> None:
    """A file as `datasets` writes it."""
    content = [{"bytes": drawn.encoded(drawn.picture(s)), "path": f"{s}.png"} for s in seeds]
    table = pa.table({image: content, label: pa.array(labels, pa.int64())})
    if names:
        features = {label: {"names": names, "_type": "ClassLabel"}, image: {"_type": "Image"}}
        told = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": told})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)


def test_parquet_files_of_a_hub(tmp_path):
    write(tmp_path / "data/test-00000-of-00002.parquet", [0, 1, 2], [2, 0, 1], names=ANIMALS)
    write(tmp_path / "data/test-00001-of-00002.parquet", [3, 4], [1, 1], names=ANIMALS)
    write(tmp_path / "data/train-00000-of-00001.parquet", [5], [0], names=ANIMALS)
    source = sources.open_source(f"parquet:{tmp_path}")
    assert source.labels.tolist() == [2, 0, 1, 1, 1] and source.num_classes == 3
    assert list(source.names) == [f"{seed}.png" for seed in range(5)]
    for seed in (4, 0, 2, 3, 1):  # in any order, across files and row groups
        picture, digest = source.picture(seed, 24, Reading())
        expected = pictures.decode(drawn.encoded(drawn.picture(seed)), 24, Reading())
        assert np.array_equal(picture, expected) and len(digest) == 64
    assert len(sources.open_source(f"parquet:{tmp_path}/train")) == 1
    assert sources.open_source(
        f"parquet:{tmp_path}/data/train-00000-of-00001.parquet"
    ).labels.tolist() == [0]
    refused(f"parquet:{tmp_path}/tset", "unknown split 'tset'; did you mean 'test'")
    refused(f"parquet:{tmp_path}/data/no/such", "no .parquet files")


def test_parquet_files_without_names_and_with_other_columns(tmp_path):
    file = tmp_path / "x.parquet"
    write(file, [0, 1], [4, 0], label="fine_label", image="img")
    assert sources.open_source(f"parquet:{file}").num_classes == 5
    write(file, [0, 1], [-1, -1], names=ANIMALS)
    refused(f"parquet:{file}", "rows without a label")
    write(file, [0], [0], image="pixels")
    refused(f"parquet:{file}", "columns are pixels, label; one of image, img")
    file.write_bytes(b"PAR1")
    refused(f"parquet:{file}", "'x.parquet' cannot be read")
    pq.write_table(pa.table({"image": [None, b"no"], "label": [0, 1]}), file)
    source = sources.open_source(f"parquet:{file}")
    assert isinstance(source.picture(0, 24, Reading())[0], Unusable)
    assert isinstance(source.picture(1, 24, Reading())[0], Unusable)
    pq.write_table(pa.table({"image": [b"a"], "label": ["cat"]}), file)
    refused(f"parquet:{file}", "a whole number for each picture")
