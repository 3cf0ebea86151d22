"""Labels are for people: tables and figures are the same whatever they say."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from report import attempts, worlds

from jaxadv.report import figures, tables
from jaxadv.report.remake import remake
from jaxadv.report.views import Views, views
from jaxadv.store import run as store
from jaxadv.store.run import Run
from model_ports.errors import InputError


@pytest.fixture(scope="module")
def made_up(tmp_path_factory) -> Run:
    """With an image of every attempt."""
    run = worlds.made_up(
        tmp_path_factory.mktemp("runs") / "run", otherwise=False, images=20, shown=6
    )
    first = run.read("examples").query("image_id == 0 and model == 'alexnet'")
    columns = [
        "model",
        "attack",
        "setting",
        "target_kind",
        "image_id",
        "label",
        "target",
        "predicted",
        "success",
    ]
    run.append(
        "adversarial",
        first[columns].assign(
            size=1, clean=[[0.0] * 3] * len(first), adversarial=[[0.5] * 3] * len(first)
        ),
        part="all",
    )
    return run


@pytest.fixture
def copy(made_up, tmp_path) -> Run:
    """To be spoilt."""
    return Run(shutil.copytree(made_up.directory, tmp_path / "run"))


def renamed(run: Run, directory) -> tuple[Run, dict[str, str]]:
    """The same run, with labels that sort the other way round and have nothing to parse; and what
    each label was.
    """
    labels = sorted(run.read("examples", ["setting"])["setting"].unique())
    new = {label: f"<{chr(ord('z') - number)}>" for number, label in enumerate(labels)}
    other = Run.begin(directory)
    for kind in ("clean", "examples", "clever", "transfer", "adversarial"):
        rows = run.read(kind)
        if "setting" in rows:
            rows = rows.assign(setting=rows["setting"].map(new))
        for number, (_, part) in enumerate(
            rows.groupby("source" if kind == "transfer" else "model", sort=False)
        ):
            if kind == "examples":
                attempts.append(other, part, f"{number}")
            else:
                other.append(kind, part, part=f"{number}")
    other.write_manifest(
        other.manifest() | {name: run.manifest()[name] for name in ("models", "settings")}
    )
    return other, {text: label for label, text in new.items()}


def numbers(shown: Views, back: dict[str, str]) -> dict[str, pd.DataFrame]:
    """All tables, labels as they were."""
    made = {
        name: getattr(shown.made, name)
        for name in ("accuracy", "robustness", "clever", "transfer", "law")
    } | shown.study
    made |= {f"map {' '.join(panel)}": matrix for panel, matrix in shown.made.matrices.items()}

    def text(value):
        for new, label in back.items():
            value = value.replace(new, label) if isinstance(value, str) else value
        return value

    return {text(name): table.map(text) for name, table in made.items()}


@pytest.mark.slow
def test_renamed_labels_change_no_number_and_no_figure(made_up, tmp_path):
    other, back = renamed(made_up, tmp_path / "renamed")
    before, after = views(made_up), views(other)
    expected, found = numbers(before, {}), numbers(after, back)
    assert list(found) == list(expected) and len(expected["claims"]) > 20
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)
    drawn, redrawn = (
        [(figure.title, figure.caption) for figure in figures.planned(shown)]
        for shown in (before, after)
    )
    for new, label in back.items():
        redrawn = [tuple(text.replace(new, label) for text in figure) for figure in redrawn]
    assert redrawn == drawn and any(
        title.startswith("I-FGSM: success rate against steps") for title, _ in drawn
    )


def test_settings_are_the_columns_of_parts(made_up):
    found = tables.compute(made_up).settings
    assert set(found.plain) == set(worlds.SETTINGS)
    assert found.values("ifgsm", "eps=0.1,steps=10") == {
        "eps": 0.1,
        "steps": 10,
        "norm": "linf",
        "loss": "logit",
    }
    assert found.values("cw", "confidence=20")["warm_start"] is True and "eps" not in found.values(
        "cw", "confidence=20"
    )
    assert (
        found.minimises("ead", "confidence=0") == "l1"
        and found.minimises("fgsm", "eps=0.3") is None
    )


def test_a_run_of_the_version_before_is_refused_and_left_as_it_is(copy):
    manifest = {"identity": {}, "models": copy.manifest().get("models", [])}
    (copy.directory / "manifest.json").write_text(json.dumps(manifest))
    before = {path: path.read_bytes() for path in files(copy)}
    told = f"of format 1, but this version reads and writes only format {store.FORMAT}"
    for refused in (remake, Run.begin):
        with pytest.raises(InputError, match=told) as caught:
            refused(copy.directory)
        assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in files(copy)} == before


def files(run: Run) -> list[Path]:
    return [path for path in run.directory.rglob("*") if path.is_file() and path.name != ".lock"]


def test_parts_of_other_columns_are_never_removed(copy):
    (first, *_) = (copy.directory / "examples").iterdir()
    name = first.stem.removeprefix("part-")
    assert copy.has("examples", name)
    pq.write_table(pq.read_table(first).drop_columns(["near_tie"]), first)
    content = first.read_bytes()
    assert not copy.has("examples", name)
    assert first.with_name(f"{first.name}.set-aside").read_bytes() == content
