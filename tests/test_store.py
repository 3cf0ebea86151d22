"""Rows on disk: whole parts or none, fixed columns, and a run that never removes what is not its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxadv
from jaxadv import store
from jaxadv.store import KINDS, Run
from model_ports.errors import InputError

ROOT = Path(jaxadv.__file__).parents[1]


def clean(count=3, **columns):
    rows = {"model": "vgg_16", "image_id": np.arange(count), "label": 7, "predicted": np.int64(1), "top5": True}
    return pd.DataFrame(rows | columns)


def clever(maxima):
    numbers = {name: np.nan for name in ("margin", "score", "lipschitz", "shape", "location", "scale", "ks", "p_value")}
    names = {"model": "vgg_16", "target_kind": "random", "norm": "2"}
    return pd.DataFrame({**names, "image_id": range(len(maxima)), "label": 1, "target": 2, **numbers, "maxima": maxima})


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_what_is_appended_is_read_in_order_and_type(tmp_path):
    run = Run.create(tmp_path / "runs" / "eps=0.1")
    for part in range(11):
        run.append("clean", clean(2, label=part)[::-1][list(reversed(clean().columns))])
    rows = Run(tmp_path / "runs" / "eps=0.1").read("clean")
    assert list(rows.columns) == list(KINDS["clean"])  # a folder named "eps=0.1" adds no column
    assert rows["label"].tolist() == [part for part in range(11) for _ in range(2)]
    assert rows["image_id"].tolist() == [1, 0] * 11
    assert all(str(rows[name].dtype) == dtype for name, dtype in KINDS["clean"].items() if dtype != "str")
    assert rows["model"].tolist() == ["vgg_16"] * 22
    assert files(run.directory)[:2] == ["clean/part-00000.parquet", "clean/part-00001.parquet"]
    assert run.count_parts() == 11


def test_without_parts_there_are_columns(tmp_path):
    run = Run(tmp_path / "nothing")
    for kind, columns in KINDS.items():
        rows = run.read(kind)
        assert rows.empty and list(rows.columns) == list(columns)
        assert all(str(rows[name].dtype) == dtype for name, dtype in columns.items() if dtype not in ("str", "list<float32>"))
    assert not (tmp_path / "nothing").exists()
    assert run.manifest() == {} and run.count_parts() == 0


def test_lists_and_nan_survive(tmp_path):
    run = Run.create(tmp_path)
    run.append("clever", clever([np.float32([1, 2.5]), np.float32([3, np.nan])]))
    rows = run.read("clever")
    assert rows["maxima"][0].tolist() == [1, 2.5] and np.isnan(rows["maxima"][1][1])
    assert rows["maxima"][0].dtype == np.float32
    assert rows["shape"].isna().all() and rows["shape"].dtype == np.float64


def test_no_rows_make_no_part(tmp_path):
    run = Run.create(tmp_path)
    run.append("clean", clean(0))
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "rows, said",
    [
        (clean().drop(columns="label"), "lack label"),
        (clean(extra=1, more=2), "have unknown extra, more"),
        (clean(label=1.5), "'label' does not hold int32"),
        (clean(label=2**40), "'label' does not hold int32"),
        (clean(label=[1, np.nan, 2]), "'label' lacks 1 values"),
        (clean(top5="yes"), "'top5' does not hold bool"),
        (clean(model=[None, "a", "b"]), "'model' lacks 1 values"),
    ],
)
def test_wrong_rows_are_refused_and_nothing_is_written(tmp_path, rows, said):
    run = Run.create(tmp_path)
    with pytest.raises(InputError) as caught:
        run.append("clean", rows)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert files(tmp_path) == []


def test_unknown_kind(tmp_path):
    for use in (lambda: Run(tmp_path).append("exmples", clean()), lambda: Run(tmp_path).read("exmples")):
        with pytest.raises(InputError, match="unknown kind of rows 'exmples'; did you mean 'examples'"):
            use()


def test_an_interrupted_write_leaves_the_old_content(tmp_path, monkeypatch):
    run = Run.create(tmp_path)
    run.append("clean", clean())
    run.write_manifest({"models": ["a"]})
    before = files(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.os, "replace", interrupted)
    for write in (lambda: run.append("clean", clean()), lambda: run.write_manifest({"models": ["b"]})):
        with pytest.raises(KeyboardInterrupt):
            write()
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert run.manifest() == {"models": ["a"]} and len(run.read("clean")) == 3


def test_a_part_is_synced_before_it_appears(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(store.os, "fsync", lambda handle: (events.append("sync"), sync(handle)))
    monkeypatch.setattr(store.os, "replace", lambda *paths: (events.append(Path(paths[0]).parent), replace(*paths)))
    run = Run(tmp_path)
    run.append("clean", clean())
    assert events == ["sync", tmp_path / "clean", "sync"]  # the file, the rename in its own folder, the folder


def test_leftovers_are_not_rows_and_parts_go_on_after_a_gap(tmp_path):
    run = Run.create(tmp_path)
    run.append("clean", clean())
    (tmp_path / "clean" / "part-00000.parquet").rename(tmp_path / "clean" / "part-100000.parquet")
    (tmp_path / "clean" / ".part-00001.parquet.4711.tmp").write_bytes(b"half")
    (tmp_path / "clean" / "notes.parquet").write_bytes(b"mine")
    run.append("clean", clean(label=9))
    assert (tmp_path / "clean" / "part-100001.parquet").exists()
    assert run.read("clean")["label"].tolist() == [7] * 3 + [9] * 3


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing"])
def test_a_damaged_part_is_named(tmp_path, content):
    run = Run.create(tmp_path)
    run.append("clean", clean())
    (tmp_path / "clean" / "part-00000.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"part-00000\.parquet' is not a readable part") as caught:
        run.read("clean")
    assert "\n" not in str(caught.value)


def test_a_part_of_another_kind_is_named(tmp_path):
    run = Run.create(tmp_path)
    run.append("clever", clever([[1.0, 2.0]]))
    (tmp_path / "clean").mkdir()
    (tmp_path / "clever" / "part-00000.parquet").rename(tmp_path / "clean" / "part-00000.parquet")
    with pytest.raises(InputError, match="does not have the columns of 'clean'"):
        run.read("clean")


def test_manifest_is_plain_indented_json(tmp_path):
    run = Run.create(tmp_path)
    manifest = {"models": ("a", "ü"), "eps": np.float32(0.5), "norms": [1, np.inf], "counts": np.arange(2), "at": tmp_path, "no": None}
    run.write_manifest(manifest)
    assert run.manifest() == {"models": ["a", "ü"], "eps": 0.5, "norms": [1, "inf"], "counts": [0, 1], "at": str(tmp_path), "no": None}
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "models": [\n    "a",') and text.endswith("}\n")
    json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("content", ["{", "[1]", "\xff"])
def test_a_damaged_manifest_is_named(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match="manifest") as caught:
        Run(tmp_path).manifest()
    assert "\n" not in str(caught.value)


def test_a_fresh_run_refuses_a_folder_with_rows(tmp_path):
    Run.create(tmp_path).append("clean", clean())
    before = files(tmp_path)
    with pytest.raises(InputError, match=r"already holds rows \(1 parts\)"):
        Run.create(tmp_path)
    assert files(tmp_path) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    Run.create(tmp_path / "other")  # files that are not rows are in nobody's way
    assert files(tmp_path / "other") == ["thesis.txt"]


def test_overwriting_removes_only_what_a_run_writes(tmp_path):
    run = Run.create(tmp_path)
    run.append("clean", clean())
    run.append("clever", clever([[1.0, 2.0]]))
    run.write_manifest({})
    own = ["tables/accuracy.csv", "tables/transfer_cw_random.md", "report.html"]
    own += ["examples/.part-00003.parquet.12.tmp", ".manifest.json.1.tmp"]
    foreign = [
        "clean/part-1.parquet",
        "clean/part-00000.parquet.bak",
        "clean/deeper/part-00000.parquet",
        "tables/thesis.csv",
        "tables/transfer.xlsx",
        "manifest.json.txt",
        ".env",
        "figures/part-00000.parquet",
        "part-00000.parquet",
        "notes/report.html",
    ]
    for name in own + foreign:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    again = Run.create(tmp_path, overwrite=True)
    assert files(tmp_path) == sorted(foreign)
    assert again.count_parts() == 0 and again.read("clean").empty


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    for use in (Run, Run.create):
        with pytest.raises(InputError, match="is a file; it must be a folder"):
            use(tmp_path / "file")
    with pytest.raises(InputError, match="cannot write .*Not a directory") as caught:
        Run.create(tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr("builtins.open", refuse)  # not by chmod, which does not bind root
    for use in (lambda: Run.create(tmp_path), lambda: Run(tmp_path).append("clean", clean())):
        with pytest.raises(InputError, match="cannot write .*Permission denied; give a folder that can be written") as caught:
            use()
        assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert files(tmp_path) == []


def test_store_and_report_need_no_jax():
    code = (
        "import sys, jaxadv.store, jaxadv.commands.report, jaxadv.report.html, jaxadv.report.tables, jaxadv.report.columns;"
        "heavy = {'jax', 'jaxlib', 'flax', 'matplotlib', 'optax'} & set(sys.modules); print(sorted(heavy)); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
