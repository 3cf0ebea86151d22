"""Pictures whose classes are not ImageNet's: class folders of any names, lists of classes, and
parquet files as Hugging Face's hub has them."""

import json
import os
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
KEEP = Reading()


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


def test_names_of_classes_that_are_numbers_are_no_places(tmp_path):
    for seed in range(2):
        drawn.write(tmp_path / f"{seed}.png", seed)
    (tmp_path / "classes.txt").write_text("1\n2\n3\n")
    (tmp_path / "labels.csv").write_text("0.png,1\n1.png,3\n")
    assert sources.open_source(f"imagefolder:{tmp_path}").labels.tolist() == [0, 2]
    (tmp_path / "labels.csv").write_text("0.png,1\n1.png,0\n")
    refused(f"imagefolder:{tmp_path}", "line 2: label '0'; a name of classes.txt is needed$")


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("folder", [b"caf\xe9", "caf\u00e9".encode(), "cafe\u0301".encode()])
def test_accents_of_classes_are_written_in_several_ways(tmp_path, folder, coding):
    folders(tmp_path, ["ape", os.fsdecode(folder)])
    (tmp_path / "classes.txt").write_bytes("caf\u00e9\nape\n".encode(coding))
    assert sources.open_source(f"imagefolder:{tmp_path}").labels.tolist() == [1, 0]


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


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["test-00000-of-00003", "test-00002-of-00003"], "there are 2 of 3 files of the split"),
        (["test-00000-of-00002", "test-00001-of-00003"], "there are 2 of 3 files"),
        (["test-00001-of-00001"], "there are 1 of 1 files"),
        (["test-00000-of-99999999999"], "there are 1 of 99999999999 files"),
        (
            ["test-00000-of-00001-abc", "test-00000-of-00001-def"],
            "'test-00000-of-00001-abc.parquet' has a second version; keep one",
        ),
    ],
)
def test_files_of_a_split_are_all_there_each_once(tmp_path, files, message):
    for file in files:
        write(tmp_path / f"{file}.parquet", [0, 1], [2, 0], names=ANIMALS)
    refused(f"parquet:{tmp_path}", message)


def test_files_of_a_split_number_their_classes_alike(tmp_path):
    write(tmp_path / "test-0-of-2.parquet", [0], [1], names=ANIMALS)
    write(tmp_path / "test-1-of-2.parquet", [1], [1], names=["dog", "cat", "frog"])
    refused(f"parquet:{tmp_path}", "'test-1-of-2.parquet' has other names of classes than")


@pytest.mark.parametrize("names", [3, "cat", {"a": "b"}, None])
def test_names_of_classes_of_another_kind_are_none(tmp_path, names):
    features = {"label": {"names": names}}
    table = pa.table({"image": [b"a"], "label": [3]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    assert sources.open_source(f"parquet:{tmp_path}").num_classes == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([("image", [{"path": "a"}]), ("label", [0])], "has struct<path: string>; the bytes of"),
        ([("image", [[1, 2]]), ("label", [0])], "has list<.*; the bytes of encoded pictures"),
        ([("image", ["a.jpg"]), ("label", [0])], "has string; the bytes of encoded pictures"),
        ([("image", [b"a"]), ("label", [2**33])], "the label 8589934592; labels below 1000000"),
        ([("image", [b"a"]), ("label", pa.array([2**64 - 1], pa.uint64()))], "not in range"),
        ([("image", [b"a"]), ("label", [0]), ("label", [1])], "two columns are called 'label'"),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path, columns, message):
    names, values = zip(*columns, strict=True)
    arrays = [each if isinstance(each, pa.Array) else pa.array(each) for each in values]
    pq.write_table(pa.Table.from_arrays(arrays, names=list(names)), tmp_path / "x.parquet")
    refused(f"parquet:{tmp_path}/x.parquet", message)


@pytest.mark.parametrize("sums", [False, True], ids=["without checksums", "with checksums"])
def test_a_damaged_parquet_file_is_a_line_or_pictures_that_are_left_out(tmp_path, sums):
    file, whole = tmp_path / "x.parquet", pictures.decode(drawn.encoded(drawn.picture(0)), 24, KEEP)
    write(file, [0, 1], [1, 0])
    pq.write_table(pq.read_table(file), file, write_page_checksum=sums)
    content, ends = file.read_bytes(), {"line": 0, "left out": 0, "whole": 0}
    for at in {*range(100, len(content) // 2, 500), *range(len(content) - 900, len(content), 60)}:
        file.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        try:
            source = sources.open_source(f"parquet:{file}")
        except InputError as error:
            assert "\n" not in str(error)
            ends["line"] += 1
            continue
        picture, _ = source.picture(0, 24, KEEP)
        if isinstance(picture, Unusable):
            ends["left out"] += 1
        else:
            ends["whole"] += 1
            assert np.array_equal(picture, whole) or not sums
    assert ends["line"] and ends["whole"]
    assert ends["left out"] or not sums  # without checksums, a changed byte may decode
