"""Files in a run's folder as people, editors and synchronising programs leave them: told, or left
alone; never counted, never lost.
"""

import gzip
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from test_belonging import identity, made, part, said

from jaxadv.core.journal import Journal
from jaxadv.store import image_store
from jaxadv.store import run as store
from jaxadv.store.run import Run


@pytest.mark.parametrize("how", [os.link, os.symlink, shutil.copy], ids=lambda how: how.__name__)
@pytest.mark.parametrize("name", ["part-a.parquet.parquet", "part-a~.parquet", "part-b.parquet"])
def test_a_second_name_of_a_part_is_told_and_not_counted(tmp_path, capsys, how, name):
    run = made(tmp_path, identity(), "a", kinds=("clean",))
    how(part(tmp_path, "clean", "a"), tmp_path / "clean" / name)
    capsys.readouterr()
    assert len(run.read("clean")) == 3
    (line,) = said(capsys)
    assert (
        line.startswith("left out: ") and name in line and "is a copy of 'part-a.parquet'" in line
    )


@pytest.mark.parametrize(
    "name", [".part-a.parquet.swp", "part-a.parquet.bak", "part-a.parquet~", ".#part-a.parquet"]
)
def test_what_editors_leave_is_no_part(tmp_path, capsys, name):
    run = made(tmp_path, identity(), "a", kinds=("clean",))
    shutil.copy(part(tmp_path, "clean", "a"), tmp_path / "clean" / name)
    with Run.begin(tmp_path, identity(), overwrite=True):
        pass
    assert run.read("clean").empty and not said(capsys) and (tmp_path / "clean" / name).exists()


def test_links_to_nothing_and_folders_are_no_parts(tmp_path, capsys):
    run = made(tmp_path, identity(), "a", kinds=("clean",))
    (tmp_path / "clean" / "part-b.parquet").symlink_to(tmp_path / "gone")
    (tmp_path / "clean" / "part-c.parquet").mkdir()
    shutil.copytree(tmp_path / "clean", tmp_path / "clean (1)", symlinks=True)
    assert len(run.read("clean")) == 3 and run.count_parts() == 1 and not said(capsys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: pd.read_parquet(path).to_parquet(path), "another program"),
        (lambda path: path.write_bytes(gzip.compress(path.read_bytes())), "not a Parquet file"),
        (lambda path: pd.read_parquet(path).to_csv(path), "not a Parquet file"),
        (lambda path: pd.read_parquet(path).to_feather(path), "not a Parquet file"),
    ],
    ids=["pandas", "gzip", "csv", "feather"],
)
def test_a_part_that_another_program_wrote_again_is_set_aside(tmp_path, capsys, change, words):
    run = made(tmp_path, identity(), "a", "b", kinds=("clean",))
    expected = run.read("clean")
    change(part(tmp_path, "clean", "a"))
    theirs = part(tmp_path, "clean", "a").read_bytes()
    capsys.readouterr()
    assert len(run.read("clean")) == 3
    (line,) = said(capsys)
    assert words in line
    with Run.begin(tmp_path, identity()) as again:
        assert not again.has("clean", "a") and again.has("clean", "b")
        again.append("clean", expected[:3], part="a")
    assert (tmp_path / "clean" / "part-a.parquet.set-aside").read_bytes() == theirs
    assert Run(tmp_path).read("clean").equals(expected)


def test_a_copied_journal_is_not_used_twice(tmp_path, capsys):
    journal = Journal(tmp_path, "a-cw-0000", seconds=0, digest="d")
    journal.add(0, [np.ones(2)])
    journal.write("0", {"holds": np.arange(2)})
    for name in ("a-cw-0000@0-+outcomes-00000", "a-cw-0000@0-+lanes-0"):
        shutil.copy(tmp_path / f"{name}.npz", tmp_path / f"{name} (1).npz")
    shutil.copy(tmp_path / "a-cw-0000@0-+lanes-0.npz", tmp_path / "a-cw-0000@0-+outcomes-00007.npz")
    again = Journal(tmp_path, "a-cw-0000", seconds=0, digest="d")
    assert list(again.outcomes()) == [0] and list(again.lanes("0")) == ["holds"]
    lines = said(capsys)
    assert len(lines) == 2 and all(
        "belongs to another run or another place" in line for line in lines
    )
    again.add(1, [np.ones(2)])
    again.write()
    assert sorted(Journal(tmp_path, "a-cw-0000", seconds=0, digest="d").outcomes()) == [0, 1]


def test_a_copy_of_kept_images_is_not_removed(tmp_path):
    image_store.write(tmp_path, "a", np.zeros((2, 4, 4, 3), np.float32), digest="d")
    folder = tmp_path / "adversarial"
    shutil.copytree(folder / "part-a.zarr", folder / "part-a (1).zarr")
    image_store.remove_images(tmp_path, "d")
    assert [path.name for path in folder.iterdir()] == ["part-a (1).zarr"]


@pytest.mark.parametrize("name", ["report.html", "tables/a.csv", "files.json", "manifest.json"])
def test_a_folder_in_the_place_of_a_file_is_a_line(tmp_path, name):
    run = made(tmp_path, identity(), "a", kinds=("clean",))
    run.claim([tmp_path / "report.html", tmp_path / "tables" / "a.csv"])
    store._said.clear()
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name / "mine").mkdir(parents=True)
    for overwrite in (False, True):
        try:
            with Run.begin(tmp_path, identity(), overwrite=overwrite) as again:
                again.claim([tmp_path / "report.html", tmp_path / "tables" / "a.csv"])
        except store.InputError as error:
            assert "\n" not in str(error) and str(tmp_path) in str(error)
    assert (tmp_path / name / "mine").is_dir()
