"""Parts say whose they are: those of other runs, other units and other places are named and left
out, never counted.
"""

import os
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from jaxadv.store import parts
from jaxadv.store.identity import Identity
from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run
from model_ports.errors import InputError

ONLY = {"--clever_samples": ("clever",), "--eps": ("examples", "adversarial", "transfer")}
FACTS = {"--eps": [0.1, 0.2], "--clever_samples": 8, "--lanes": 4, "jaxlib": "0.10"}
HERE = {"processor": "EPYC", "instructions": "avx2"}
VALUES = {"str": "x", "bool": True, "list<float32>": [0.5, 0.25]}


def rows(kind: str, count: int = 3, **columns) -> pd.DataFrame:
    """Some rows of a kind."""
    values = {name: [VALUES.get(dtype, 1)] * count for name, dtype in KINDS[kind].items()}
    return pd.DataFrame(values | {"image_id": range(count)} | columns)


def identity(machine=HERE, **facts) -> Identity:
    return Identity(FACTS | {f"--{name}": value for name, value in facts.items()}, ONLY, machine)


def made(
    directory,
    identity: Identity,
    *units: str,
    kinds=("clean", "examples", "clever"),
    count: int = 3,
) -> Run:
    """A run with parts of some kinds for each unit."""
    with Run.begin(directory, identity) as run:
        for unit in units:
            for kind in kinds:
                run.append(kind, rows(kind, count), part=unit)
    return Run(directory)


def part(directory, kind: str, unit: str):
    return directory / kind / f"part-{unit}.parquet"


def said(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_part_says_of_which_run_it_is(tmp_path):
    made(tmp_path, identity(), "a")
    for kind in ("clean", "examples", "clever"):
        about = parts.read(part(tmp_path, kind, "a")).about
        assert (about.format, about.kind, about.unit, about.rows) == (2, kind, "a", 3)
        assert about.identity == identity() and about.digest == identity().digest(kind)
        file = pq.ParquetFile(part(tmp_path, kind, "a"))  # as any program reads it
        assert (
            file.metadata.num_rows == 3
            and b'"--lanes": 4' in file.metadata.metadata[b"jaxadv.part"]
        )


@pytest.mark.parametrize(
    "name",
    [
        "part-a (1).parquet",
        "part-a - Copy.parquet",
        "part-a_conflict-2024.parquet",
        "part-A.parquet",
    ],
)
def test_a_copy_is_named_and_not_counted(tmp_path, capsys, name):
    run = made(tmp_path, identity(), "a", "b")
    for kind in ("clean", "examples"):
        shutil.copy(part(tmp_path, kind, "a"), tmp_path / kind / name)
    capsys.readouterr()
    assert len(run.read("clean")) == 6 and sum(map(len, run.parts("clean"))) == 6
    (line,) = said(capsys)  # once, however often it is read
    assert line.startswith("left out: ") and name in line and "copy of 'part-a.parquet'" in line
    assert len(run.read("examples")) == 6 and run.settings() and len(said(capsys)) == 1
    with Run.begin(tmp_path, identity()) as again:
        assert again.has("clean", "a") and (tmp_path / "clean" / name).exists()


def test_a_part_of_another_run_is_named_and_not_counted(tmp_path, capsys):
    run = made(tmp_path / "here", identity(), "a", "b")
    made(tmp_path / "there", identity(lanes=8), "b", "c")
    for unit in ("b", "c"):
        shutil.copy(part(tmp_path / "there", "clean", unit), part(tmp_path / "here", "clean", unit))
    capsys.readouterr()
    assert len(run.read("clean")) == 3 and len(run.read("examples")) == 6
    lines = said(capsys)
    assert len(lines) == 2 and all(
        "of another run (--lanes 8 there, 4 now)" in line for line in lines
    )
    with Run.begin(tmp_path / "here", identity()) as again:
        assert again.has("clean", "a") and not again.has("clean", "b")
        (line,) = said(capsys)
        assert "renamed to 'part-b.parquet.set-aside', and the part is made again" in line
        again.append("clean", rows("clean"), part="b")
        assert again.has("clean", "b")
    assert parts.read(
        tmp_path / "here" / "clean" / "part-b.parquet.set-aside"
    ).about.identity == identity(lanes=8)


def test_parts_that_changed_places_are_named_and_made_again(tmp_path, capsys):
    run = made(tmp_path, identity(), "a", "b")
    first, second = (part(tmp_path, "examples", unit) for unit in "ab")
    os.rename(first, tmp_path / "between")
    os.rename(second, first)
    os.rename(tmp_path / "between", second)
    os.rename(part(tmp_path, "clever", "a"), part(tmp_path, "clean", "c"))
    capsys.readouterr()
    assert (
        run.read("examples").empty and len(run.read("clean")) == 6 and len(run.read("clever")) == 3
    )
    lines = said(capsys)
    assert len(lines) == 3 and "or was renamed" in lines[0] and "'clever'" in lines[2]
    with Run.begin(tmp_path, identity()) as again:
        assert (
            not again.has("examples", "a")
            and not again.has("examples", "b")
            and not again.has("clever", "a")
        )


def test_a_part_of_no_run_is_named_and_not_counted(tmp_path, capsys):
    run = made(tmp_path, identity(), "a")
    table = pq.read_table(part(tmp_path, "clean", "a"))
    pq.write_table(
        table.replace_schema_metadata(), part(tmp_path, "clean", "b")
    )  # as other programs write it
    part(tmp_path, "clean", "c").write_bytes(b"\x89HDF\r\n\x1a\n and more")
    capsys.readouterr()
    assert len(run.read("clean")) == 3 and len(run.transfer_sums()) == 0
    lines = said(capsys)
    assert "another program" in lines[0] and "not a Parquet file" in lines[1]


def test_what_a_kind_does_not_depend_on_may_change_until_there_are_rows_of_those_that_do(
    tmp_path, capsys
):
    """CLEVER is added later with other settings than those that nobody used before."""
    made(tmp_path, identity(), "a", kinds=("clean", "examples"))
    made(tmp_path, identity(clever_samples=16), "a", kinds=("clever",))
    run = Run(tmp_path)
    assert [len(run.read(kind)) for kind in ("clean", "examples", "clever")] == [
        3,
        3,
        3,
    ] and not said(capsys)
    assert run.manifest()["identity"]["--clever_samples"] == 16
    with pytest.raises(InputError, match="--clever_samples 16 there, 8 now"):
        Run.begin(tmp_path, identity())
    with pytest.raises(InputError, match=r"--eps 0\.1,0\.2 there, 0\.3 now"):
        Run.begin(tmp_path, identity(clever_samples=16, eps=[0.3]))
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "a-cw-0000@0-+lanes-0-0.npz").write_bytes(b"hours of work")
    made(tmp_path / "other", identity(), "a", kinds=("clean",))
    shutil.copytree(tmp_path / "unfinished", tmp_path / "other" / "unfinished")
    with pytest.raises(InputError, match=r"--eps 0\.1,0\.2 there, 0\.3 now"):
        Run.begin(tmp_path / "other", identity(eps=[0.3]))


def test_another_kind_of_machine_goes_on_only_if_asked(tmp_path, capsys):
    other = {"processor": "Xeon", "instructions": "avx512f"}
    made(tmp_path, identity(), "a", kinds=("clean",))
    with pytest.raises(
        InputError,
        match="processor EPYC there, Xeon now; instructions avx2 there, avx512f now.*--any_machine",
    ):
        Run.begin(tmp_path, identity(other))
    made(tmp_path / "there", identity(other), "b", kinds=("clean",))
    shutil.copy(part(tmp_path / "there", "clean", "b"), part(tmp_path, "clean", "b"))
    assert len(Run(tmp_path).read("clean")) == 3
    assert (
        "made on another kind of machine (processor Xeon, instructions avx512f)" in said(capsys)[-1]
    )
    with Run.begin(tmp_path, identity(other), any_machine=True) as run:
        assert run.has("clean", "b")
    assert len(Run(tmp_path).read("clean")) == 6 and Run(tmp_path).manifest()["machines"] == [
        HERE,
        other,
    ]
    Run.begin(tmp_path, identity()).close()  # it has worked on it


def test_units_with_long_names_have_parts(tmp_path):
    """Names that differ behind the 300th letter are two units; the file's name stays within what
    file systems allow.
    """
    units = [f"{'ensemble.of.many' * 20}-{end}" for end in ("fgsm-0000", "fgsm-0001")]
    run = made(tmp_path, identity(), *units, kinds=("clean",))
    assert len(run.read("clean")) == 6 and all(run.has("clean", unit) for unit in units)
    assert all(len(path.name) < 230 for path in (tmp_path / "clean").iterdir())
    assert np.array_equal(run.read("clean", part=units[1])["image_id"], range(3))


def test_a_part_of_this_run_with_other_columns_is_made_again(tmp_path, capsys):
    """Its seals are right, so that nothing else tells."""
    made(tmp_path, identity(), "a", kinds=("clean",))
    whole = parts.read(part(tmp_path, "clean", "a"))
    cut = whole.file.read().drop_columns(["top5"])
    part(tmp_path, "clean", "a").write_bytes(parts.encode(cut, whole.about, {}))
    with Run.begin(tmp_path, identity()) as run:
        with pytest.raises(InputError, match="does not have the columns of 'clean'"):
            run.read("clean")
        assert not run.has("clean", "a")
        (line,) = said(capsys)
        assert "does not have the columns" in line and "the part is made again" in line
        run.append("clean", rows("clean"), part="a")
        assert run.has("clean", "a") and len(run.read("clean")) == 3
