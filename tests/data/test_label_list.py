"""Tests lists of labels that spreadsheets, pandas and people write.

They are read, or refused in one clear line.
"""

import os

import pytest

from jaxadv.data import label_list
from jaxadv.data.label_list import KAGGLE
from model_ports.errors import InputError

NAMES = ["a.jpg", "b c.jpg", "d.png"]
CLASSES = [5, 0, 999]
TISSUE = "n15075141"


def read(folder, content: bytes | str, name="labels.csv", files=NAMES) -> list[int]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return label_list.labels(path, [folder / file for file in files])


CSV = {
    "plain": "a.jpg,5\nb c.jpg,0\nd.png,999\n",
    "spaces": " a.jpg , 5 \n b c.jpg,0\nd.png ,999",
    "quotes": '"a.jpg","5"\n"b c.jpg","0"\n"d.png","999"\n',
    "a quoted comma of an unknown "
    "column": 'name,note,label\na.jpg,"x, y",5\nb c.jpg,,0\nd.png,z,999\n',
    "index of pandas": ",name,label\n0,a.jpg,5\n1,b c.jpg,0\n2,d.png,999\n",
    "index without a header": "0,a.jpg,5\n1,b c.jpg,0\n2,d.png,999\n",
    "index from 1, last": "a.jpg,5,1\nb c.jpg,0,2\nd.png,999,3\n",
    "decimals": "name,label\na.jpg,5.0\nb c.jpg,0.000\nd.png,999.\n",
    "label first": "label,filename\n5,a.jpg\n0,b c.jpg\n999,d.png\n",
    "label first, no header": "5,a.jpg\n0,b c.jpg\n999,d.png\n",
    "semicolons": "a.jpg;5\nb c.jpg;0\nd.png;999\n",
    "semicolons and a head": "name;label\n'a.jpg';5\n\"b c.jpg\";0\nd.png;999\n".replace("'", '"'),
    "tabs": "a.jpg\t5\nb c.jpg\t0\nd.png\t999\n",
    "Windows": "a.jpg,5\r\nb c.jpg,0\r\nd.png,999\r\n",
    "order, empty lines, comment": "# mine\n\nd.png,999\n,\nb c.jpg,0\n\na.jpg,5\n",
    "without suffixes": "a,5\nb c,0\nd,999\n",
    "with folders": "val/a.jpg,5\n./b c.jpg,0\nval\\d.png,999\n",
    "WordNet ids": f"a.jpg,n01491361\nb c.jpg,n01440764\nd.png,{TISSUE}\n".replace(
        "n01491361", "5"
    ),
    "UTF-16": "a.jpg,5\nb c.jpg,0\nd.png,999\n".encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + b"a.jpg,5\nb c.jpg,0\nd.png,999\n",
    "coordinates": "filename,x,y,label\na.jpg,1,2,5\nb c.jpg,3,4,0\nd.png,5,6,999\n",
    "names of classes too": "file,label,category\na.jpg,5,ray\nb c.jpg,0,tench\nd.png,999,x\n",
    "ids of classes too": f"file,class,wnid\na.jpg,5,5\nb c.jpg,0,n01440764\nd.png,999,{TISSUE}\n",
    "other words in the head": "Bild,Klasse\na.jpg,5\nb c.jpg,0\nd.png,999\n",
}


@pytest.mark.parametrize("kind", CSV)
def test_what_programs_write_is_read(tmp_path, kind):
    assert read(tmp_path, CSV[kind]) == CLASSES


def test_tabs_and_words(tmp_path):
    assert (
        read(tmp_path, "name\tlabel\na.jpg\t5\nb c.jpg\t0.0\nd.png\t999\n", "labels.tsv") == CLASSES
    )
    assert (
        read(tmp_path, f"a.jpg 5\nb c.jpg n01440764\n'd.png' {TISSUE}\n", "labels.txt") == CLASSES
    )
    assert read(tmp_path, "a.jpg\t5\nb c.jpg\t0\nd.png\t999\n", "labels.txt") == CLASSES


def test_names_in_latin_1(tmp_path):
    """In the list alone, or on the disk too."""
    accented = "caf\u00e9.jpg"
    assert read(tmp_path, f"{accented},3\n".encode("latin-1"), files=[accented]) == [3]
    assert read(
        tmp_path,
        f"{accented},3\n".encode("latin-1"),
        files=[os.fsdecode(accented.encode("latin-1"))],
    ) == [3]
    assert read(tmp_path, f"{accented},3\n", files=["cafe\u0301.jpg"]) == [
        3
    ]  # accents apart, as macOS has them


def test_kaggles_list_may_name_more_than_is_there(tmp_path):
    lines = "ImageId,PredictionString\n" + "".join(
        f"ILSVRC2012_val_{n:08d},{TISSUE} 1 2 3 4 {TISSUE} 5 6 7 8 \n" for n in range(1, 9)
    )
    files = ["ILSVRC2012_val_00000007.JPEG", "ILSVRC2012_val_00000002.JPEG"]
    assert read(tmp_path, lines, KAGGLE, files) == [999, 999]
    with pytest.raises(InputError, match=r"no label for 'z.JPEG' \(1 of 3 lack one\)"):
        read(tmp_path, lines, KAGGLE, [*files, "z.JPEG"])


WRONG = [
    ("a.jpg,5.5\n", "line 1: label '5.5'; it must be 0..999"),
    ("a.jpg,-1\n", "line 1: label '-1'"),
    ("a.jpg,1e2\n", "line 1: label '1e2'"),
    ("a.jpg,nan\n", "line 1: label 'nan'"),
    ("a.jpg,\u0665\n", "label '\u0665'"),
    ("a.jpg,cat\nb c.jpg,dog\nd.png,2\n", "line 1: label 'cat'"),
    ("a.jpg,5\nb c.jpg\nd.png,1\n", "line 2: label ''"),
    (
        "a.jpg,5,7\nb c.jpg,0,3\nd.png,999,4\n",
        "has 3 columns, and no header tells which is the label",
    ),
    ("a.jpg,5\n", r"no label for 'b c.jpg' \(2 of 3 lack one\)"),
    ("a.jpg,5\nb c.jpg,0\nd.png,9\nd,9\n", "line 4: 'd.png' has a label already"),
    ("a.jpg,5\nb c.jpg,0\nd.png,9\nx.png,9\n", "line 4: no picture 'x.png' beside it"),
    ("", r"no label for 'a.jpg' \(3 of 3 lack one\)"),
    ("\x00\x00\x00", "label"),
    ("name,label\n", r"no label for 'a.jpg' \(3 of 3 lack one\)"),
    ('"a.jpg,5\nb c.jpg,0\nd.png,1\n', "label ''"),
    (f"{'x' * 200_000},5\n", "cannot be read as a table"),
    ("a.jpg" + "," * 5000 + "5\n", "has 5001 columns; at most 100 are allowed"),
    ("a.jpg 5\nb c.jpg 0\nd.png 999\n", "label ''"),
    ("a.jpg,5\nb c.jpg;0\nd.png,1\n", "line 2: label ''"),
    ("a.jpg,0x5\nb c.jpg,0\nd.png,1\n", "label '0x5'"),
    ("a.jpg,1000\nb c.jpg,0\nd.png,1\n", "label '1000'"),
    ("a.jpg,n99999999\n", "n99999999"),
    ('{"a.jpg": 5, "b c.jpg": 0, "d.png": 1}', "label"),
    (
        "file,target,label\na.jpg,5,5\nb c.jpg,3,0\nd.png,9,9\n",
        "line 3: labels '3' and '0' in two columns; keep one of the columns",
    ),
    ("../a.jpg,5\nb c.jpg,0\nd.png,1\na.jpg,5\n", "'a.jpg' has a label already"),
]


@pytest.mark.parametrize(("content", "message"), WRONG, ids=lambda value: repr(value)[:30])
def test_what_is_wrong_is_said_in_a_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, content)
    assert (
        "\n" not in str(error.value)
        and str(tmp_path / "labels.csv") in str(error.value)
        and len(str(error.value)) < 400
    )


def test_a_list_that_is_too_long_or_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(label_list, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="has 28 bytes; a list of labels has 10 at most"):
        read(tmp_path, CSV["plain"])
    monkeypatch.undo()
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(InputError, match="cannot read '.*labels.csv': Is a directory"):
        label_list.labels(tmp_path / "labels.csv", [tmp_path / "a.jpg"])
