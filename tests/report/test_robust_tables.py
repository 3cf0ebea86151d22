"""Robust accuracy, least distances, optimality and curves of a made-up run, worked out by hand.

Ten images, of which 8 and 9 are wrong when clean. FMN in Linf finds the distance 0.01 (i + 1) of
image i, but nothing at image 7. DDN finds half as much in L2 as its Linf. AutoAttack at 0.035
breaks images 0 to 3, the last by Square, and image 6, at 0.03: a contradiction. C&W towards targets
is nearer at image 1.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest
from report import attempts

from jaxadv.analysis import rate_interval
from jaxadv.report import robust, robust_page, robustbench
from jaxadv.report.remake import remake
from jaxadv.report.views import views
from jaxadv.store.run import Run

IMAGES, ATTACKED, EPS = 10, 8, 0.035


def rows(attack, setting, kind, linf, spent=(100, 1), more=None, **values) -> pd.DataFrame:
    linf = np.asarray(linf, np.float64)
    success, image = np.isfinite(linf), np.arange(len(linf))
    return pd.DataFrame(
        {
            **{"model": "net", "attack": attack, "setting": setting, "target_kind": kind},
            **{"image_id": image, "label": 0, "target": -1 if kind == "untargeted" else 3},
            "success": success,
            **dict.fromkeys(("near_tie", "revoked", "invalid", "zero_gradient"), False),
            "predicted": np.where(success, 3, 0),
            "linf": np.where(success, linf, np.nan),
            **{name: np.where(success, 2 * linf, np.nan) for name in ("l0", "l1")},
            "l2": np.where(success, linf / 2, np.nan),
            "l2_per_pixel": np.nan,
            **{"gradients": spent[0], "forwards": spent[1]},
            **{"eps": values.get("eps", np.nan), "const": np.nan},
            **attempts.columns(attack, **values),
            **(more or {}),
        }
    )


FOUND = np.where(np.arange(ATTACKED) == 7, np.inf, 0.01 * (np.arange(ATTACKED) + 1))
BY = ["apgd-ce", "apgd-ce", "apgd-t", "square", "", "", "fab-t", ""]
NEARER = np.where(np.arange(ATTACKED) == 1, 0.015, np.inf)


@pytest.fixture
def run(tmp_path) -> Run:
    made = Run.begin(tmp_path / "run")
    image = np.arange(IMAGES)
    clean = {"model": "net", "image_id": image, "label": 0, "predicted": image >= ATTACKED}
    made.append("clean", pd.DataFrame(clean | {"top5": True, "invalid": False}), part="net")
    linf = np.where([bool(by) for by in BY], [*FOUND[:6], 0.03, np.inf], np.inf)
    spent = np.where(np.isfinite(linf), 60, 1900), np.where(np.isfinite(linf), 1, 6000)
    by = rows(*("autoattack", "eps=0.035", "untargeted", linf, spent), {"broken_by": BY}, eps=EPS)
    made.append("examples", by, part="net-autoattack")
    made.append(
        "examples", rows("fmn", "norm=linf", "untargeted", FOUND, norm="linf"), part="net-fmn"
    )
    made.append("examples", rows("ddn", "", "untargeted", FOUND * 1.5), part="net-ddn")
    made.append("examples", rows("cw", "confidence=0", "random", NEARER), part="net-cw")
    settings = {"zoo": "digits", "data": "npz:some.npz", "seed": 5}
    made.write_manifest(made.manifest() | {"models": ["net"], "settings": settings})
    return made


def test_robust_accuracy_is_over_all_images(run):
    table = robust.compute(run).robust_accuracy
    (line,) = table[table["attack"] == "autoattack"].to_dict("records")
    assert (line["images"], line["correct"], line["robust"], line["norm"]) == (10, 8, 3, "linf")
    assert line["eps"] == pytest.approx(EPS)
    low, high = rate_interval(3, 10)
    assert line["robust_accuracy"] == 0.3
    assert (line["robust_accuracy_low"], line["robust_accuracy_high"]) == (low, high)
    # of the searches: images 0, 1 and 2 are nearer than 0.035, image 3 at 0.04 is not
    assert line["searched_accuracy"] == pytest.approx(0.5)
    assert line["below_minimum"] == 2  # images 3 and 6
    assert line["missed"] == 0
    assert line["broken_by"] == "apgd-ce 2, apgd-t 1, fab-t 1, square 1"
    assert line["within_100"] == pytest.approx(5 / 8)
    assert line["gradients_mean"] == pytest.approx((5 * 60 + 3 * 1900) / 8)


def test_searches_are_read_at_the_budgets_of_the_run(run):
    table = robust.compute(run).robust_accuracy
    (line,) = table[table["attack"] == "fmn"].to_dict("records")
    assert line["eps"] == pytest.approx(EPS) and line["robust"] == 5
    assert np.isnan(line["within_100"])
    usual = table[table["attack"] == "ddn"]["eps"].tolist()
    assert usual == list(robust.USUAL["l2"])


def test_optimality_is_against_the_best_of_all_attacks(run):
    """Least distances in Linf: FMN's, but 0.015 at image 1, by a targeted attack, and 0.03 at image
    6, by AutoAttack.
    """
    table = robust.compute(run).optimality.set_index("attack")
    best = FOUND.copy()
    best[[1, 6]] = 0.015, 0.03
    assert best[5] == pytest.approx(0.06)  # the largest that is finite
    areas = [np.minimum(each, best[5]).sum() for each in (FOUND, best)]
    expected = 1 - (areas[0] - areas[1]) / (8 * best[5] - areas[1])
    assert table.loc["fmn", "optimality"] == pytest.approx(expected, rel=1e-5)
    assert table.loc["fmn", "n"] == 8 and table.loc["fmn", "successes"] == 7
    assert table.loc["fmn", "distance"] == "linf" and table.loc["ddn", "distance"] == "l2"
    assert table.loc["ddn", "ratio_median"] == pytest.approx(1.5, rel=1e-5)
    # towards a target only attempts with that target count
    assert table.loc["cw", "optimality"] == 1 and table.loc["cw", "successes"] == 1


def test_curves_begin_at_the_accuracy_and_end_at_what_nobody_fooled(run):
    curves = robust.compute(run).curves
    own = curves[curves["distance"] == "linf"]
    assert own["eps"].iloc[0] == 0 and own["robust_accuracy"].iloc[0] == pytest.approx(0.8)
    assert own["robust_accuracy"].iloc[-1] == pytest.approx(0.1)
    assert set(curves["distance"]) == {"linf", "l2"}
    assert (own["images"] == 10).all()


def test_a_note_says_where_square_broke_what_gradients_did_not(run):
    (note,) = robust.compute(run).notes
    assert "broke 1 images of net" in note and "masked" in note


def test_images_up_to_the_last_that_was_attacked_count():
    clean = pd.DataFrame({"image_id": range(6), "label": 0, "predicted": [0, 1, 0, 1, 0, 0]})
    assert robust.counted(clean, np.array([0, 2, 4, 5])) == (6, 4)
    assert robust.counted(clean, np.array([0, 2])) == (3, 2)
    assert robust.counted(clean, np.array([0, 4])) == (2, 2)  # those that all models have right


def test_invalid_attempts_count_as_not_robust(run):
    spoilt = rows("apgd", "eps=0.02", "untargeted", np.full(ATTACKED, np.inf), eps=0.02)
    spoilt.loc[:2, "invalid"] = True
    run.append("examples", spoilt, part="net-apgd")
    table = robust.compute(run).robust_accuracy
    (line,) = table[table["attack"] == "apgd"].to_dict("records")
    assert (line["images"], line["robust"]) == (10, 5)


def test_files_of_a_run(run):
    remake(run.directory)
    for name in ("robust_accuracy", "optimality"):
        for kind in ("csv", "md", "tex"):
            assert (run.directory / "tables" / f"{name}.{kind}").stat().st_size
    assert (run.directory / "tables" / "robustness_curves.csv").exists()
    assert (run.directory / "figures" / "robustness_curves_linf.svg").exists()
    page = (run.directory / "report.html").read_text()
    sections = re.findall('<section id="([a-z-]+)"', page)
    assert sections.index("robust-accuracy") == 1  # after the findings
    assert "Robust accuracy against the budget in L∞" in page
    content = json.loads(
        (run.directory / "robustbench" / "npz_some.npz" / "Linf" / "net.json").read_text()
    )
    assert content["clean_acc"] == "80.00" and content["autoattack_acc"] == "30.00"
    assert content["dataset"] == "npz:some.npz" and content["eps"] == "0.035"
    assert content["unreliable"] is True  # Square broke one
    assert content["evaluation"]["threat_model"]["norm"] == "Linf"
    assert content["evaluation"]["seed"] == 5 and content["link"] is None


def test_budgets_as_people_write_them():
    assert [robustbench.as_text(eps) for eps in (np.float32(8 / 255), 4 / 255, 0.5, 0.1, 0.03)] == [
        *("8/255", "4/255"),
        *("0.5", "0.1", "0.03"),
    ]


def test_a_run_of_the_studys_attacks_alone_has_what_its_rows_give(synthetic_run):
    found = robust.compute(synthetic_run)
    assert set(found.robust_accuracy["attack"]) == {"fgsm", "cw"}
    fgsm = found.robust_accuracy.query("attack == 'fgsm' and eps > 0.2")
    assert (fgsm["robust"] == 3).all()  # of 12
    assert views(synthetic_run).robust.optimality["attack"].nunique() == 3


def test_only_autoattack_is_open_where_a_run_has_it(run, synthetic_run):
    with_it = robust_page.robust_accuracy(views(run))
    assert with_it.index("AutoAttack") < with_it.index("<details>")
    assert with_it.count("<summary>Attacks with a budget") == ("FGSM" in with_it)
    without = robust_page.robust_accuracy(views(synthetic_run))
    assert without.index("FGSM") < without.index("<details>")
    assert "Attacks with a budget" not in without


def test_the_pages_section_has_budgets_first(run):
    section = robust_page.robust_accuracy(views(run))
    assert section.index("AutoAttack") < section.index("Read off the searches")
    assert section.index("Read off the searches") < section.index("How near the searches come")
    assert "30.0 %" in section and "apgd-ce 2" in section


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"steps": [10], "queries": [5000], "targets": [3]},
            ["10 steps instead of 100", "3 targets"],
        ),
        ({"steps": [100], "queries": [50, 5000], "targets": [9]}, []),
        ({"steps": "odd"}, []),
        (None, []),
    ],
)
def test_a_weaker_autoattack_is_said_to_be_so(run, given, told):
    settings = run.manifest()["settings"] | {"attacks": {"autoattack": given}}
    run.write_manifest(run.manifest() | {"settings": settings})
    section = robust_page.robust_accuracy(views(run))
    assert all(words in section for words in told) and "queries instead" not in section
    assert ("weaker than its standard" in section) == bool(told)
