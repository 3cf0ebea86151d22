"""A run removes and replaces what it wrote, and touches nothing else, with --overwrite or
without.
"""

import numpy as np
import pytest
from test_belonging import identity, made, rows

from jaxadv.core.journal import Journal
from jaxadv.store import clearing, image_store
from jaxadv.store.run import Run
from model_ports.errors import InputError

THEIRS = (
    *(
        "figures/me.png",
        "tables/robustness.csv",
        "report.html",
        "clean/part-mine.parquet",
        "clean/part-a.parquet.bak",
    ),
    *(
        "examples/mine.parquet",
        "tables/thesis.csv",
        "log/mine.log",
        "unfinished/notes.txt",
        "unfinished/mine.npz",
    ),
    *(
        "adversarial/mine.zarr/zarr.json",
        "adversarial/part-x.zarr/zarr.json",
        "notes/report.html",
        "part-a.parquet",
    ),
    *("manifest.json.txt", ".env", "figures/transfer_fgsm.svg"),
)


def state(directory) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def put(directory, names=THEIRS) -> dict[str, bytes]:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(f"{name} is mine".encode())
    return state(directory)


@pytest.mark.parametrize(
    "manifest",
    [None, b'{"name": "my web page", "icons": []}', b"[]", b"name: mine\n", b"", b"\xff\xfe{"],
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_without_a_manifest_of_ours_nothing_goes(tmp_path, manifest, overwrite):
    """Whatever manifest.json is there instead."""
    before = put(tmp_path)
    if manifest is not None:
        (tmp_path / "manifest.json").write_bytes(manifest)
    with pytest.raises(InputError, match="another --out"):
        Run.begin(tmp_path, identity(), overwrite=overwrite)
    after = state(tmp_path)
    after.pop(".lock")
    assert after == before | ({"manifest.json": manifest} if manifest is not None else {})


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_run_in_a_folder_of_others_files_leaves_them_alone(tmp_path, overwrite):
    theirs = put(tmp_path, [name for name in THEIRS if ".parquet" not in name])
    with Run.begin(tmp_path, identity(), overwrite=overwrite) as run:
        run.append("clean", rows("clean"), part="a")
        run.sweep()
    after = state(tmp_path)
    assert {name: after.get(name) for name in theirs} == theirs
    with Run.begin(tmp_path, identity(), overwrite=True):
        pass
    after = state(tmp_path)
    assert {name: after.get(name) for name in theirs} == theirs and set(after) - set(theirs) == {
        ".lock",
        "manifest.json",
    }


def test_rows_of_format_1_are_not_removed(tmp_path):
    (tmp_path / "manifest.json").write_text('{"identity": {"--lanes": 4}, "models": ["a"]}')
    before = put(tmp_path, ["clean/part-a.parquet"])
    for overwrite in (True, False):
        with pytest.raises(
            InputError, match="of format 1, but this version reads and writes only format 2"
        ):
            Run.begin(tmp_path, identity(), overwrite=overwrite)
    assert {name: content for name, content in state(tmp_path).items() if name != ".lock"} == before


def test_overwriting_removes_what_the_run_wrote_and_nothing_else(tmp_path):
    run = made(tmp_path, identity(), "a", "b")
    digest = run.belonging.digest("examples")
    image_store.write(tmp_path, "a", np.zeros((2, 8, 8, 3), np.float32), digest=digest)
    journal = Journal(tmp_path / "unfinished", "b-cw-0000", seconds=0, digest=digest)
    journal.add(0, [np.ones(3)])
    journal.write("0-0", {"holds": np.arange(4)})
    Journal(tmp_path / "unfinished", "b-ead-0000", seconds=0, digest="of another run").write(
        "0-0", {"holds": np.arange(4)}
    )
    written = ["report.html", "tables/accuracy.csv", "figures/frontier.svg", "figures/frontier.png"]
    run.claim(tmp_path / name for name in written)
    put(tmp_path, written)
    (tmp_path / "clean" / ".part-c.parquet.12.tmp").write_bytes(b"half")
    ours = set(state(tmp_path))
    theirs = {
        name: content
        for name, content in put(tmp_path, [*set(THEIRS) - {"report.html"}]).items()
        if name not in ours
    }
    with Run.begin(tmp_path, identity(), overwrite=True) as again:
        assert again.read("clean").empty and not again.manifest().get("files")
    after = state(tmp_path)
    assert {name: after.get(name) for name in theirs} == theirs
    assert set(after) - set(theirs) == {
        ".lock",
        "manifest.json",
        "unfinished/b-ead-0000@0-+lanes-0-0.npz",
    }


def test_a_file_in_the_way_is_not_replaced(tmp_path):
    run = made(tmp_path, identity(), "a")
    put(tmp_path, ["tables/robustness.tex"])
    before = state(tmp_path)
    with pytest.raises(
        InputError, match=r"robustness\.tex' was not written by this run; move it away"
    ):
        run.claim([tmp_path / "tables" / f"robustness.{kind}" for kind in ("csv", "tex")])
    assert state(tmp_path) == before
    (tmp_path / "tables" / "robustness.tex").unlink()
    for _ in range(2):
        run.claim([tmp_path / "tables" / "robustness.tex"])
        put(tmp_path, ["tables/robustness.tex"])
    assert clearing.listed(tmp_path) == {"tables/robustness.tex"} == set(run.manifest()["files"])


@pytest.mark.parametrize("lost", ["manifest.json", "files.json"])
def test_the_list_is_kept_twice(tmp_path, lost):
    run = made(tmp_path, identity(), "a")
    run.claim([tmp_path / "report.html"])
    put(tmp_path, ["report.html"])
    (tmp_path / lost).unlink()
    run.claim([tmp_path / "report.html", tmp_path / "tables" / "law.csv"])
    assert (
        clearing.listed(tmp_path)
        == {"report.html", "tables/law.csv"}
        == set(run.manifest()["files"])
    )


def test_unfinished_work_of_another_run_is_not_used_nor_lost(tmp_path, capsys):
    theirs = Journal(tmp_path, "a-cw-0000", seconds=0, digest="theirs")
    theirs.add(3, [np.ones(3)])
    theirs.write("0-0", {"holds": np.arange(4)})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ours = Journal(tmp_path, "a-cw-0000", seconds=0, digest="ours")
    assert ours.outcomes() == {} and ours.lanes("0-0") == {}
    assert len(capsys.readouterr().err.splitlines()) == 2
    ours.add(0, [np.zeros(2)])
    ours.write("0-0", {"holds": np.arange(2)})
    assert list(ours.outcomes()) == [0] and ours.lanes("0-0")["holds"].tolist() == [0, 1]
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {
        f"{name}.set-aside": content for name, content in before.items()
    }.items() <= after.items()


def test_rows_are_not_written_over_a_folder_of_rows_of_nobody(tmp_path):
    """Parts that no run here has written, and no manifest: whose they are is not known."""
    made(tmp_path / "a", identity(), "a")
    for name in ("clean/part-x.parquet", "clever/part-y.parquet"):
        (tmp_path / "b" / name).parent.mkdir(parents=True)
        (tmp_path / "b" / name).write_bytes(b"PAR1 of nobody knows what")
    with pytest.raises(InputError, match="of an unknown run"):
        Run.begin(tmp_path / "b", identity())
    assert Run(tmp_path / "a").read("clean").shape == rows("clean").shape


def test_a_list_with_files_elsewhere_removes_none_of_them(tmp_path):
    """A manifest that somebody wrote, or a folder that was moved."""
    run = made(tmp_path / "run", identity(), "a", kinds=("clean",))
    put(tmp_path, ["mine.txt", "run/report.html", "run/tables/a.csv"])
    run.write_manifest(
        run.manifest() | {"files": [str(tmp_path / "mine.txt"), "../mine.txt", "report.html"]}
    )
    Run.begin(tmp_path / "run", identity(), overwrite=True).close()
    assert set(state(tmp_path)) == {
        "mine.txt",
        "run/.lock",
        "run/manifest.json",
        "run/tables/a.csv",
    }


def test_overwriting_removes_a_damaged_part_too(tmp_path):
    run = made(tmp_path, identity(), "a", kinds=("clean",))
    path = tmp_path / "clean" / "part-a.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    Run.begin(tmp_path, identity(), overwrite=True).close()
    assert not path.exists() and not run.count_parts()


def test_the_journals_of_a_unit_go_when_its_rows_are_written(tmp_path):
    """Those of its parts and stages too, and of no unit whose name only begins alike."""
    ends = ["@0-+lanes-0-0.npz", "-2@1-x+outcomes-00000.npz", ".stage3@0-+lanes-0.npz"]
    ours = [f"unfinished/a.b{end}" for end in (*ends, "-2.stage3@0-+lanes-0.npz")]
    theirs = [
        *(f"unfinished/a.b{end}" for end in ("0@0-+lanes-0.npz", "-x@0-+lanes-0.npz", "@0.npz")),
        *(f"unfinished/{name}@0-+lanes-0.npz" for name in ("aXb", "xa.b")),
    ]
    put(tmp_path, [*ours, *theirs])
    Run(tmp_path).remove_journals("a.b")
    assert set(state(tmp_path)) == set(theirs)
