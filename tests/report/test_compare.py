"""Runs side by side: the same twice, a changed row, other settings, other models, other images."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from report import conftest as made_up

from jaxadv.commands.compare import main
from jaxadv.report.compare import compare, page
from jaxadv.store.run import Run
from model_ports.errors import InputError


def make(directory, *, models=range(6), change=None, manifest=None) -> Run:
    """The made-up run of conftest. change: of the attempts of a model, before they are written."""
    run = Run.begin(directory, {"--seed": 1} | (manifest or {}))
    for m in models:
        part = made_up.MODELS[m]
        run.append("clean", made_up.clean_rows(m), part=part)
        rows = pd.concat([made_up.example_rows(m, *attempt) for attempt in made_up.ATTEMPTS])
        made_up.attempts.append(run, change(rows) if change else rows, part)
        run.append("clever", made_up.clever_rows(m, "2"), part=part)
    run.write_manifest(
        run.manifest() | made_up.MANIFEST | {"models": [made_up.MODELS[m] for m in models]}
    )
    run.close()
    return run


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return make(tmp_path_factory.mktemp("compare") / "first").directory


def test_the_same_run_twice_has_no_difference(first, tmp_path):
    found = compare([first, first])
    assert found.settings.empty and found.changed.empty
    assert (found.rows["both"] == found.rows["same"]).all() and found.rows["different"].sum() == 0
    assert (found.differences["difference"].dropna() == 0).all()
    assert (found.differences["certain"] == "no").all()
    text = page.brief(found)
    assert "Settings, data, weights and versions are the same." in text
    assert "rows of both are the same" in text and "0 of " in text


def test_one_changed_row_is_found(first, tmp_path):
    def change(rows):
        if rows["model"].iloc[0] != "vgg_16":
            return rows
        here = (
            (rows["attack"] == "cw") & (rows["target_kind"] == "random") & (rows["image_id"] == 5)
        )
        return rows.assign(l2=rows["l2"].where(~here, rows["l2"] + 0.25))

    other = make(tmp_path / "other", change=change, manifest={"jax": "0.11"})
    found = compare([first, other.directory])
    examples = found.rows[found.rows["kind"] == "examples"].iloc[0]
    assert (examples["both"], examples["different"]) == (432, 1)
    [row] = found.changed.to_dict("records")
    assert row["row"] == "vgg_16, cw, confidence=0, random, 5" and row["column"] == "l2"
    assert float(row["other_value"]) - float(row["first_value"]) == pytest.approx(0.25)
    assert list(found.settings["fact"]) == ["jax"]
    moved = found.differences[found.differences["difference"].abs() > 0]
    assert len(moved) == 1 and moved.iloc[0]["model"] == "vgg_16"
    assert moved.iloc[0]["difference"] == pytest.approx(0.25 / 9)  # nine images succeed
    assert "1 of " in page.brief(found)


@pytest.mark.slow
def test_another_seed_shows_paired_differences(first, tmp_path):
    def change(rows):
        draw = np.random.default_rng(rows["l2"].notna().sum())
        return rows.assign(l2=rows["l2"] + 0.5 + draw.normal(0, 0.01, len(rows)))

    other = make(tmp_path / "seed", change=change, manifest={"--seed": 2})
    found = compare([first, other.directory])
    assert found.settings.set_index("fact").loc["--seed"].tolist() == ["1", "2"]
    own = found.differences.query("attack == 'cw' and distance == 'l2'")
    assert len(own) == 12 and (own["certain"] == "yes").all() and (own["common"] == 9).all()
    assert own["difference"].between(0.48, 0.52).all()
    rates = found.differences.query("distance == 'success'")
    assert (rates["difference"] == 0).all() and (rates["certain"] == "no").all()


def test_other_models_and_other_images(first, tmp_path):
    other = make(tmp_path / "few", models=[1, 2])
    found = compare([first, other.directory])
    yes = found.models.set_index("model")["few"]
    assert yes["vgg_16"] == "yes" and yes["alexnet"] == ""
    assert set(found.differences["model"]) == {"vgg_16", "resnet_v2_50"}
    assert "2 of 6 models are in every run." in page.brief(found)
    assert found.rows.set_index("kind").loc["examples", "only_first"] == 4 * 72
    board = found.leaderboard.query("attack == 'cw'")
    assert board["place"].tolist() == [1, 2, 3, 4, 4, 6, 6, 8]  # the same models in both runs tie
    assert board["model"].iloc[0] == "mobilenet_v1_100" and board["run"].iloc[0] == "first"


def test_images_that_are_not_the_same_have_no_interval(tmp_path):
    runs = []
    for name in ("one", "two"):
        run = Run.begin(tmp_path / name)
        rows = made_up.clean_rows(0)
        run.append(
            "clean", rows.assign(digest=[f"{name}{image}" for image in rows["image_id"]]), part="a"
        )
        run.close()
        runs.append(run.directory)
    found = compare(runs)
    [row] = found.differences.to_dict("records")
    assert row["same_images"] == "no" and row["common"] == 0 and np.isnan(row["difference_low"])
    assert "not of the same images" in page.brief(found)


def test_the_command_writes_a_page_and_tables(first, tmp_path, capsys):
    other = make(tmp_path / "<b>&other", models=[0, 1])
    out = tmp_path / "out"
    main(SimpleNamespace(words=[str(first), str(other.directory)], out=str(out)))
    text = (out / "compare.html").read_text(encoding="utf-8")
    assert "<b>&other" not in text and "&lt;b&gt;&amp;other" in text and text.endswith("</html>\n")
    assert capsys.readouterr().out.splitlines()[-1] == f"compare: {out / 'compare.html'}"
    names = sorted(path.name for path in (out / "tables").iterdir())
    assert names == sorted(f"{name}.{kind}" for name in page.TABLES for kind in ("csv", "md"))
    assert len(pd.read_csv(out / "tables" / "differences.csv")) == len(
        compare([first, other.directory]).differences
    )


def test_what_is_no_comparison_is_refused(first, tmp_path):
    with pytest.raises(InputError, match="1 run is given; compare needs two"):
        compare([first])
    with pytest.raises(InputError, match="no run in"):
        compare([first, tmp_path])
    with pytest.raises(InputError, match="which is a run"):
        main(SimpleNamespace(words=[str(first), str(first)], out=str(first)))
