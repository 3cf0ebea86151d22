"""Tests every form of data: the pictures that are read, and the errors of what is refused."""

import json
import os
import re
import sys
from pathlib import Path

import drawn
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from jaxadv.data import digits, pictures, sources, validation
from jaxadv.data.pictures import Reading
from model_ports.errors import InputError

TENCH, GOLDFISH, TISSUE = "n01440764", "n01443537", "n15075141"


def open_folder(folder: Path):
    return sources.open_source(f"imagefolder:{folder}")


def refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
        sources.open_source(name)
    assert re.search(message, str(error.value)), str(error.value)


def check_pictures(source, seeds: list[int]) -> None:
    """The pictures are those drawn with these seeds, in this order."""
    for index, seed in enumerate(seeds):
        assert np.array_equal(
            source.draw(index, 24, Reading()),
            pictures.decode(drawn.encoded(drawn.picture(seed)), 24, Reading()),
        )


def test_the_studys_names(tmp_path):
    for seed, name in enumerate(
        ["139.00029510.jpg", "560.00008185.jpg", "518.00033893.jpg"]
    ):  # the last a bird, as the study had it
        drawn.write(tmp_path / name, seed)
    source = open_folder(tmp_path)
    assert source.ids.tolist() == [29510, 33893, 8185] and source.labels.tolist() == [138, 517, 559]
    assert (
        source.validation
        and source.num_classes == 1000
        and source.labels.dtype == np.int32
        and source.ids.dtype == np.int64
    )
    check_pictures(source, [0, 2, 1])


def test_the_published_names_need_no_labels(tmp_path):
    for seed, number in enumerate([29510, 33893]):
        drawn.write(tmp_path / f"ILSVRC2012_val_{number:08d}.JPEG", seed)
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("490\n")
    source = open_folder(tmp_path)
    assert (
        source.ids.tolist() == [29510, 33893]
        and source.labels.tolist() == [138, 134]
        and source.validation
    )
    check_pictures(source, [0, 1])


@pytest.mark.parametrize("names", [("0", "7", "999"), ("000", "007", "999"), ("0", "007", "999")])
def test_class_folders_by_number(tmp_path, names, capsys):
    for seed, name in enumerate(names):
        drawn.write(tmp_path / name / "a.jpg", seed)
    source = open_folder(tmp_path)
    found = dict(zip(source.names, source.labels.tolist(), strict=True))
    assert found == {f"{name}/a.jpg": int(name) for name in names} and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("1", "2", "1000"),
            "named by numbers, which begin with 1; classes are 0..999 in sorted WordNet order: "
            "rename them",
        ),
        (("0", "1001"), "named by numbers, and 1001 is none"),
        (("3", "003"), r"class 3 has two \('0*3' and another\); keep one"),
        (("3", "cat"), "the folder '3' is none of a class"),
    ],
)
def test_class_folders_by_other_numbers_are_refused(tmp_path, names, message):
    for name in names:
        drawn.write(tmp_path / name / "a.jpg")
    refused(f"imagefolder:{tmp_path}", message)


def test_numbers_that_may_begin_with_one_are_said(tmp_path, capsys):
    for name in ("12", "45"):
        drawn.write(tmp_path / name / "a.jpg")
    assert open_folder(tmp_path).labels.tolist() == [12, 45]
    assert (
        "none is 0: they are read as classes 12..45 in sorted WordNet order from 0"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("where", ["", f"{TENCH}/"])
def test_a_link_to_nothing_is_named(tmp_path, where):
    drawn.write(tmp_path / f"{where}139.00029510.jpg")
    (tmp_path / f"{where}157.00013147.JPEG").symlink_to(tmp_path / "gone.JPEG")
    refused(
        f"imagefolder:{tmp_path}",
        r"157\.00013147\.JPEG' is a link to a file that is not there; put the picture there, or "
        r"remove it",
    )


@pytest.mark.parametrize("list_name", ["labels.csv", "classes.txt", "LOC_val_solution.csv"])
def test_a_list_is_not_ignored(tmp_path, list_name):
    """The name of the picture would say its label without the list."""
    drawn.write(tmp_path / "139.00029510.jpg")
    path = tmp_path / list_name
    path.symlink_to(tmp_path / "gone")
    refused(f"imagefolder:{tmp_path}", f"/{list_name}' is a link to a file that is not there")
    path.unlink()
    path.mkdir()
    refused(f"imagefolder:{tmp_path}", f"/{list_name}' is no file; put it there or remove it")
    path.rmdir()
    (tmp_path / list_name.swapcase()).write_text("139.00029510.jpg,7\n")
    refused(f"imagefolder:{tmp_path}", f"is read if it is called '{list_name}'; rename it")


@pytest.mark.parametrize("root", ["", f"{TENCH}/", "cat/"])
def test_pictures_that_are_not_read_are_told(tmp_path, capsys, root):
    drawn.write(tmp_path / "dog" / "0.jpg") if root == "cat/" else None
    for name in (
        "a.jpg" if root else "139.00029510.jpg",
        "more/2.jpg",
        "other/3.jpg",
        ".hidden/4.jpg",
    ):
        drawn.write(tmp_path / root / name)
    for name in ("a.HEIC", "b.jfif", ".c.avif", "notes.txt"):
        (tmp_path / root / name).write_bytes(b"")
    open_folder(tmp_path)
    folders, pictures = capsys.readouterr().err.splitlines()
    assert "folders inside are not read; there are 2, such as" in folders and "more'" in folders
    assert "pictures with other suffixes are not read; there are 2, such as" in pictures


def test_a_folder_called_as_a_picture_is_named(tmp_path):
    (tmp_path / "139.00029510.jpg").mkdir()
    refused(f"imagefolder:{tmp_path}", r"139\.00029510\.jpg' is no file")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    drawn.write(tmp_path / TENCH / "a.jpg")
    real = Path.iterdir

    def forbidden(path):
        if path.name == TENCH:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    refused(
        f"imagefolder:{tmp_path}",
        f"cannot read the folder '.*{TENCH}': Permission denied; make it readable",
    )


def test_names_in_latin_1_are_shown_with_their_bytes(tmp_path):
    name = os.fsdecode("caf\u00e9.jpg".encode("latin-1"))
    drawn.write(tmp_path / TENCH / name, 3)
    source = open_folder(tmp_path)
    assert source.names == [f"{TENCH}/caf\\xe9.jpg"]
    pa.array(source.names).cast(pa.string())  # a row of a run can hold it
    check_pictures(source, [3])


def test_class_folders_by_wordnet_id(tmp_path):
    for seed, name in enumerate([f"{TISSUE}/b.JPEG", f"{TISSUE}/a.png", f"{TENCH}/z.jpeg"]):
        drawn.write(tmp_path / name, seed)
    (tmp_path / TISSUE / "notes.txt").write_text("not a picture")
    source = open_folder(tmp_path)
    assert source.names == [f"{TENCH}/z.jpeg", f"{TISSUE}/a.png", f"{TISSUE}/b.JPEG"]
    assert (
        source.labels.tolist() == [0, 999, 999]
        and source.ids.tolist() == [0, 1, 2]
        and not source.validation
    )
    check_pictures(source, [2, 1, 0])
    numbers = [
        1 + int(np.flatnonzero(validation.labels() == 0)[0]),
        1 + int(np.flatnonzero(validation.labels() == 1)[0]),
    ]
    for number, folder in zip(numbers, [TENCH, GOLDFISH], strict=True):
        drawn.write(tmp_path / "val" / folder / f"ILSVRC2012_val_{number:08d}.JPEG")
    assert (
        open_folder(tmp_path / "val").validation
        and open_folder(tmp_path / "val").ids.tolist() == numbers
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.tsv", "file\tlabel\nb c.jpg\t7\na.jpg\t999\n"),
        ("labels.csv", "\ufeffa.jpg,999\nb c.jpg, 7\n"),
        ("labels.txt", "# by hand\na.jpg n15075141\n\nb-c 7\n"),
        (
            "LOC_val_solution.csv",
            f"ImageId,PredictionString\nb c,{GOLDFISH} 1 2 3 4 {GOLDFISH} 5 6 7 8\na,{TISSUE} 1 2 "
            "3 4\n",
        ),
    ],
)
def test_lists_of_labels(tmp_path, file, text):
    second = "b-c.jpg" if file == "labels.txt" else "b c.jpg"
    drawn.write(tmp_path / "a.jpg", 0)
    drawn.write(tmp_path / second, 1)
    (tmp_path / file).write_text(text)
    source = open_folder(tmp_path)
    assert source.names == ["a.jpg", second] and source.labels.tolist() == [
        999,
        1 if "LOC" in file else 7,
    ]
    check_pictures(source, [0, 1])


@pytest.mark.parametrize(
    ("files", "listed", "message"),
    [
        ([], None, "it has no pictures; it must have a list of labels"),
        (
            ["0.00000001.jpg"],
            None,
            r"the label in front of the first dot must be 1..1000 \(0 would be the background\)",
        ),
        (["139.00029510.jpg", "139.00029510.png"], None, "validation image 29510 is there twice"),
        (
            ["140.00029510.jpg"],
            None,
            r"label 139 of ILSVRC2012_val_00029510; it is 138 in sorted WordNet order from 0 \(1 "
            r"of 1 differ\)",
        ),
        (["ILSVRC2012_val_00050001.JPEG"], None, "no label for 'ILSVRC2012_val_00050001.JPEG'"),
        (
            ["ILSVRC2012_val_00000001.JPEG", "cat.jpg"],
            None,
            "no label for 'cat.jpg'; the folder must have",
        ),
        (["n00000001/a.jpg"], None, "'n00000001' is none of ILSVRC2012's 1000 classes"),
        ([f"{TENCH}/a.jpg", "train/a.jpg"], None, "the folder 'train' is none of a class"),
        ([f"{TENCH}/a.txt"], None, "its class folders have no pictures"),
        (["a.jpg"], "a.jpg\t1000", "line 1: label '1000'; it must be 0..999"),
        (["a.jpg"], "a.jpg", "line 1: label ''"),
        (["a.jpg"], "a.jpg\t1\nb.jpg\t2", r"line 2: no picture 'b.jpg' beside it"),
        (["a.jpg", "b.jpg"], "a.jpg\t1", r"no label for 'b.jpg' \(1 of 2 lack one\)"),
        (["a.jpg"], "a.jpg\t1\na\t1", "line 2: 'a.jpg' has a label already"),
        ([], "file\tlabel", "no pictures beside it"),
        (
            [f"{TENCH}_tench.JPEG"],
            f"{TENCH}_tench.JPEG\t1",
            f"label 1 of '{TENCH}_tench.JPEG'; {TENCH} is class 0",
        ),
        (
            ["ILSVRC2012_val_00029510.JPEG"],
            "ILSVRC2012_val_00029510.JPEG\t5",
            "it is 138 in sorted WordNet order",
        ),
    ],
)
def test_folders_that_do_not_fit_are_refused(tmp_path, files, listed, message):
    for file in files:
        drawn.write(tmp_path / file)
    if listed is not None:
        (tmp_path / "labels.tsv").write_text(listed)
    refused(f"imagefolder:{tmp_path}", message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imagefolders:x", "unknown data 'imagefolders:x'; did you mean 'imagefolder:DIR'"),
        ("digits:x", "unknown data"),
        ("npz:", "names no place; give npz:FILE"),
        ("imagefolder:/no/such", "no folder '/no/such'"),
        ("npz:/no/such.npz", "cannot read '/no/such.npz'"),
        ("tfds:/no/such/folder", "give tfds:NAME/SPLIT"),
    ],
)
def test_unknown_data_are_refused(name, message):
    refused(name, message)


def test_digits_are_the_embedded_ones():
    source, known = sources.open_source("digits"), digits.load("test", 24)
    assert (
        source.ids.tolist() == known.ids.tolist()
        and source.labels.tolist() == known.labels.tolist()
        and source.num_classes == 10
    )
    assert np.array_equal(source.draw(7, 24, Reading()), known.images[7])


def test_an_encrypted_npz_is_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((1, 2, 2, 3), np.uint8), labels=np.zeros(1, int))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read .*encrypted.*; give an \.npz with arrays"):
        sources.open_source(f"npz:{tmp_path / 'a.npz'}")


def test_npz(tmp_path):
    eight_bit = np.stack([np.asarray(drawn.picture(seed, 32, 32)) for seed in range(3)])
    path = tmp_path / "x.npz"
    np.savez(path, images=eight_bit, labels=np.array([2, 0, 1]), ids=np.array([5, 9, 7]))
    source = sources.open_source(f"npz:{path}")
    assert (
        source.labels.tolist() == [2, 0, 1]
        and source.ids.tolist() == [5, 9, 7]
        and source.num_classes == 3
    )
    assert np.array_equal(source.draw(1, 32, Reading()), eight_bit[1])
    assert np.array_equal(
        source.draw(1, 24, Reading()),
        np.asarray(pictures.prepare(Image.fromarray(eight_bit[1]), 24, Reading())),
    )
    np.savez(path, images=eight_bit / 255, labels=np.array([2, 0, 1]), num_classes=10)
    floats = sources.open_source(f"npz:{path}")
    assert (
        floats.num_classes == 10
        and floats.ids.tolist() == [0, 1, 2]
        and floats.fingerprint != source.fingerprint
    )
    assert np.array_equal(floats.draw(1, 32, Reading()), (eight_bit[1] / 255).astype(np.float32))
    assert floats.draw(1, 24, Reading()).shape == (24, 24, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": np.zeros((1, 4, 4, 3))},
            "it has images; the arrays images and labels are needed",
        ),
        (
            {"images": np.zeros((1, 3, 4, 4)), "labels": [0]},
            r"shape \(1, 3, 4, 4\); \(N, H, W, 3\)",
        ),
        (
            {"images": np.full((1, 4, 4, 3), 7.0), "labels": [0]},
            "range from 7 to 7; floats must lie in",
        ),
        ({"images": np.full((1, 4, 4, 3), np.nan), "labels": [0]}, "range from nan to nan"),
        ({"images": np.zeros((1, 4, 4, 3), int), "labels": [0]}, "type int64; uint8"),
        ({"images": np.zeros((1, 4, 4, 3)), "labels": [0.5]}, "labels have type float64"),
        ({"images": np.zeros((1, 4, 4, 3)), "labels": [0, 1]}, r"labels have shape \(2,\)"),
        ({"images": np.zeros((1, 4, 4, 3)), "labels": [5], "num_classes": 5}, r"labels\[0\] is 5"),
        (
            {"images": np.zeros((2, 4, 4, 3)), "labels": [0, 1], "ids": [3, 3]},
            "2 different integers are needed",
        ),
        ({"images": np.array([{}]), "labels": [0]}, "cannot read"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    refused(f"npz:{tmp_path / 'x.npz'}", message)


def test_fingerprints_follow_names_sizes_and_labels(tmp_path):
    drawn.write(tmp_path / "a.jpg", 0)
    (tmp_path / "labels.tsv").write_text("a.jpg\t1")
    first = open_folder(tmp_path).fingerprint
    assert open_folder(tmp_path).fingerprint == first and re.fullmatch(r"[0-9a-f]{64}", first)
    (tmp_path / "labels.tsv").write_text("a.jpg\t2")
    second = open_folder(tmp_path).fingerprint
    drawn.write(tmp_path / "a.jpg", 1)
    third = open_folder(tmp_path).fingerprint
    (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
    (tmp_path / "labels.tsv").write_text("b.jpg\t2")
    assert len({first, second, third, open_folder(tmp_path).fingerprint}) == 4


def prepared(folder: Path, labels: list[int], names: list[str], *, class_names: list[str]) -> Path:
    """A data set as `tfds build --file_format=array_record` leaves it, of the pictures 0, 1, ..."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    folder.mkdir(parents=True)
    writer = ArrayRecordWriter(
        str(folder / "tiny-validation.array_record-00000-of-00001"), "group_size:1"
    )
    for seed, (label, name) in enumerate(zip(labels, names, strict=True)):
        example = tf_example_pb2.Example()
        example.features.feature["image"].bytes_list.value.append(
            drawn.encoded(drawn.picture(seed))
        )
        example.features.feature["label"].int64_list.value.append(label)
        example.features.feature["file_name"].bytes_list.value.append(name.encode())
        writer.write(example.SerializeToString())
    writer.close()
    image, label, text = (
        tfds.features.Image(encoding_format="jpeg"),
        tfds.features.ClassLabel(names=class_names),
        tfds.features.Text(),
    )
    tfds.features.FeaturesDict({"image": image, "label": label, "file_name": text}).save_config(
        folder
    )
    split = {
        "name": "validation",
        "shardLengths": [str(len(labels))],
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    }
    facts = {
        "name": "tiny",
        "version": "1.0.0",
        "fileFormat": "array_record",
        "moduleName": "tiny",
        "splits": [split],
    }
    (folder / "dataset_info.json").write_text(json.dumps(facts))
    return folder


def test_tfds_without_tensorflow(tmp_path):
    numbers = [1 + int(np.flatnonzero(validation.labels() == label)[3]) for label in (1, 0, 1)]
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in numbers]
    folder = prepared(
        tmp_path / "tiny" / "1.0.0", [0, 1, 0], names, class_names=[GOLDFISH, TENCH]
    )  # not in sorted order
    for name in (f"tfds:{folder}/validation", f"tfds:{folder}"):
        source = sources.open_source(name)
        assert (
            source.labels.tolist() == [1, 0, 1]
            and source.ids.tolist() == numbers
            and source.validation
            and source.num_classes == 1000
        )
        check_pictures(source, [0, 1, 2])
    assert sources.open_source(f"tfds:{folder}/validation[1:]").ids.tolist() == numbers[1:]
    assert "tensorflow" not in sys.modules
    refused(f"tfds:{folder}/train", "unknown split 'train'; known: validation")
    refused("tfds:tiny/validation", "Dataset tiny not found")
    plain = prepared(tmp_path / "plain" / "1.0.0", [0, 2], ["a", "b"], class_names=["x", "y", "z"])
    source = sources.open_source(f"tfds:{plain}")
    assert (
        source.labels.tolist() == [0, 2]
        and source.ids.tolist() == [0, 1]
        and source.num_classes == 3
        and not source.validation
    )
    next(plain.glob("*array_record*")).write_bytes(b"")
    refused(
        f"tfds:{plain}",
        "its records cannot be read .* prepare it by: tfds build tiny --file_format=array_record",
    )


def test_tfds_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    refused(
        "tfds:imagenet2012",
        "tensorflow_datasets is not installed; run: pip install 'jaxadv\\[tfds\\]'",
    )
