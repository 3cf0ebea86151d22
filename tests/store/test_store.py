"""Rows on disk: whole parts or none, fixed columns, and a run that never removes what is not its
own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxadv
from jaxadv.store import parts, sums
from jaxadv.store import run as store
from jaxadv.store.identity import Identity
from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run
from jaxadv.support import files as written
from model_ports.errors import InputError

ROOT = Path(jaxadv.__file__).parents[1]


def clean(count=3, **columns):
    rows = {
        "model": "vgg_16",
        "image_id": np.arange(count),
        "label": 7,
        "predicted": np.int64(1),
        "top5": True,
        "invalid": False,
    }
    return pd.DataFrame(rows | columns)


def clever(maxima):
    numbers = {
        name: np.nan
        for name in ("margin", "score", "lipschitz", "shape", "location", "scale", "ks", "p_value")
    }
    names = {"model": "vgg_16", "target_kind": "random", "norm": "2"}
    return pd.DataFrame(
        {
            **names,
            "image_id": range(len(maxima)),
            "label": 1,
            "target": 2,
            **numbers,
            "maxima": maxima,
        }
    )


def files(directory):
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


def test_what_is_appended_is_read_in_order_and_type(tmp_path, monkeypatch):
    run = Run.begin(tmp_path / "runs" / "eps=0.1")
    for part in range(11):
        run.append(
            "clean", clean(2, label=part)[::-1][list(reversed(clean().columns))], part=f"{part:02d}"
        )
    rows = Run(tmp_path / "runs" / "eps=0.1").read("clean")
    assert list(rows.columns) == list(KINDS["clean"])  # a folder named "eps=0.1" adds no column
    assert rows["label"].tolist() == [part for part in range(11) for _ in range(2)]
    assert rows["image_id"].tolist() == [1, 0] * 11
    assert all(
        str(rows[name].dtype) == dtype for name, dtype in KINDS["clean"].items() if dtype != "str"
    )
    assert rows["model"].tolist() == ["vgg_16"] * 22
    assert files(run.directory)[1:3] == ["clean/part-00.parquet", "clean/part-01.parquet"]
    text = dict.fromkeys(("model", "digest"), rows["model"].dtype)
    assert rows.equals(
        pd.concat([part.astype(text) for part in run.parts("clean")], ignore_index=True)
    )
    assert run.read("clean", ["label"], part="03")["label"].tolist() == [3, 3]
    assert [str(part["model"].dtype) for part in run.parts("clean", ["model"])] == ["category"]
    monkeypatch.setattr(store, "TOGETHER", 100)  # bytes: two parts of two rows
    assert [len(part) for part in run.parts("clean")] == [4, 4, 4, 4, 4, 2]
    two = 2 * parts.read(run.directory / "clean" / "part-00.parquet").rows().nbytes
    monkeypatch.setattr(store, "TOGETHER", two)  # it takes a third to have more
    assert [len(part) for part in run.parts("clean")] == [6, 6, 6, 4]
    assert run.count_parts() == 11


def test_without_parts_there_are_columns(tmp_path):
    run = Run(tmp_path / "nothing")
    for kind, columns in KINDS.items():
        rows = run.read(kind)
        assert rows.empty and list(rows.columns) == list(columns)
        assert all(
            str(rows[name].dtype) == dtype
            for name, dtype in columns.items()
            if dtype not in ("str", "list<float32>")
        )
    assert list(run.read("clean", ["label", "eps", "model"]).columns) == ["label", "model"]
    assert not (tmp_path / "nothing").exists()
    assert run.manifest() == {} and run.count_parts() == 0


def test_lists_and_nan_survive(tmp_path):
    run = Run.begin(tmp_path)
    run.append("clever", clever([np.float32([1, 2.5]), np.float32([3, np.nan])]), part="a")
    rows = run.read("clever")
    assert rows["maxima"][0].tolist() == [1, 2.5] and np.isnan(rows["maxima"][1][1])
    assert rows["maxima"][0].dtype == np.float32
    assert rows["shape"].isna().all() and rows["shape"].dtype == np.float64


def test_a_unit_without_rows_is_a_part(tmp_path):
    run = Run(tmp_path)
    run.append("clean", clean(0), part="vgg_16")
    assert run.has("clean", "vgg_16") and not run.has("clean", "vgg_19") and run.read("clean").empty


def test_the_same_unit_is_replaced(tmp_path):
    run = Run(tmp_path)
    for label in (1, 2):
        run.append("clean", clean(label=label), part="vgg_16")
    assert run.read("clean")["label"].tolist() == [2] * 3
    for name in ("", "../vgg_16", ".vgg", "a/b", "vgg 16"):
        with pytest.raises(InputError, match="is not a valid name"):
            run.append("clean", clean(), part=name)


@pytest.mark.parametrize(
    "rows, said",
    [
        (clean().drop(columns="label"), "lack label"),
        (clean(extra=1, more=2), "have unknown extra, more"),
        (clean(label=1.5), "'label' is not of type int32"),
        (clean(label=2**40), "'label' is not of type int32"),
        (clean(label=[1, np.nan, 2]), "'label' lacks 1 values"),
        (clean(top5="yes"), "'top5' is not of type bool"),
        (clean(model=[None, "a", "b"]), "'model' lacks 1 values"),
    ],
)
def test_wrong_rows_are_refused_and_nothing_is_written(tmp_path, rows, said):
    run = Run(tmp_path)
    with pytest.raises(InputError) as caught:
        run.append("clean", rows, part="a")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert files(tmp_path) == []


def test_unknown_kind(tmp_path):
    for use in (
        lambda: Run(tmp_path).append("exmples", clean(), part="a"),
        lambda: Run(tmp_path).read("exmples"),
    ):
        with pytest.raises(
            InputError, match="unknown kind of rows 'exmples'; did you mean 'examples'"
        ):
            use()


def test_an_interrupted_write_leaves_the_old_content(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.append("clean", clean(), part="a")
    run.write_manifest({"models": ["a"]})
    before = files(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(written.os, "replace", interrupted)
    for write in (
        lambda: run.append("clean", clean(), part="a"),
        lambda: run.write_manifest({"models": ["b"]}),
    ):
        with pytest.raises(KeyboardInterrupt):
            write()
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert run.manifest() == {"format": 2, "models": ["a"]} and len(run.read("clean")) == 3


def test_a_part_is_synced_before_it_appears(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(written.os, "fsync", lambda handle: (events.append("sync"), sync(handle)))
    monkeypatch.setattr(
        written.os,
        "replace",
        lambda *paths: (events.append(Path(paths[0]).parent), replace(*paths)),
    )
    run = Run(tmp_path)
    run.append("clean", clean(), part="a")
    assert events == [
        "sync",
        tmp_path / "clean",
        "sync",
    ]  # the file, the rename in its own folder, the folder


def test_what_is_not_a_part_is_left_alone_and_leftovers_of_writing_go(tmp_path):
    Run(tmp_path).append("clean", clean(), part="a")
    Run(tmp_path).write_manifest({"identity": {}, "format": store.FORMAT})
    (tmp_path / "clean" / ".part-b.parquet.4711.tmp").write_bytes(b"half")
    (tmp_path / "clean" / "notes.parquet").write_bytes(b"mine")
    with Run.begin(tmp_path) as run:
        assert run.read("clean")["label"].tolist() == [7] * 3
    assert files(tmp_path / "clean") == ["notes.parquet", "part-a.parquet"]


@pytest.mark.parametrize("seed", range(5))
def test_a_part_cut_short_or_changed_is_named_and_made_again(tmp_path, capsys, seed):
    """Fifty lengths, and ten changed bytes, which checksums tell."""
    run, random = Run(tmp_path), np.random.default_rng(seed)
    run.append("clean", clean(500, image_id=random.permutation(500)), part="a")
    path = tmp_path / "clean" / "part-a.parquet"
    whole = path.read_bytes()
    for length in random.integers(len(whole), size=10):
        path.write_bytes(whole[:length])
        with pytest.raises(
            InputError,
            match=r"part-a\.parquet' is not a readable part .*; run the command that made it again",
        ) as caught:
            run.read("clean")
        assert "\n" not in str(caught.value)
        assert not run.has("clean", "a") and not path.exists()
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("removed, to be made again: ") and str(path) in line
    for place in random.integers(4, len(whole) // 2, size=2):  # among the numbers
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not run.has("clean", "a")


def shown(count: int, seed: int, **columns) -> pd.DataFrame:
    """Transfer rows of any outcome."""
    draw = np.random.default_rng(seed)
    names = {name: draw.choice(["a", "b,c", "\u00fc"], count) for name in sums.KEYS}
    flags = {
        name: draw.random(count) < 0.5 for name in sums.COLUMNS if name not in sums.KEYS
    }  # invalid among them
    numbers = {
        "image_id": range(count),
        "label": 1,
        "target": 2,
        "clean_predicted": 1,
        "predicted": 3,
    }
    return pd.DataFrame(names | flags | numbers | columns)


def sorted_sums(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(sums.KEYS, ignore_index=True)


def test_the_sums_of_transfer_are_those_of_its_rows_and_come_from_footers(tmp_path, monkeypatch):
    run, counts = Run(tmp_path), (700, 1, 0, 40, 300)
    for number, count in enumerate(counts):
        run.append("transfer", shown(count, number), part=f"{number}")
    rows = run.read("transfer")
    expected = sorted_sums(sums.of(rows))
    assert len(rows) == expected["rows"].sum() == sum(counts) and len(expected) > 100
    by_hand = rows[(rows[sums.KEYS] == list(expected.loc[7, sums.KEYS])).all(axis=1)]
    assert (
        expected["left_out"][7]
        == (by_hand["attacked"] & by_hand["source_success"] & by_hand["success"]).sum()
    )
    pd.testing.assert_frame_equal(sorted_sums(run.transfer_sums()), expected)
    path = tmp_path / "transfer" / "part-3.parquet"
    whole = path.read_bytes()
    monkeypatch.setattr(store, "SUMS_TOGETHER", 2)
    pd.testing.assert_frame_equal(sorted_sums(run.transfer_sums()), expected)
    path.write_bytes(b"PAR1" + bytes(200) + whole[204:])  # the rows are gone: the footer is enough
    pd.testing.assert_frame_equal(sorted_sums(run.transfer_sums()), expected)
    place = whole.index(sums.ENTRY.encode()) + 80  # in the sums
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(
        InputError, match=r"part-3\.parquet' is not a readable part \([^\n]*\); run the command"
    ):
        run.transfer_sums()
    assert not run.has("transfer", "3") and run.has("transfer", "4")


def test_manifest_is_plain_indented_json(tmp_path):
    run = Run(tmp_path)
    manifest = {
        "models": ("a", "ü"),
        "eps": np.float32(0.5),
        "norms": [1, np.inf],
        "counts": np.arange(2),
        "at": tmp_path,
        "no": None,
    }
    run.write_manifest(manifest)
    expected = {
        "models": ["a", "ü"],
        "eps": 0.5,
        "norms": [1, "inf"],
        "counts": [0, 1],
        "at": str(tmp_path),
        "no": None,
    }
    assert run.manifest() == {"format": 2} | expected
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "format": 2,\n  "models": [\n    "a",') and text.endswith("}\n")
    json.loads(text, parse_constant=pytest.fail)


def test_a_run_is_continued_with_its_own_identity_only(tmp_path):
    identity = {
        "--eps": ("0.1", "0.2"),
        "--lanes": 8,
        "jax": "0.10",
        "weights of vgg_16": "ab" * 32,
    }
    with Run.begin(tmp_path, identity) as run:
        run.append("clean", clean(), part="a")
    with Run.begin(tmp_path, identity) as run:
        assert run.has("clean", "a")
    before = files(tmp_path)
    for other, words in (
        (identity | {"--eps": ["0.1"]}, "--eps 0.1,0.2 there, 0.1 now"),
        (identity | {"--seed": 3}, "--seed not given there, 3 now"),
        (dict.fromkeys(identity, 0), "; jax 0.10 there, 0 now, and 1 more)"),
    ):
        with pytest.raises(InputError) as caught:
            Run.begin(tmp_path, other)
        assert (
            words in str(caught.value)
            and "--overwrite" in str(caught.value)
            and "\n" not in str(caught.value)
        )
    assert files(tmp_path) == before and run.manifest()["identity"]["--lanes"] == 8
    with Run.begin(tmp_path, identity | {"--seed": 3}, overwrite=True) as run:
        assert not run.count_parts()
    (tmp_path / "other" / "clean").mkdir(parents=True)
    (tmp_path / "other" / "clean" / "part-a.parquet").write_bytes(b"of nobody knows what")
    with pytest.raises(InputError, match="of an unknown run"):
        Run.begin(tmp_path / "other")


def test_whoever_joins_begins_a_run_and_writes_nothing_that_is_there(tmp_path, monkeypatch):
    """Whoever is alone writes the manifest each time."""
    written: list[dict] = []
    write = Run.write_manifest
    monkeypatch.setattr(
        Run, "write_manifest", lambda run, content: (written.append(content), write(run, content))
    )
    with Run.begin(tmp_path, {"--seed": 2}, joins=True) as run:
        assert run.manifest()["identity"] == {"--seed": 2} and len(written) == 1
        Run.begin(tmp_path, {"--seed": 2}, joins=True).close()
        assert len(written) == 1
    with pytest.raises(InputError, match="--seed"):
        Run.begin(tmp_path, {"--seed": 3}, joins=True)
    Run.begin(tmp_path, {"--seed": 2}).close()
    assert len(written) == 2


def test_whoever_joins_agrees_on_all_kinds_and_replaces_nothing(tmp_path):
    """Others may be about to write rows of a kind that has none yet."""
    ours, theirs = (Identity({"--n": n}, {"--n": ["clever"]}) for n in (1, 2))
    with Run.begin(tmp_path, ours) as run:
        run.append("clean", clean(), part="a")
    with pytest.raises(InputError, match="--n 1 there, 2 now"):
        Run.begin(tmp_path, theirs, joins=True)
    with pytest.raises(InputError, match="--overwrite with --join: other processes may be at work"):
        Run.begin(tmp_path, ours, joins=True, overwrite=True)
    Run.begin(tmp_path, theirs).close()  # alone: nobody has rows of CLEVER
    assert len(run.read("clean")) == 3


def test_two_who_begin_in_the_same_moment_agree_or_one_is_refused(tmp_path, monkeypatch):
    """The other's manifest is there when this process reads its own again."""
    write = Run.write_manifest

    def beaten(run, content):
        write(run, content | {"identity": {"--seed": 5}})

    monkeypatch.setattr(Run, "write_manifest", beaten)
    with pytest.raises(InputError, match="--seed 5 there, 2 now"):
        Run.begin(tmp_path, {"--seed": 2}, joins=True)


def test_parts_of_a_machine_that_joined_later_are_ours(tmp_path):
    here, there = (Identity({"--n": 1}, {}, {"cpu": cpu}) for cpu in "ab")
    with Run.begin(tmp_path, here, joins=True) as run:
        with Run.begin(tmp_path, there, joins=True, any_machine=True) as other:
            other.append("clean", clean(), part="x")
        assert run.has("clean", "x") and len(run.read("clean")) == 3


def test_rows_of_an_unknown_run_are_told(tmp_path):
    with pytest.raises(InputError, match="holds rows of an unknown run; give another --out"):
        Run(tmp_path).check_format()
    Run.begin(tmp_path).close()
    Run(tmp_path).check_format()
    assert Run(tmp_path).unfinished == tmp_path / "unfinished"


def test_files_that_are_not_rows_are_in_nobodys_way(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    Run.begin(tmp_path).close()
    assert files(tmp_path) == [".lock", "manifest.json", "thesis.txt"]


def test_one_writer_at_a_time(tmp_path):
    with Run.begin(tmp_path):
        with pytest.raises(InputError, match=f"in use by process {os.getpid()} on ") as caught:
            Run.begin(tmp_path)
        assert "\n" not in str(caught.value)
    with Run.begin(tmp_path):
        pass


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    for use in (Run, Run.begin):
        with pytest.raises(InputError, match="is a file; it must be a folder"):
            use(tmp_path / "file")
    with pytest.raises(InputError, match="cannot write .*Not a directory") as caught:
        Run.begin(tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr("builtins.open", refuse)  # not by chmod, which does not bind root
    for use in (
        lambda: Run.begin(tmp_path),
        lambda: Run(tmp_path).append("clean", clean(), part="a"),
    ):
        with pytest.raises(
            InputError, match="cannot write .*Permission denied; free it or choose another"
        ) as caught:
            use()
        assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert files(tmp_path) == [".lock"]


def test_store_and_report_need_no_jax():
    code = (
        "import sys, jaxadv.store.run, jaxadv.report.remake, jaxadv.report.html, "
        "jaxadv.report.tables, jaxadv.report.columns;"
        "heavy = {'jax', 'jaxlib', 'flax', 'matplotlib', 'optax'} & set(sys.modules); "
        "print(sorted(heavy)); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_setting_that_vanished_or_came_is_another_run(tmp_path):
    """What a run knows and a later command does not, or the other way round, differs as much as
    another value.
    """
    Run.begin(tmp_path, {"--lanes": 8, "--loss": "logit"}).close()
    for identity in ({"--lanes": 8}, {"--lanes": 8, "--loss": "logit", "--norm": "l2"}):
        with pytest.raises(InputError, match="not given"):
            Run.begin(tmp_path, identity)
    Run.begin(tmp_path, {"--loss": "logit", "--lanes": 8}).close()
