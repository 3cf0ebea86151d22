"""One part's file: what is cut short, what another program wrote, and what others can verify."""

import json

import pyarrow.parquet as pq
import pytest
from test_belonging import identity, made, part, rows

from jaxadv.store import parts
from jaxadv.store.rows import table
from jaxadv.support.files import Damaged, Foreign

READERS = pytest.mark.parametrize("read", [parts.read, parts.read_footer])
SMALLEST = b"PAR1\4\0\0\0PAR1"
"""A footer and nothing else."""


def encoded(**entries: str) -> bytes:
    content, run = table("clean", rows("clean")), identity()
    about = parts.About(2, "clean", "a", 3, run.digest("clean"), run)
    return parts.encode(content, about, entries)


@READERS
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda whole: whole[:-9], Damaged, "is cut short"),
        (lambda whole: b"", Damaged, "is cut short"),
        (lambda whole: bytes(100), Damaged, "is cut short"),
        (lambda whole: b"PAR1", Damaged, "is cut short"),
        (lambda whole: b"XXXX" + whole[4:-9], Foreign, "is not a Parquet file"),
        (lambda whole: SMALLEST, Foreign, "was written by another program"),
        (lambda whole: SMALLEST[1:], Foreign, "is not a Parquet file"),
        (lambda whole: whole.replace(b"seal:", b"soal:"), Damaged, "its checksums are missing"),
        (
            lambda whole: whole.replace(b"jaxadv.part", b"jaxadv.tart"),
            Damaged,
            "the checksum of its footer is wrong",
        ),
    ],
)
def test_what_a_file_is_instead_of_a_part(tmp_path, read, change, error, words):
    path = tmp_path / "part-a.parquet"
    path.write_bytes(change(encoded()))
    with pytest.raises(error, match=words):
        read(path)


@READERS
def test_a_part_says_what_it_was_given(tmp_path, read):
    path = tmp_path / "part-a.parquet"
    path.write_bytes(encoded(more="text"))
    found = read(path)
    assert found.about == (2, "clean", "a", 3, identity().digest("clean"), identity())
    assert found.entry("more") == b"text" and found.entry("less") is None


def test_a_changed_row_shows_in_the_whole_part_and_not_in_its_footer(tmp_path):
    path = tmp_path / "part-a.parquet"
    whole = encoded()
    path.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    assert parts.read_footer(path).about.rows == 3
    with pytest.raises(Damaged, match="its checksum is wrong"):
        parts.read(path)


def test_other_programs_can_verify_the_pages(tmp_path):
    made(tmp_path, identity(), "a", kinds=("clean",), count=200)
    path = part(tmp_path, "clean", "a")
    whole = path.read_bytes()
    at = pq.ParquetFile(path).metadata.row_group(0).column(1)  # image_id
    end = at.dictionary_page_offset + at.total_compressed_size - 1
    path.write_bytes(whole[:end] + bytes([whole[end] ^ 1]) + whole[end + 1 :])
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(path, page_checksum_verification=True).read(["image_id"])


def test_columns_that_a_part_lacks_are_ignored(tmp_path):
    made(tmp_path, identity(), "a", kinds=("clean",))
    found = parts.read(part(tmp_path, "clean", "a"))
    assert found.rows(["label", "eps", "model"]).column_names == ["label", "model"]
    assert found.rows().num_rows == 3 and found.rows([]).num_columns == 0


@pytest.mark.parametrize(
    "says", [{"kind": 3}, {"unit": None}, {"digest": []}, {"identity": 3}, {"only": None}]
)
def test_a_sealed_file_that_does_not_say_which_part_it_is_is_of_others(tmp_path, monkeypatch, says):
    dumps = json.dumps
    monkeypatch.setattr(parts.json, "dumps", lambda value: dumps(value | says))
    content, run = table("clean", rows("clean")), identity()
    whole = parts.encode(content, parts.About(2, "clean", "a", 3, "d", run), {})
    monkeypatch.undo()
    (tmp_path / "part-a.parquet").write_bytes(whole)
    with pytest.raises(Foreign, match="was written by another program"):
        parts.read(tmp_path / "part-a.parquet")
