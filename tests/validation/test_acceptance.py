"""The acceptance check: on made-up tables of which the answer is known, and on the published
re-run.
"""

import json

import numpy as np
import pandas as pd
import pytest

from jaxadv.data import study
from jaxadv.report.published import read
from jaxadv.validation import acceptance, first_pair
from jaxadv.validation.acceptance import COLUMNS, Rerun, compare, counts

RECORDED = 42


@pytest.fixture
def ours() -> pd.DataFrame:
    """1000 images: 700 are right, of these 600 succeed, 650 are right for the target, which is
    often fooled.
    """
    random = np.random.default_rng(0)
    label = random.integers(1, 1001, 1000)
    rows = pd.DataFrame({"image_id": [f"{one}.{at:08d}.jpg" for at, one in enumerate(label)]})
    rows["label"] = label
    right = np.arange(1000) % 10 < 7
    wrong = label % 1000 + 1
    rows["source_clean"] = np.where(right, label, wrong)
    rows["source_adv"] = np.where(random.uniform(size=1000) < 0.85, wrong, label)
    rows["target_clean"] = np.where(random.uniform(size=1000) < 0.93, label, wrong)
    rows["target_adv"] = np.where(random.uniform(size=1000) < 0.5, wrong, label)
    rows.loc[~right, ["source_adv", "target_adv"]] = -1
    rows["l2"] = np.where(right, random.uniform(31, 38.8, 1000), np.nan)
    return rows


def rerun_of(rows: pd.DataFrame, recorded: int | None = RECORDED) -> Rerun:
    """What a re-run would record that gave exactly this."""
    attacked = rows[rows["source_clean"] == rows["label"]]
    return Rerun(
        attacked.head(recorded or 1000), counts(rows), attacked["l2"].mean(), recorded is None
    )


def test_counts_are_those_of_the_study():
    """Worked out by hand: five images, of which one cannot be read and one is not right."""
    rows = pd.DataFrame(
        [
            ("a", 1, 1, 2, 1, 2, 30.0),  # fooled, where the source is
            ("b", 1, 1, 1, 1, 2, 30.0),  # fooled, where the source is not
            ("c", 1, 1, 2, 2, 1, 30.0),  # the target is wrong from the start
            ("d", 1, 2, -1, 1, -1, np.nan),
            ("e", 1, -1, -1, -1, -1, np.nan),
        ],
        columns=COLUMNS,
    )
    assert counts(rows) == {
        "source_correct": (3, 5),
        "source_success": (2, 3),
        "target_correct": (2, 3),
        "fooled": (2, 2),
        "fooled_where_succeeded": (1, 1),
        "fooled_where_failed": (1, 1),
        "adversarial_correct": (1, 3),
    }


@pytest.mark.parametrize("recorded", [RECORDED, None])
def test_what_agrees_passes(ours, recorded):
    report = compare(ours, rerun_of(ours, recorded))
    assert report.passed and not report.differences and len(report.totals) == 8
    assert report.images == (recorded or 700)
    assert "the original's results" in acceptance.text(report)


@pytest.mark.parametrize("recorded", [RECORDED, None])
@pytest.mark.parametrize("column", ["source_adv", "target_adv"])
def test_one_class_of_one_image_fails_by_its_name(ours, recorded, column):
    rerun = rerun_of(ours, recorded)
    name = rerun.rows["image_id"].iloc[17]
    changed = ours.copy()
    changed.loc[changed["image_id"] == name, column] = 1000
    report = compare(changed, rerun)
    assert not report.passed and [one.what for one in report.differences][0] == name
    line = acceptance.verdict(report)[-1]
    assert line.startswith("NOT the original's results") and name in line and "1000, re-run" in line


@pytest.mark.parametrize("column", ["source_clean", "target_clean"])
@pytest.mark.parametrize("recorded", [RECORDED, None])
def test_another_clean_class_is_explained_and_listed_first(ours, recorded, column):
    rerun = rerun_of(ours, recorded)
    name = rerun.rows["image_id"].iloc[3]
    changed = ours.copy()
    changed.loc[changed["image_id"] == name, column] = 1000
    report = compare(changed, rerun)
    first = report.differences[0]
    assert (first.what, first.ours, first.explained) == (name, "1000", True) and report.passed
    assert "JPEG decoder" in acceptance.text(report)
    other = rerun.rows["image_id"].iloc[5]
    changed.loc[changed["image_id"] == other, "target_adv"] = 999
    report = compare(changed, rerun)
    explained = [one.explained for one in report.differences]
    assert not report.passed and explained == sorted(explained, reverse=True)
    assert other in acceptance.verdict(report)[-1]


def test_an_image_that_could_not_be_read_is_explained(ours):
    rerun = rerun_of(ours, None)
    row = ours["image_id"] == rerun.rows["image_id"].iloc[0]
    changed = ours.copy()
    changed.loc[row, list(COLUMNS[2:-1])] = -1
    report = compare(changed, rerun)
    assert report.passed and report.differences[0].ours == "none"


def test_an_image_that_only_we_classify_correctly_is_explained(ours):
    rerun = rerun_of(ours, None)
    changed = ours.copy()
    wrong = changed["source_clean"] != changed["label"]
    name = changed.loc[wrong, "image_id"].iloc[0]
    changed.loc[changed["image_id"] == name, ["source_clean", "source_adv"]] = changed["label"]
    report = compare(changed, rerun)
    assert report.passed and [one.what for one in report.differences] == [name]


@pytest.mark.parametrize("column", ["source_adv", "target_adv"])
def test_a_count_of_images_that_are_not_recorded_must_be_equal(ours, column):
    rerun = rerun_of(ours)
    attacked = ours[(ours["source_clean"] == ours["label"]) & (ours[column] == ours["label"])]
    changed = ours.copy()
    changed.loc[attacked.index[-1], column] = attacked["label"].iloc[-1] % 1000 + 1
    report = compare(changed, rerun)
    assert not report.passed and all(one.where == "count" for one in report.differences)


def test_what_a_count_is_of_must_be_equal_too(ours):
    """Success moves from one image to another that the target has wrong: only "of how many"
    differs.
    """
    rerun = rerun_of(ours)
    right = ours["source_clean"] == ours["label"]
    success, seen = ours["source_adv"] != ours["label"], ours["target_clean"] == ours["label"]
    stays = ours["target_adv"] == ours["label"]
    one = ours.index[right & success & seen & stays][-1]
    other = ours.index[right & ~success & ~seen][-1]
    changed = ours.copy()
    changed.loc[one, "source_adv"] = ours.loc[one, "label"]
    changed.loc[other, "source_adv"] = ours.loc[other, "label"] % 1000 + 1
    report = compare(changed, rerun)
    expected = {"fooled_where_succeeded", "fooled_where_failed"}
    assert not report.passed and {difference.what for difference in report.differences} == expected
    by = {row["count"]: row["differs by"] for row in report.totals}
    assert {name for name, text in by.items() if text not in ("0", "0 %")} == expected


def test_the_table_says_what_may_differ_by_decoding(ours):
    """Clean counts by ten images; those of attacks by as many as clean differences explain."""
    rerun = rerun_of(ours)
    may = {row["count"]: row["may by"] for row in compare(ours, rerun).totals}
    assert may["source_correct"] == may["target_correct"] == "10 by decoding"
    assert may["fooled"] == may["source_success"] == "0" and may["mean_l2"] == "0.1 %"
    changed = ours.copy()
    name = rerun.rows["image_id"].iloc[3]
    changed.loc[changed["image_id"] == name, "target_clean"] = 1000
    report = compare(changed, rerun)
    assert {row["count"]: row["may by"] for row in report.totals}["fooled"].endswith("by decoding")
    changed.loc[changed["image_id"] == rerun.rows["image_id"].iloc[5], "target_adv"] = 999
    for written in (
        acceptance.text(compare(changed, rerun)),
        acceptance.written(compare(changed, rerun), ".md"),
    ):
        before, _, after = written.partition("May not differ by decoding")
        assert "May differ by decoding" in before and name in before and name not in after
        assert rerun.rows["image_id"].iloc[5] in after


def test_clean_counts_may_differ_by_a_few(ours):
    rerun = rerun_of(ours)
    attacked = ours[ours["source_clean"] == ours["label"]].tail(30)
    for many, passed in ((3, True), (30, False)):
        changed = ours.copy()
        changed.loc[attacked.index[:many], "source_clean"] = 1000
        assert compare(changed, rerun).passed == passed


def test_many_clean_differences_are_no_matter_of_decoding(ours):
    rerun = rerun_of(ours, None)
    changed = ours.copy()
    changed.loc[changed["image_id"].isin(rerun.rows["image_id"].head(40)), "target_clean"] = 1000
    report = compare(changed, rerun)
    assert not report.passed and report.differences[-1].what == "clean classes"


@pytest.mark.parametrize(("factor", "passed"), [(1 + 9e-4, True), (1 + 2e-3, False)])
def test_l2_is_compared(ours, factor, passed):
    rerun = rerun_of(ours)
    changed = ours.copy()
    name = rerun.rows["image_id"].iloc[0]
    changed.loc[changed["image_id"] == name, "l2"] *= factor
    report = compare(changed, rerun)
    assert report.passed == passed
    assert passed or report.differences[0].what == name and report.differences[0].where == "l2"
    changed = ours.copy()
    changed["l2"] = np.nan
    assert not compare(changed, rerun).passed


def test_fewer_images_are_compared_without_totals(ours):
    report = compare(ours.head(20), rerun_of(ours))
    assert report.passed and report.images == 14 and not report.totals
    assert "totals were not compared" in acceptance.text(report)


def test_files_have_what_the_terminal_has(ours):
    rerun = rerun_of(ours)
    changed = ours.copy()
    name = rerun.rows["image_id"].iloc[1]
    changed.loc[changed["image_id"] == name, "target_adv"] = 1000
    report = compare(changed, rerun, notes=("inception_v1: its weights are of x.pb",))
    content = json.loads(acceptance.written(report, ".json"))
    assert not content["passed"] and content["differences"][0]["image or count"] == name
    markdown = acceptance.written(report, ".md")
    assert name in markdown and "| source_correct |" in markdown and "x.pb" in markdown
    lines = acceptance.written(report, ".csv").splitlines()
    assert lines[0].startswith("image or count,") and lines[1].startswith(name)
    assert "x.pb" in acceptance.text(report)


# --- what is published -------------------------------------------------------


@pytest.fixture
def published(tmp_path) -> tuple[Rerun, int]:
    return first_pair.published(read("rerun"), read("rerun_images"), tmp_path)


def test_the_published_re_run(published):
    """Its parts agree with each other, as its own identity says: 345 = 334 + 11."""
    rerun, seed = published
    assert seed == 1216 and len(rerun.rows) == 42 and not rerun.whole
    assert rerun.mean_l2 == pytest.approx(37.3954386821372)
    count = rerun.counts
    assert count["source_correct"] == (692, 1000) and count["source_success"] == (584, 692)
    both = count["fooled_where_succeeded"], count["fooled_where_failed"]
    assert tuple(map(sum, zip(*both, strict=True))) == count["fooled"] == (345, 645)
    assert (rerun.rows["source_clean"] == rerun.rows["label"]).all()
    assert rerun.rows["l2"].between(31, 38.8005485534668).all()


def test_seed_1216_gives_the_recorded_images(published):
    """In their order; those between are the images that the source classifies wrong."""
    numbers = [int(name.split(".")[1]) for name in published[0].rows["image_id"]]
    order = study.images(1216).tolist()
    places = [order.index(number) for number in numbers]
    assert places == sorted(places) and places[0] == 0 and places[-1] < 60
    labels = [int(name.split(".")[0]) for name in published[0].rows["image_id"]]
    assert labels == published[0].rows["label"].tolist()


def test_the_re_runs_own_record_counts_where_it_was_fetched(ours, published, tmp_path, monkeypatch):
    attacked = ours[ours["source_clean"] == ours["label"]]
    lines = [json.dumps(row | {"linf": 0.1}) for row in attacked.to_dict("records")]
    (tmp_path / first_pair.RECORD).write_text("\r\n".join(lines) + "\r\n")
    rerun, _ = first_pair.published(read("rerun"), read("rerun_images"), tmp_path)
    assert rerun.whole and len(rerun.rows) == len(attacked)
    pd.testing.assert_frame_equal(
        rerun.rows.reset_index(drop=True), attacked.reset_index(drop=True), check_dtype=False
    )
    for content in ("<html>", '{"label": 1}', ""):
        (tmp_path / first_pair.RECORD).write_text(content)
        with pytest.raises(ValueError, match="not the re-run's record.*remove it"):
            first_pair.published(read("rerun"), read("rerun_images"), tmp_path)
